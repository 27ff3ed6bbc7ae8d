"""Several networks as one: they answer apart, and their depths are averaged.

What one of them gets wrong by chance the others mend; the more their backbones differ, the more. It is the logarithms
that are averaged, because how far a network is off is a factor rather than a distance.
"""

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models import build_system
from hqmd_cli.models.base import DepthModel
from hqmd_cli.models.layers import resize, shorter_side


class Committee(nn.Module):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres: the geometric mean of its members', by their weights.

    At the scale of the first member's size, which is the committee's: a member that has learnt depth at a larger one
    sees everything too small here, and says too far (predictor.py). So does one that is shown a smaller picture, as its
    view_percent says: networks differ in how many pixels they want, and fewer take less time.
    """

    def __init__(self, config: ModelConfig, backbone_weights: str | None) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(build_system(member, backbone_weights) for member in config.members)
        total = sum(member.weight for member in config.members)
        self.weights = [member.weight / total for member in config.members]

    def forward(self, rgb: Tensor) -> Tensor:
        first, *others = self.members
        depths = [first(rgb)]
        depths += [self.answer(member, rgb, depths[0].shape[-2:]) for member in others]  # type: ignore[arg-type]
        logs = [depth.log() * weight for depth, weight in zip(depths, self.weights, strict=True)]
        return torch.stack(logs).sum(dim=0).exp()

    def answer(self, member: DepthModel, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """What a further member says of a picture, at the committee's scale, brought to `size`: that of the first's."""
        learnt = min(self.config.size) / min(member.config.size)
        seen = size_for(member.config, *rgb.shape[-2:])
        if seen is None:
            depth = member(rgb) * learnt
            return depth if member.config.depth_stride == self.config.depth_stride else resize(depth, size)
        depth = resize(member(resize(rgb, seen)), size)
        return depth * (learnt * shorter_side(*seen) / shorter_side(*rgb.shape[-2:]))


def size_for(member: ModelConfig, height: int, width: int) -> tuple[int, int] | None:
    """How large a member sees a picture of this size; None: as it is."""
    percent, step = member.view_percent, member.size_multiple
    if percent == 100 and step == 1:
        return None
    # Whole numbers throughout, for the exporter follows sizes as symbols; rounded to the nearest multiple.
    rows, columns = ((side * percent + 50 * step) // (100 * step) * step for side in (height, width))
    return rows, columns
