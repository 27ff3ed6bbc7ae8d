"""The report: figures, error over depth and pictures in one page of HTML that needs no network."""
