"""Models: what a network's layers are, how it computes, how it sees photos, and which others it is averaged with.

A checkpoint stores all of it, so it reopens without a flag. Defaults are the paper's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from hqmd_cli.config.base import (
    LARGEST_SIDE,
    MOST_SIDES,
    SMALLEST_SIDE,
    Bounds,
    Settings,
    brief,
    checked,
    mapping,
    require,
    require_within,
    text_within,
)
from hqmd_cli.config.view import DEFAULT_SIZE, DEFAULT_VIEW, ERROR_TERMS, View, errors_in
from hqmd_cli.errors import HqmdError
from hqmd_cli.registry import pick

OURS = "hqmd"  # the system that the paper describes; a key of models.SYSTEMS
# The system of networks that others made, and the setting that holds theirs, which other systems' files lack
TRANSFORMERS = "transformers"
LONGEST_FOREIGN = 2**16  # letters of it

# Settings that hqmd no longer has, each with the one that tells if it is used. Older checkpoints, such as the bundled
# ones, still name all of them.
DELETED = {"guide": "guide", "guide_blocks": "guide", "guide_channels": "guide", "left_out": "left_out"}
LAST_WITH_DELETED = "6e49211"  # the last commit that had them


# The name of a network in timm. timm also takes addresses, such as hf-hub:org/name or local-dir:FOLDER, and would open
# them for whoever wrote the file.
TIMM_NAME = re.compile(r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*")
BOUNDS: Bounds = {  # far beyond any published network; larger numbers in a damaged file would fill the memory
    "size": (SMALLEST_SIDE, 4 * LARGEST_SIDE),  # the longer side; a panorama's is long
    "depth_bins": (2, 1000),
    "depth_range_m": (0, 100_000),
    "low_stages": (1, 64),
    "high_stages": (1, 64),
    "high_blocks": (0, 1000),
    "aspp_rates": (1, 1000),
    "aspp_channels": (1, 8192),
    "low_channels": (1, 8192),
    "fuse_channels": (1, 8192),
}
DEPTH_STRIDES = (1, 2, 4)
MOST_MEMBERS, MOST_PRESETS = 16, 64


def without_deleted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the settings that hqmd no longer has. Raises HqmdError where one is used."""
    if used := [name for name, switch in DELETED.items() if name in values and values.get(switch, True)]:
        raise HqmdError(f"hqmd no longer supports {', '.join(used)}; commit {LAST_WITH_DELETED} was the last that did")
    return {name: value for name, value in values.items() if name not in DELETED}


@dataclass(frozen=True)
class NetworkConfig(Settings):
    """A network's layers: backbone, atrous spatial pyramid pooling, decoder (paper 3.1), and the size it learns at."""

    backbone: str = "resnet50"  # any timm name; 4.1
    decoder: str = "baseline+"  # a key of models.DECODERS
    # Logits to metres: a key of models.activations.ACTIVATIONS, or "sid" or "uid": depth intervals (models/ordinal.py)
    activation: str = "softplus"
    depth_bins: int = 68  # number of intervals; 68 and the range are those of DORN for NYU (Fu et al.)
    depth_range_m: tuple[float, float] = (0.698, 10.59)  # nearest and farthest end of the intervals
    size: tuple[int, int] = (289, 385)  # (H, W) of the pictures it is trained on; 4.1
    output_stride: int = 16  # of the backbone's last stage; 8 and 16 by dilation, where timm offers it
    low_stages: int = 1  # backbone stages joined in `low`, from stride 4 on
    high_stages: int = 1  # backbone stages (of a ViT: blocks) joined in `high`, the deepest ones
    high_blocks: tuple[int, ...] = ()  # counted from 0: take these stages (blocks) instead, and drop all later ones
    drop_path: float = 0.0  # chance that a training step skips a block of the backbone, rising with its depth
    aspp_rates: tuple[int, ...] = (6, 12, 18)  # DeepLabv3+ at stride 16
    aspp_channels: int = 256  # DeepLabv3+
    low_channels: int = 48  # DeepLabv3+: low features are narrowed so that they do not outweigh the context
    fuse_channels: int = 256  # DeepLabv3+
    # A key of models.SYSTEMS, or TRANSFORMERS; each system reads only the settings that its layers have
    system: str = OURS

    def __post_init__(self) -> None:
        require(
            len(self.size) == 2 and min(self.size) >= SMALLEST_SIDE,
            f"size must be (height, width), each at least {SMALLEST_SIDE} pixels, not {self.size}",
        )
        require(
            len(self.depth_range_m) == 2 and 0 < self.depth_range_m[0] < self.depth_range_m[1],
            f"depth_range_m must be (nearest, farthest) metres above 0, not {self.depth_range_m}",
        )
        require(self.output_stride in (8, 16, 32), f"output_stride must be 8, 16 or 32, not {self.output_stride}")
        require(0 <= self.drop_path < 1, f"drop_path must be in [0, 1), not {self.drop_path}")
        require(bool(self.aspp_rates), "aspp_rates must be at least one rate")
        require_within(self, BOUNDS)
        require(min(self.size) <= LARGEST_SIDE, f"size must have a side up to {LARGEST_SIDE} pixels, not {self.size}")
        require(
            TIMM_NAME.fullmatch(self.backbone) is not None,
            f"backbone must be the plain name of a network in timm, such as resnet50, not {brief(self.backbone)}; "
            "addresses of the hub or of folders are not opened",
        )


