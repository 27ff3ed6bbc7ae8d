"""Arithmetic on arrays of vectors, (..., 3)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def dot(a: Floats, b: Floats) -> Floats:
    """Over the last axis; einsum, because sums over an axis of three are slow."""
    product: Floats = np.einsum("...i,...i->...", a, b)
    return product


def length_of(v: Floats) -> Floats:
    """Euclidean."""
    length: Floats = np.sqrt(dot(v, v))
    return length


def unit(v: Floats) -> Floats:
    """The same direction at length 1; zeros stay zeros."""
    return v / np.maximum(length_of(v)[..., None], 1e-12)
