"""Depth as pictures: arrays to arrays, no files."""
