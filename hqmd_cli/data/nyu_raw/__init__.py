"""Pairs of photo and depth from the raw recordings of NYU Depth V2."""
