"""A guide: a second, frozen backbone whose features are joined to the first one's `high`.

Two networks that were pretrained differently err differently, and a frozen one cannot be fitted to few pictures. Only
vision transformers serve: the guide sees the picture at the size at which its patches fall on the cells of `high`
(7/8 for DINOv2's 14-pixel patches over stride 16), so the two need no resampling between them.
"""

from typing import Any

import torch
from torch import Tensor

from hqmd_cli.config import ModelConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.models.backbone import Backbone, load_weights, plain_blocks
from hqmd_cli.models.layers import ConvBNReLU, resize


class Guide(Backbone):
    """RGB (B, 3, H, W) in 0..1 and a grid (h, w) to features (B, guide_channels, h, w).

    The transformer never learns and never leaves evaluation mode; the 1x1 projection behind it learns. While the
    network is trained, the transformer computes in bfloat16: its features are noise-tolerant inputs there.
    """

    def __init__(self, config: ModelConfig, net: Any) -> None:
        super().__init__(config.guide, net)
        self.net.requires_grad_(False)
        (self.patch,) = set(net.feature_info.reduction())
        self.project = ConvBNReLU(sum(net.feature_info.channels()), config.guide_channels)

    def train(self, mode: bool = True) -> "Guide":
        """Evaluation mode stays on for the frozen part."""
        super().train(mode)
        self.net.eval()
        return self

    def forward(self, rgb: Tensor, grid: tuple[int, int]) -> Tensor:  # type: ignore[override]
        """(B, 3, H, W) in 0..1 -> (B, guide_channels, *grid)."""
        picture = resize(self.normalise(rgb), (grid[0] * self.patch, grid[1] * self.patch))
        with torch.no_grad(), torch.autocast(rgb.device.type, torch.bfloat16, enabled=self.training):
            features = torch.cat(self.net(picture), dim=1)
        return self.project(features.float())


def build_guide(config: ModelConfig, weights: str | None) -> Guide:
    """Create the guide named in `config`; `weights` and what is raised as in backbone.build_backbone."""
    try:
        net = plain_blocks(config.guide, config.guide_blocks, pretrained=weights == "default")
    except Exception as error:
        raise HqmdError(f"{config.guide}: cannot be used as a guide: {first_line(error)}") from error
    load_weights(net, weights)
    return Guide(config, net)
