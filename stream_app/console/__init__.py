"""The console: one place where people see what is in force and why, and correct it."""
