"""Logits of intervals to depth, for DORN and, with config.activation "sid" or "uid", for our own network."""

from torch import Tensor, nn

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.system import Estimate
from hqmd_cli.ordinal import DISCRETISATIONS, counted, metres_of
from hqmd_cli.registry import pick


class OrdinalHead(nn.Module):
    """Logits (B, K, H, W) to metres (B, 1, H, W), which have no gradient: the loss `ordinal` takes the logits."""

    thresholds_m: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        thresholds_of = pick(DISCRETISATIONS, config.activation, "activation")
        thresholds_m = thresholds_of(*config.depth_range_m, config.depth_bins)
        self.register_buffer("thresholds_m", thresholds_m, persistent=False)

    def forward(self, logits: Tensor) -> Estimate:
        parts = {"ordinal": logits, "thresholds_m": self.thresholds_m}
        return Estimate(metres_of(counted(logits), self.thresholds_m), parts=parts)
