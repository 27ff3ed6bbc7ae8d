"""Read every frame of a dataset and tell what is wrong with it."""
