"""Pairs of photo and depth from NYU Depth V2's raw recordings."""
