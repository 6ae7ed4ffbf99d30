"""What a replay leaves behind: result files for programs, and one page for people."""
