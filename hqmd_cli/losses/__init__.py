"""Training objectives by name. A new one is one file and one line here.

An objective is a function (pred_m, depth_m, valid) -> scalar; see terms.py for shapes and masks.
With the two decoders depth, depth+mg, full and hu give the five "Baseline" rows of the paper's Table 1.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hqmd_cli.registry import resolve

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = {
    "depth": "hqmd_cli.losses.paper:depth",
    "depth+mg": "hqmd_cli.losses.paper:depth_and_magnitude",
    "full": "hqmd_cli.losses.paper:full",
    "full+log": "hqmd_cli.losses.log_depth:full_and_log",
    "hu": "hqmd_cli.losses.hu:full",
}


def build_loss(name: str) -> "Callable[[Tensor, Tensor, Tensor], Tensor]":
    """The objective called `name`. Raises HqmdError listing the names when there is none."""
    return resolve(LOSSES, name, "loss")
