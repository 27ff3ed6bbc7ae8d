"""Ordinal regression (Fu et al., CVPR 2018, eq. 2), for networks that predict intervals of depth."""

from torch import Tensor, masked_select

from hqmd_cli.errors import HqmdError
from hqmd_cli.losses.terms import require_valid
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.ordinal import entropy, labels_of
from hqmd_cli.parallel.batch_sums import batch_mean


def ordinal(estimate: Estimate, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Mean over valid pixels of the sum over K decisions, from Estimate.parts. Raises HqmdError if it has none."""
    if "ordinal" not in estimate.parts:
        raise HqmdError(
            'the loss ordinal needs a network that predicts intervals: --model dorn, or activation = "sid" or "uid" '
            "in a recipe's [model]"
        )
    require_valid(valid)
    logits, thresholds_m = estimate.parts["ordinal"], estimate.parts["thresholds_m"]
    return batch_mean(masked_select(entropy(logits, labels_of(depth_m, thresholds_m)), valid))
