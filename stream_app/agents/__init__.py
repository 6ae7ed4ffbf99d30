"""Faust agents: each takes a chunk, calls the core, and has its effects performed."""
