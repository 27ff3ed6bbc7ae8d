"""Training: loop.py reads from top to bottom, the other files are what it calls."""
