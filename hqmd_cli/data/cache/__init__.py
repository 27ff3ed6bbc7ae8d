"""Decoded pictures on disk, shared by runs and processes."""
