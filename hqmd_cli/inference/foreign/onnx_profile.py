"""Profiles: how a third-party ONNX file takes its picture, and what it returns. Data, not code.

The catalogue has some by name, with their sources (checkpoints/catalogue.toml); a user writes his own into a TOML file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hqmd_cli.config.base import Settings, require, require_within
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.checked_json import read_toml
from hqmd_cli.registry import pick
from hqmd_cli.units import KINDS

# How the picture gets its size; sides are rounded to `multiple`.
FITS = {
    "own": "the photo's own size",
    "shorter": "the shorter side becomes `side`",
    "longer": "the longer side becomes `side`",
    "closest": "the side that changes less becomes `side`, as transformers' DPT processor has it",
    "stretch": "becomes `size`, whatever its shape",
    "pad": "fits into `size`, with `padding` around it",
}
RESIZES = {
    "area": "mean of areas, cubic where it grows (OpenCV)",
    "linear": "linear, without a filter (OpenCV)",
    "bilinear": "linear with a filter (Pillow)",
    "bicubic": "cubic with a filter (Pillow)",
}
ENLARGES = {"linear": "", "cubic": ""}
# What is computed from the outputs, besides `output` itself (after_onnx.py).
AFTERS = {
    "": "nothing",
    "sky": "an output `sky` marks what has no depth",
    "moge": "points up to focal length and shift, as MoGe gives them",
}
BOUNDS = {
    "side": (0, 4096),
    "size": (1, 4096),
    "multiple": (1, 256),
    "most_pixels": (1024, 16_000_000),
    "padding": (0, 255),
    "std": (1e-6, 1e6),
    "focal": (0, 1e6),
    "scale": (1e-6, 1e6),
    "tokens": (0, 100_000),
}


@dataclass(frozen=True)
class Profile(Settings):
    """What has to be known of an ONNX file. Raises HqmdError for values that contradict each other."""

    kind: str = ""  # depth, disparity or relative; empty: --model-kind says
    input: str = ""  # of the picture; empty: the only input
    views: bool = False  # True: (1, 1, 3, h, w), an axis of views before the channels
    channels_last: bool = False  # True: (1, h, w, 3)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)  # of RGB in 0..1, subtracted
    std: tuple[float, ...] = (1.0, 1.0, 1.0)  # by which the rest is divided; an input of bytes gets them as they are
    fit: str = "own"  # a key of FITS
    side: int = 0
    size: tuple[int, ...] = ()  # (height, width)
    multiple: int = 1
    most_pixels: int = 2_000_000  # a larger picture is shrunk to that many
    padding: tuple[float, ...] = (0.0, 0.0, 0.0)  # RGB in 0..255
    resize: str = "area"  # a key of RESIZES
    output: str = ""  # of the map; empty: the only output
    enlarge: str = "linear"  # or cubic
    scale: float = 1.0  # metres per unit of the output
    focal: float = 0.0  # metres = output * focal length in pixels of the resized picture / focal; 0: they need none
    after: str = ""  # a key of AFTERS
    tokens: int = 0  # value for the input `num_tokens`; 0: the file has no such input
    source: str = ""  # who says so

    def __post_init__(self) -> None:
        require(self.kind in ("", *KINDS), f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        for name, choices in (("fit", FITS), ("resize", RESIZES), ("enlarge", ENLARGES), ("after", AFTERS)):
            pick(choices, getattr(self, name), name)
        for name in ("mean", "std", "padding"):
            require(len(getattr(self, name)) == 3, f"{name} must be 3 numbers, of red, green and blue")
        require_within(self, BOUNDS)
        if self.fit in ("shorter", "longer", "closest"):
            require(self.side > 0, f"fit {self.fit} needs side")
        if self.fit in ("stretch", "pad"):
            require(len(self.size) == 2, f"fit {self.fit} needs size, the height and width")


def find_profile(name: str, known: Mapping[str, Mapping[str, Any]]) -> Profile:
    """Return the profile of this name in `known`, or in this TOML file. Raises HqmdError for anything else."""
    if name in known:
        return Profile.from_flat(known[name])
    path = Path(name).expanduser()
    if path.suffix.lower() != ".toml":
        pick(known, name, "profile, nor a file NAME.toml")
    try:
        return Profile.from_flat(read_toml(path))
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable profile: {error}") from error
    except HqmdError as error:
        raise HqmdError(f"{path}: {error}") from error
