"""What a network is and how it is trained: two frozen dataclasses whose defaults are the paper's.

A checkpoint stores both, so it reopens without a flag and says how it was made. Sections cited are those of
Jiang & Huang, "High Quality Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving
Objective" (HQMD).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from hqmd_cli.config.base import SMALLEST_SIDE, Config
from hqmd_cli.config.inference import DEFAULT_SIZE, Preset, require_view
from hqmd_cli.errors import HqmdError
from hqmd_cli.registry import pick

# Settings of a network that hqmd no longer has, each with the one that says whether it is used: checkpoints of before,
# the bundled ones among them, name them all.
DELETED = {"guide": "guide", "guide_blocks": "guide", "guide_channels": "guide", "left_out": "left_out"}
LAST_WITH_DELETED = "6e49211"  # the last commit that had them


def without_deleted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the settings that hqmd no longer has. Raises HqmdError where one is used."""
    if used := [name for name, switch in DELETED.items() if name in values and values.get(switch, True)]:
        raise HqmdError(f"hqmd no longer supports {', '.join(used)}; commit {LAST_WITH_DELETED} was the last that did")
    return {name: value for name, value in values.items() if name not in DELETED}


@dataclass(frozen=True)
class ModelConfig(Config):
    """The network: backbone, atrous spatial pyramid pooling, decoder (paper 3.1), and its input size."""

    backbone: str = "resnet50"  # any timm name; 4.1
    decoder: str = "baseline+"  # a key of models.DECODERS
    # logits to metres: a key of models.network.ACTIVATIONS, or "sid" or "uid": intervals of depth (ordinal.py)
    activation: str = "softplus"
    depth_bins: int = 68  # how many intervals "sid" and "uid" have; that of Fu et al.'s network for NYU, as these:
    depth_range_m: tuple[float, float] = (0.698, 10.59)  # where the intervals begin and end
    size: tuple[int, int] = (289, 385)  # (H, W) the network is trained at; 4.1
    size_multiple: int = 1  # predict rounds both sides to multiples of it: a backbone's stride, or a ViT's patch
    predict_sides: tuple[int, ...] = ()  # shorter sides at which predict shows photos to it; none: that of `size`
    predict_flip: bool = False  # predict averages with the mirrored photo
    edge_share: float = 0.0  # predict fits depth to the photo's edges within this share of the shorter side; 0: not
    # What held-out pictures showed depth to be wrong by as a whole: c and p of c d^p (calibration.py)
    calibration: float = 1.0
    calibration_power: float = 1.0
    presets: tuple[Preset, ...] = ()  # other sides than predict_sides
    output_stride: int = 16  # of the backbone's last stage; 8 and 16 by dilation, where timm offers it
    low_stages: int = 1  # backbone stages joined in `low`, from stride 4 on
    high_stages: int = 1  # backbone stages (of a ViT: blocks) joined in `high`, the deepest ones
    high_blocks: tuple[
        int, ...
    ] = ()  # of a ViT, counted from 0: these blocks instead; those behind the last are left out
    drop_path: float = 0.0  # chance that a training step skips a block of the backbone, rising with its depth
    aspp_rates: tuple[int, ...] = (6, 12, 18)  # DeepLabv3+ at stride 16
    aspp_channels: int = 256  # DeepLabv3+
    low_channels: int = 48  # DeepLabv3+: low features are narrowed so that they do not outweigh the context
    fuse_channels: int = 256  # DeepLabv3+
    # Maps of several strides are convolved each at its own, before the coarser ones are enlarged (models/strides.py)
    coarse_first: bool = False
    # Once trained, it computes depth at one of so many pixels each way; predict goes on along the photo's edges
    depth_stride: int = 1
    system: str = "hqmd"  # a key of models.SYSTEMS; what others leave of the above unused, their files say
    also: tuple["ModelConfig", ...] = ()  # further networks, averaged with this one (models/committee.py)
    weight: float = 1.0  # of this network among those that are averaged
    view_percent: int = 100  # of a further network: how large it sees the picture, measured by what the first one sees

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """As Config.from_dict; presets and further networks are settings, too, and deleted ones must be unused."""
        values = without_deleted(values)
        also = tuple(cls.from_dict(further) for further in values.get("also", ()))
        presets = tuple(Preset.from_dict(preset) for preset in values.get("presets", ()))
        plain = {name: value for name, value in values.items() if name not in ("also", "presets")}
        return replace(super().from_dict(plain), also=also, presets=presets)

    @property
    def members(self) -> tuple["ModelConfig", ...]:
        """The networks that answer: this one, and the further ones."""
        return (replace(self, also=()), *self.also)

    def at_size(self, name: str) -> Self:
        """The same network as one of its presets shows photos to it. Raises HqmdError when it has none of that name."""
        presets: dict[str, Preset | None] = {preset.name: preset for preset in self.presets}
        view = pick({DEFAULT_SIZE: None, **presets}, name, "size")
        if view is None:
            return self
        return self.with_view(DEFAULT_SIZE, view.sides, view.flip, view.calibration, view.calibration_power)

    def with_view(self, name: str, sides: tuple[int, ...], flip: bool, calibration: float, power: float) -> Self:
        """The same with a preset added or replaced; "default" is what holds when no size is named."""
        if name == DEFAULT_SIZE:
            return replace(
                self, predict_sides=sides, predict_flip=flip, calibration=calibration, calibration_power=power
            )
        others = tuple(preset for preset in self.presets if preset.name != name)
        return replace(self, presets=(*others, Preset(name, sides, flip, calibration, power)))

    @property
    def shown_sides(self) -> tuple[int, ...]:
        """The shorter sides, in pixels, at which photos go through the network unless the user says otherwise."""
        return self.predict_sides or (min(self.size),)

    @property
    def is_calibrated(self) -> bool:
        """Whether held-out pictures have had their say."""
        return (self.calibration, self.calibration_power) != (1, 1)

    @property
    def calibration_in_words(self) -> str:
        """What becomes of depth."""
        if self.calibration_power == 1:
            return f"is multiplied by {self.calibration:g}"
        return f"d, in metres, becomes {self.calibration:g} d^{self.calibration_power:g}"

    def depth_law(self, side: int) -> tuple[float, float]:
        """(c, p): metres are c d^p of what the network says of a photo seen at this side (predictor.py says why)."""
        return self.calibration * (side / min(self.size)) ** self.calibration_power, self.calibration_power

    def __post_init__(self) -> None:
        self.require(
            len(self.size) == 2 and min(self.size) >= SMALLEST_SIDE,
            f"size must be (height, width), each at least {SMALLEST_SIDE} pixels, not {self.size}",
        )
        require_view(self, self.predict_sides, self.calibration, self.calibration_power)
        names = [preset.name for preset in self.presets]
        self.require(len(set(names)) == len(names), f"two presets of one name: {names}")
        self.require(self.depth_bins >= 2, f"depth_bins must be at least 2, not {self.depth_bins}")
        self.require(
            len(self.depth_range_m) == 2 and 0 < self.depth_range_m[0] < self.depth_range_m[1],
            f"depth_range_m must be (nearest, farthest) metres above 0, not {self.depth_range_m}",
        )
        self.require(0 <= self.edge_share <= 0.2, f"edge_share must be in 0..0.2, not {self.edge_share}")
        self.require(self.output_stride in (8, 16, 32), f"output_stride must be 8, 16 or 32, not {self.output_stride}")
        self.require(min(self.low_stages, self.high_stages) >= 1, "low_stages and high_stages must be at least 1")
        strides = (1, 2, 4) if self.system == ModelConfig.system else (1,)
        self.require(self.depth_stride in strides, f"depth_stride must be one of {strides}, not {self.depth_stride}")
        self.require(0 <= self.drop_path < 1, f"drop_path must be in [0, 1), not {self.drop_path}")
        self.require(
            min(self.high_blocks, default=0) >= 0, f"a block's number must not be negative: {self.high_blocks}"
        )
        self.require(min(self.aspp_rates, default=0) >= 1, f"aspp_rates must be positive, not {self.aspp_rates}")
        self.require(
            all(not further.also for further in self.also),
            "a network that is averaged with others averages none itself",
        )
        self.require(
            1 <= self.size_multiple <= SMALLEST_SIDE,
            f"size_multiple must be in 1..{SMALLEST_SIDE}, not {self.size_multiple}",
        )
        self.require(self.weight > 0, f"weight must be positive, not {self.weight}")
        self.require(10 <= self.view_percent <= 100, f"view_percent must be in 10..100, not {self.view_percent}")
        widths = (self.aspp_channels, self.low_channels, self.fuse_channels)
        self.require(min(widths) >= 1, f"channel widths must be positive, not {widths}")
