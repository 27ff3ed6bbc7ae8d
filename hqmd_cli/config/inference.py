"""What a network is and how it is trained: two frozen dataclasses whose defaults are the paper's.

A checkpoint stores both, so it reopens without a flag and says how it was made. Sections cited are those of
Jiang & Huang, "High Quality Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving
Objective" (HQMD).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hqmd_cli.config.base import SMALLEST_SIDE, Config

DEFAULT_SIZE = "default"  # what --size is when nothing is said


def require_view(config: Config, sides: tuple[int, ...], calibration: float, power: float) -> None:
    """What holds of every way to show photos to a network."""
    config.require(
        min(sides, default=SMALLEST_SIDE) >= SMALLEST_SIDE,
        f"the sides photos are seen at must be at least {SMALLEST_SIDE} pixels, not {sides}",
    )
    for name, value in (("calibration", calibration), ("calibration_power", power)):
        config.require(0.5 <= value <= 2, f"{name} must be near 1, not {value}")


@dataclass(frozen=True)
class Preset(Config):
    """A way to show photos to a network, by the name that `--size` takes: less time, or more detail."""

    name: str = ""
    sides: tuple[int, ...] = ()  # pixels, as ModelConfig.predict_sides
    flip: bool = False  # as ModelConfig.predict_flip
    calibration: float = 1.0  # as ModelConfig's, and so the next; they belong to the sides
    calibration_power: float = 1.0

    def __post_init__(self) -> None:
        self.require(
            self.name.isidentifier() and self.name != DEFAULT_SIZE,
            f"a preset's name is one word other than {DEFAULT_SIZE}, not {self.name!r}",
        )
        require_view(self, self.sides, self.calibration, self.calibration_power)
        self.require(bool(self.sides), f"preset {self.name} has no sides")


PLAIN, MIRRORED = False, True


def looks(sides: Sequence[int], flip: bool) -> list[tuple[int, tuple[bool, ...]]]:
    """Each side, the smallest first, with how the photo is shown there; one look each, with `flip` both.

    Of several sides every other one shows it mirrored, which costs nothing, and tells the network more than the same
    photo larger: hqmd-indoor-small has RMSE 0.613 on val when it sees 224 pixels and mirrored 288, 0.619 without that.
    """
    ordered = sorted(sides)
    if flip:
        return [(side, (PLAIN, MIRRORED)) for side in ordered]
    return [(side, (MIRRORED if place % 2 else PLAIN,)) for place, side in enumerate(ordered)]


def in_pixels(sides: Sequence[int], flip: bool) -> str:
    """The same in words."""
    views = looks(sides, flip)
    shown = [f"{side} (mirrored)" if look == (MIRRORED,) else str(side) for side, look in views]
    both = ", as they are and mirrored" if flip else ""
    return f"{' and '.join(shown)} pixels{both}{', averaged' if views[1:] or flip else ''}"
