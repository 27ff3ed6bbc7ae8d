"""Cameras, points, normals and meshes: arrays to arrays, no files."""
