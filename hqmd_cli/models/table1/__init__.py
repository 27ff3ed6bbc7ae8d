"""The other systems of the paper's Table 1, each by its authors' definition."""