@dataclass(frozen=True)
class Compute(Settings):
    """How a network computes depth once it is trained; its weights are the same either way."""

    size_multiple: int = 1  # round both sides of a picture to multiples of this: a backbone's stride, or a ViT's patch
    coarse_first: bool = False  # convolve maps of several strides each at its own (models/strided.py)
    depth_stride: int = 1  # compute depth at every Nth row and column; predict fills in the others along edges
    sharpen_below: int = 0  # sharpen photos whose shorter side has fewer pixels (geometry/resize.py); 0: none

    def rounded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size (H, W) in whole multiples of `size_multiple`."""
        height, width = (max(1, round(side / self.size_multiple)) * self.size_multiple for side in size)
        return height, width

    def __post_init__(self) -> None:
        require(
            1 <= self.size_multiple <= SMALLEST_SIDE,
            f"size_multiple must be in 1..{SMALLEST_SIDE}, not {self.size_multiple}",
        )
        require(
            0 <= self.sharpen_below <= LARGEST_SIDE,
            f"sharpen_below must be in 0..{LARGEST_SIDE}, not {self.sharpen_below}",
        )


# In files. Older ones have no detail_sides.
PRESET = {"name": "", "sides": (), "detail_sides": (), "flip": False, "calibration": 1.0, "calibration_power": 1.0}


def preset_view(preset: Mapping[str, Any]) -> View:
    """Build the view of a preset from its checked values in a file."""
    law = preset["calibration"], preset["calibration_power"]
    errors = (preset.get(name, ()) for name in ERROR_TERMS)
    return View(preset["sides"], preset["detail_sides"], preset["flip"], *law, 0.0, *errors)


@dataclass(frozen=True)
class ModelConfig(Settings):
    """A whole model: one network, or an ensemble of `members` whose depth is averaged (models/ensemble.py)."""

    network: NetworkConfig = NetworkConfig()
    compute: Compute = Compute()
    view: View = DEFAULT_VIEW
    presets: Mapping[str, View] = field(default_factory=dict)  # further views, by the name that `--size` takes
    others: tuple["ModelConfig", ...] = field(default=(), metadata={"flat": "also"})  # further networks of an ensemble
    weight: float = 1.0  # of this network in the mean
    # How large a further network of an ensemble sees the picture, in percent of what the first one sees
    view_percent: int = 100
    transformers: str = ""  # of that system: its network and processor as JSON (models/foreign_network.py)

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Self:
        """Build from JSON or TOML values. Raises HqmdError for an unknown, wrong or deleted setting that is used."""
        mapping(cls.__name__, values)
        nested = {name: values.get(name, ()) for name in ("presets", "also")}
        for name, most in (("presets", MOST_PRESETS), ("also", MOST_MEMBERS - 1)):
            many = nested[name]
            require(
                isinstance(many, (list, tuple)) and len(many) <= most and all(isinstance(m, Mapping) for m in many),
                f"{name} must be a list of at most {most} sections, not {brief(many)}",
            )
        apart = (*nested, *ERROR_TERMS, TRANSFORMERS)
        plain = {name: value for name, value in without_deleted(values).items() if name not in apart}
        flat = checked(cls.__name__, plain, cls().to_flat())
        view = View.picked(flat | dict.fromkeys(ERROR_TERMS, ()) | errors_in(cls.__name__, values))
        require(not view.detail_sides, "detail_sides belong into a preset: the default view has none")
        presets = [
            checked("preset", {name: value for name, value in preset.items() if name not in ERROR_TERMS}, PRESET)
            | errors_in("preset", preset)
            for preset in nested["presets"]
        ]
        names = [preset["name"] for preset in presets]
        require(len(set(names)) == len(names), f"two presets of one name: {names}")
        return cls(
            NetworkConfig.picked(flat),
            Compute.picked(flat),
            view,
            {preset["name"]: preset_view(preset) for preset in presets},
            tuple(cls.from_flat(other) for other in nested["also"]),
            flat["weight"],
            flat["view_percent"],
            text_within(TRANSFORMERS, values.get(TRANSFORMERS, ""), LONGEST_FOREIGN),
        ).with_edge_share(view.edge_share)

    def to_flat(self) -> dict[str, Any]:
        """Return plain values by their names in files; presets and further networks as tuples of such dicts."""
        presets = tuple(
            {
                "name": name,
                "sides": view.sides,
                "detail_sides": view.detail_sides,
                "flip": view.flip,
                "calibration": view.calibration,
                "calibration_power": view.power,
                **view.errors,
            }
            for name, view in self.presets.items()
        )
        flat = super().to_flat() | {"presets": presets, "also": tuple(other.to_flat() for other in self.others)}
        return {name: value for name, value in flat.items() if value or name != TRANSFORMERS}

    @property
    def members(self) -> tuple["ModelConfig", ...]:
        """All networks whose depth is averaged, this one first."""
        return (replace(self, others=()), *self.others)

    @cached_property
    def shown_sides(self) -> tuple[int, ...]:
        """The shorter sides, in pixels, at which photos go through the network unless the user names others."""
        return self.view.sides or (min(self.network.size),)

    def at_size(self, name: str) -> Self:
        """Return a copy whose view is one of the presets. Raises HqmdError when there is none of that name."""
        return replace(self, view=pick({DEFAULT_SIZE: self.view, **self.presets}, name, "size"))

    def with_view(self, name: str, view: View) -> Self:
        """Return a copy with a preset added or replaced; "default" replaces the default view."""
        if name == DEFAULT_SIZE:
            return replace(self, view=view)
        return replace(self, presets={**{n: v for n, v in self.presets.items() if n != name}, name: view})

    def with_edge_share(self, edge_share: float) -> Self:
        """Return a copy whose views all fit depth to the photo's edges within this share of the shorter side."""
        presets = {name: replace(view, edge_share=edge_share) for name, view in self.presets.items()}
        return replace(self, view=replace(self.view, edge_share=edge_share), presets=presets)

    def depth_law(self, side: int) -> tuple[float, float]:
        """Return (c, p): metres are c d^p of the network's depth d for a photo seen at this side (predictor.py)."""
        return self.view.calibration * (side / min(self.network.size)) ** self.view.power, self.view.power

    def __post_init__(self) -> None:
        for name, view in self.presets.items():
            require(
                name.isidentifier() and name != DEFAULT_SIZE,
                f"a preset's name is one word other than {DEFAULT_SIZE}, not {name!r}",
            )
            require(bool(view.sides), f"preset {name} has no sides")
        strides = DEPTH_STRIDES if self.network.system == OURS else (1,)
        stride = self.compute.depth_stride
        require(stride in strides, f"depth_stride must be one of {strides}, not {stride}")
        require(
            (self.network.system == TRANSFORMERS) == bool(self.transformers),
            f"system {TRANSFORMERS} and the settings of its network go together: begin with --start hf:org/name",
        )
        nested = any(other.others for other in self.others)
        require(not nested, "a network that is averaged with others averages none itself")
        require(
            len(self.others) < MOST_MEMBERS, f"at most {MOST_MEMBERS} networks are averaged, not {1 + len(self.others)}"
        )
        require(len(self.presets) <= MOST_PRESETS, f"there are at most {MOST_PRESETS} presets, not {len(self.presets)}")
        require(0 < self.weight <= 1e6, f"weight must be positive, and at most a million, not {self.weight}")
        views = (self.view, *self.presets.values())
        for sides in (sides for view in views for sides in (view.sides, view.detail_sides)):
            require(
                len(sides) <= MOST_SIDES and max(sides, default=0) <= LARGEST_SIDE,
                f"the sides photos are seen at must be {MOST_SIDES} at most, each up to {LARGEST_SIDE} pixels, not "
                f"{brief(sides)}",
            )
        require(10 <= self.view_percent <= 100, f"view_percent must be in 10..100, not {self.view_percent}")
