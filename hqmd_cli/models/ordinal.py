"""Depth in intervals, as Fu et al. have it (CVPR 2018, https://arxiv.org/abs/1806.02446): pure functions.

K intervals between the thresholds t_0 < ... < t_K, metres, of equal width (3.2, UID) or of equal ratio (SID, eq. 1).
A pixel's label is l, 0 <= l < K, where t_l <= depth < t_l+1; what lies outside belongs to the outermost interval. A
network says K times whether l > k, as the logarithm of the odds: logits (B, K, H, W). That is one number for each pair
of their 2K channels: the softmax of a pair is the logistic function of its difference.

The paper adds a shift to all depths so that the nearest is 1 m, and takes it off again; the authors' network for NYU
has none (their demo_nyuv2.py), so there is none here.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.base import Estimate
from hqmd_cli.registry import pick


def uniform(near_m: float, far_m: float, bins: int) -> Tensor:
    """UID: thresholds (bins + 1,) at equal distances."""
    return torch.linspace(near_m, far_m, bins + 1)


def spacing_increasing(near_m: float, far_m: float, bins: int) -> Tensor:
    """SID, eq. 1: thresholds (bins + 1,) at equal ratios."""
    return torch.linspace(math.log(near_m), math.log(far_m), bins + 1).exp()


DISCRETISATIONS: dict[str, Callable[[float, float, int], Tensor]] = {"sid": spacing_increasing, "uid": uniform}


def logit_channels(config: NetworkConfig) -> int:
    """How many logits a pixel has: one, or K where the activation is a discretisation."""
    return config.depth_bins if config.activation in DISCRETISATIONS else 1


def labels_of(depth_m: Tensor, thresholds_m: Tensor) -> Tensor:
    """(...) metres -> (...) whole numbers 0..K-1."""
    return torch.bucketize(depth_m, thresholds_m[1:-1].to(depth_m.dtype), right=True)


def metres_of(labels: Tensor, thresholds_m: Tensor) -> Tensor:
    """The middle of each label's interval (below eq. 4), (...) metres."""
    return ((thresholds_m[:-1] + thresholds_m[1:]) / 2)[labels]


def counted(logits: Tensor) -> Tensor:
    """(B, K, H, W) -> labels (B, 1, H, W): how many of "l > k" are at least as likely as not (eq. 4)."""
    bins = logits.shape[1]
    return (logits >= 0).sum(dim=1, keepdim=True).clamp(max=bins - 1)  # l > K - 1 is never true, but can be said


def from_pairs(channels: Tensor) -> Tensor:
    """2K channels (B, 2K, H, W) of the paper, two for each k (eq. 3) -> logits (B, K, H, W)."""
    return channels[:, 1::2] - channels[:, ::2]


def entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-Psi of eq. 2, (B, K, H, W) and (B, 1, H, W) -> (B, 1, H, W): how unlikely the logits call what is true."""
    steps = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    signed = torch.where(steps < labels, logits, -logits)  # of "l > k" as of "l <= k"
    return -torch.nn.functional.logsigmoid(signed).sum(dim=1, keepdim=True)


class OrdinalHead(nn.Module):
    """Logits (B, K, H, W) to metres (B, 1, H, W), which have no gradient: the loss `ordinal` takes the logits."""

    thresholds_m: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        thresholds_of = pick(DISCRETISATIONS, config.activation, "activation")
        thresholds_m = thresholds_of(*config.depth_range_m, config.depth_bins)
        self.register_buffer("thresholds_m", thresholds_m, persistent=False)

    def forward(self, logits: Tensor) -> Estimate:
        parts = {"ordinal": logits, "thresholds_m": self.thresholds_m}
        return Estimate(metres_of(counted(logits), self.thresholds_m), parts=parts)
