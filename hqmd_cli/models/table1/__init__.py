"""The other systems of the paper's Table 1, each as its authors define it."""
