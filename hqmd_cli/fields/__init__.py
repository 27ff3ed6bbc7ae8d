"""Random fields: what the parts of a picture say of their depths together, and the depths that say it best.

Both the systems that predict by such a field and the losses that are its likelihood import from here. Nodes are parts
of a picture, superpixels or patches; their values are the logarithm of depth in metres.
"""
