"""Datasets by what their path looks like. A new one is one file and one line here.

A dataset class takes (path, split, ground_truth, depth_scale), follows data.sample.Dataset, and knows the
`splits` of a path and, in `split_help`, how the user makes one. Those whose name ends in a slash read a folder: they
say in `layout` how its files lie, and by `recognises(path)` whether one is theirs.
"""

import os
from pathlib import Path


def hqmd_home() -> Path:
    """What hqmd keeps from one run to the next: $HQMD_HOME, else ~/.cache/hqmd."""
    return Path(os.environ.get("HQMD_HOME", Path.home() / ".cache" / "hqmd"))
