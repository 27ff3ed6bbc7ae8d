"""Training objectives by name. A new objective takes one file and one line here.

An objective in DEPTH_LOSSES is a function (pred_m, depth_m, valid) -> scalar; terms.py defines shapes and masks. An
objective in OWN_LOSSES takes a models.base.Estimate instead of pred_m, for outputs that only some networks have.
Every mean or sum goes through parallel/batch_sums.py, so that several processes train on the same objective as one;
tests/losses/test_two_processes.py checks each entry.

With the two decoders, depth, depth+mg, full and hu give the five "Baseline" rows of the paper's Table 1.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hqmd_cli.errors import HqmdError
from hqmd_cli.registry import Registry, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from hqmd_cli.models.base import Estimate

DEPTH_LOSSES = {
    "depth": "hqmd_cli.losses.paper:depth",
    "depth+mg": "hqmd_cli.losses.paper:depth_and_magnitude",
    "full": "hqmd_cli.losses.paper:full",
    "full+log": "hqmd_cli.losses.regression:full_and_log",
    "hu": "hqmd_cli.losses.hu:full",
    "l1": "hqmd_cli.losses.regression:l1",
    "l2": "hqmd_cli.losses.regression:l2",
    "silog": "hqmd_cli.losses.scale_invariant:silog",
    "silog+grad": "hqmd_cli.losses.scale_invariant:silog_and_gradient",
}
OWN_LOSSES: dict[str, str] = {
    "crf": "hqmd_cli.losses.random_fields:crf",
    "mrf-gaussian": "hqmd_cli.losses.random_fields:mrf_gaussian",
    "mrf-laplacian": "hqmd_cli.losses.random_fields:mrf_laplacian",
    "ordinal": "hqmd_cli.losses.ordinal:ordinal",
    "planes": "hqmd_cli.losses.random_fields:planes",
}
# A loss of another package is one of depth.
LOSSES = Registry("hqmd.losses", DEPTH_LOSSES | OWN_LOSSES, needs=("__call__",))


def build_loss(name: str) -> "Callable[[Estimate, Tensor, Tensor], Tensor]":
    """Return the objective called `name`. Raises HqmdError listing the names if there is none."""
    objective = resolve(LOSSES, name, "loss")
    return objective if name in OWN_LOSSES else of_all_depths(objective)


def of_all_depths(
    objective: "Callable[[Tensor, Tensor, Tensor], Tensor]",
) -> "Callable[[Estimate, Tensor, Tensor], Tensor]":
    """Apply a loss of depth to an estimate: to its depth map and, enlarged to the same size, its auxiliary ones."""

    def loss(estimate: "Estimate", depth_m: "Tensor", valid: "Tensor") -> "Tensor":
        from hqmd_cli.models.layers import resize

        if "ordinal" in estimate.parts:  # its depth counts decisions, and a count has no gradient
            raise HqmdError("a network that predicts intervals needs the loss ordinal: pass --loss ordinal")
        total = objective(estimate.depth_m, depth_m, valid)
        for aux_m in estimate.aux_m:
            total = total + objective(resize(aux_m, depth_m.shape[-2:]), depth_m, valid)
        return total

    return loss
