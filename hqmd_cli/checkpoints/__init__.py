"""Models on disk and on the hub: find, read, write, merge and describe them."""
