"""Depth in intervals (Fu et al., CVPR 2018, https://arxiv.org/abs/1806.02446).

K intervals between the thresholds t_0 < ... < t_K, metres, of equal width (3.2, UID) or of equal ratio (SID, eq. 1).
A pixel's label is l, 0 <= l < K, where t_l <= depth < t_l+1; depth outside belongs to the outermost interval. A network
estimates for each k the log odds that l > k: logits (B, K, H, W). The paper has 2K channels, a pair for each k; the
softmax of a pair is the logistic function of its difference, so one number per k says the same.

The paper shifts all depths so that the nearest is 1 m, and back. The authors' network for NYU does not (their
demo_nyuv2.py), nor do we.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.base import Estimate
from hqmd_cli.registry import pick


def uniform(near_m: float, far_m: float, bins: int) -> Tensor:
    """UID: return thresholds (bins + 1,) at equal distances."""
    return torch.linspace(near_m, far_m, bins + 1)


def spacing_increasing(near_m: float, far_m: float, bins: int) -> Tensor:
    """SID, eq. 1: return thresholds (bins + 1,) at equal ratios."""
    return torch.linspace(math.log(near_m), math.log(far_m), bins + 1).exp()


DISCRETISATIONS: dict[str, Callable[[float, float, int], Tensor]] = {"sid": spacing_increasing, "uid": uniform}


def logit_channels(config: NetworkConfig) -> int:
    """Return the number of logits per pixel: 1, or K if the activation is a discretisation."""
    return config.depth_bins if config.activation in DISCRETISATIONS else 1


def labels_of(depth_m: Tensor, thresholds_m: Tensor) -> Tensor:
    """(...) metres -> (...) whole numbers 0..K-1."""
    return torch.bucketize(depth_m, thresholds_m[1:-1].to(depth_m.dtype), right=True)


def metres_of(labels: Tensor, thresholds_m: Tensor) -> Tensor:
    """(...) labels -> (...) metres: the middle of each label's interval (below eq. 4)."""
    return ((thresholds_m[:-1] + thresholds_m[1:]) / 2)[labels]


def counted(logits: Tensor) -> Tensor:
    """(B, K, H, W) -> labels (B, 1, H, W): the number of k for which "l > k" is at least as likely as not (eq. 4)."""
    bins = logits.shape[1]  # l > K - 1 is never true, but a network can predict it
    return (logits >= 0).sum(dim=1, keepdim=True).clamp(max=bins - 1)


def from_pairs(channels: Tensor) -> Tensor:
    """The paper's channels (B, 2K, H, W), two for each k (eq. 3) -> logits (B, K, H, W)."""
    return channels[:, 1::2] - channels[:, ::2]


def entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-Psi of eq. 2, (B, K, H, W) and (B, 1, H, W) -> (B, 1, H, W): minus the log likelihood of the labels."""
    steps = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    signed = torch.where(steps < labels, logits, -logits)  # log odds of "l > k" where it is true, else of "l <= k"
    return -torch.nn.functional.logsigmoid(signed).sum(dim=1, keepdim=True)


class OrdinalHead(nn.Module):
    """Logits (B, K, H, W) to metres (B, 1, H, W). Metres have no gradient here: the loss `ordinal` uses the logits."""

    thresholds_m: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        thresholds_of = pick(DISCRETISATIONS, config.activation, "activation")
        thresholds_m = thresholds_of(*config.depth_range_m, config.depth_bins)
        self.register_buffer("thresholds_m", thresholds_m, persistent=False)

    def forward(self, logits: Tensor) -> Estimate:
        parts = {"ordinal": logits, "thresholds_m": self.thresholds_m}
        return Estimate(metres_of(counted(logits), self.thresholds_m), parts=parts)
