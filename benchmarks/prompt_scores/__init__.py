"""Training and evaluation of the prompt scores that ``stillwatch sketch`` gives."""
