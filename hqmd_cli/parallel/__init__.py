"""Several threads or processes: shares of the work, and sums over a whole batch."""
