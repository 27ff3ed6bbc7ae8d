"""A network that is too small to be useful, after nobody's paper: Nobody et al. 2026, https://example.org/mean."""

from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.base import DepthModel, Estimate, Paper


class Mean(DepthModel):
    """Turns (B, 3, H, W) RGB in 0..1 into (B, 1, H, W) metres, from each pixel's own colour."""

    paper = Paper("Nobody et al. 2026", "https://example.org/mean", model={"size": (96, 128)})

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.logits = nn.Conv2d(3, 1, 1)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        return Estimate(F.softplus(self.logits(rgb)))
