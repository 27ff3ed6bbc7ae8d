"""Threads and processes: a pool for many jobs, shares of a folder, and sums over a whole batch."""
