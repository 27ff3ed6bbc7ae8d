"""What commands print: progress, summaries and tables on a terminal."""
