"""Several networks as one: each computes depth by itself, and their depths are averaged.

Errors that one network makes by chance are averaged out, the more so the more the backbones differ.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.base import DepthModel
from hqmd_cli.models.layers import geometric_mean, resize, shorter_side


class Ensemble(nn.Module):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres: the weighted geometric mean of its members' depths.

    Depth is at the scale of the first member's training size. A member that was trained at a larger size sees things
    too small here, and so too far away (inference/predictor.py): its depth is scaled down. So is the depth of a member
    that sees the picture smaller, as its `view_percent` says; some networks need fewer pixels, which takes less time.
    """

    def __init__(self, members: Sequence[DepthModel], config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(members)
        total = sum(member.weight for member in config.members)
        self.weights = [member.weight / total for member in config.members]

    def forward(self, rgb: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, h, w), where (h, w) is the size of the first member's depth."""
        depths: list[Tensor] = [self.members[0](rgb)]
        for member, config in zip(self.members[1:], self.config.others, strict=True):
            depths.append(self.further_depth(member, config, rgb, depths[0].shape[-2:]))  # type: ignore[arg-type]
        return geometric_mean(depths, self.weights)

    def further_depth(self, member: DepthModel, config: ModelConfig, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """Return a further member's depth (B, 1, *size), at the scale of the first member."""
        scale = min(self.config.network.size) / min(config.network.size)
        seen = size_for(config, *rgb.shape[-2:])
        if seen is None:
            depth = member(rgb) * scale
            return depth if member.depth_stride == self.members[0].depth_stride else resize(depth, size)
        depth = resize(member(resize(rgb, seen)), size)
        return depth * (scale * shorter_side(*seen) / shorter_side(*rgb.shape[-2:]))


def size_for(member: ModelConfig, height: int, width: int) -> tuple[int, int] | None:
    """Return the (H, W) at which a member sees a picture of this size; None: unchanged."""
    percent, step = member.view_percent, member.compute.size_multiple
    if percent == 100 and step == 1:
        return None
    # Whole numbers throughout, for the exporter follows sizes as symbols; rounded to the nearest multiple.
    rows, columns = ((side * percent + 50 * step) // (100 * step) * step for side in (height, width))
    return rows, columns
