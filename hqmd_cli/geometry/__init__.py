"""Cameras, points, normals and meshes: arrays to arrays, no files."""

# Chosen by eye on point clouds of NYU photos seen from above. Networks blur the borders of objects over several pixels
# of 1.5 to 4 % each; slanted floors and walls change by less than 1.2 % per pixel. Sharp jumps are far larger.
DEFAULT_EDGE_RTOL = 0.015  # see surfaces.py; here, so that --help and plain photos need not import that
