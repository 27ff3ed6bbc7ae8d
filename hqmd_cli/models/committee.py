"""Several networks as one: they answer apart, and their depths are averaged.

What one of them gets wrong by chance the others mend; the more their backbones differ, the more. It is the logarithms
that are averaged, because how far a network is off is a factor rather than a distance.
"""

import torch
from torch import Tensor, nn

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.network import DepthNetwork


class Committee(nn.Module):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres: the geometric mean of its members'.

    At the scale of the first member's size, which is the committee's: a member that has learnt depth at a larger one
    sees everything too small here, and says too far (predictor.py).
    """

    def __init__(self, config: ModelConfig, backbone_weights: str | None) -> None:
        super().__init__()
        self.config = config
        self.factors = [min(config.size) / min(member.size) for member in config.members]
        self.members = nn.ModuleList(DepthNetwork(member, backbone_weights) for member in config.members)

    def forward(self, rgb: Tensor) -> Tensor:
        logs = [(member(rgb) * factor).log() for member, factor in zip(self.members, self.factors, strict=True)]
        return torch.stack(logs).mean(dim=0).exp()
