"""Random furnished rooms as pairs of photo and depth, to pretrain on before `hqmd train` sees real photos.

    python -m hqmd_cli.rooms --help

In the order in which a room comes about: `mesh` and `catalog` (furniture), `scene` (triangles and their materials),
`looks` (colours and textures), `shell` (walls, windows, lamps), `furnishing` (what stands where), `camera`, `light` and
`render` (a view of it), `making` (folders of them).

Every draw from the random generator is part of a room: the same calls in the same order, or each later room of a seed
becomes another one, and a model trained on the old ones cannot be trained again. Where an order has to change, raise
`making.DRAWING`.
"""
