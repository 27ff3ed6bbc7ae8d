"""Views: at which sizes a network sees a photo, and what follows for depth. No torch, no NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hqmd_cli.config.base import SMALLEST_SIDE, Settings, require

DEFAULT_SIZE = "default"  # the value of --size that names no preset
PLAIN, MIRRORED = False, True


@dataclass(frozen=True)
class View(Settings):
    """How a network sees photos: a model's default, or one of its presets for `--size`."""

    # Shorter sides, in pixels, at which the photo goes through the network; empty: the one it was trained at
    sides: tuple[int, ...] = field(default=(), metadata={"flat": "predict_sides"})
    # Shorter sides, in pixels, of larger pictures that only add detail (inference/predictor.py)
    detail_sides: tuple[int, ...] = ()
    # True: average with the mirrored photo
    flip: bool = field(default=False, metadata={"flat": "predict_flip"})
    # c and p: held-out photos show that depth d should be c d^p (evaluation/calibration.py)
    calibration: float = 1.0
    power: float = field(default=1.0, metadata={"flat": "calibration_power"})
    # Depth follows the photo's edges within this share of the shorter side; 0: it is enlarged bilinearly
    edge_share: float = 0.0

    def __post_init__(self) -> None:
        for sides in (self.sides, self.detail_sides):
            require(
                min(sides, default=SMALLEST_SIDE) >= SMALLEST_SIDE,
                f"the sides photos are seen at must be at least {SMALLEST_SIDE} pixels, not {sides}",
            )
        for name, value in (("calibration", self.calibration), ("calibration_power", self.power)):
            require(0.5 <= value <= 2, f"{name} must be near 1, not {value}")
        require(0 <= self.edge_share <= 0.2, f"edge_share must be in 0..0.2, not {self.edge_share}")

    @property
    def is_calibrated(self) -> bool:
        """True if the model was calibrated on held-out photos."""
        return (self.calibration, self.power) != (1, 1)

    @property
    def calibration_in_words(self) -> str:
        """The predicate of a sentence about depth."""
        if self.power == 1:
            return f"is multiplied by {self.calibration:g}"
        return f"d, in metres, becomes {self.calibration:g} d^{self.power:g}"


DEFAULT_VIEW = View()


class SideView(NamedTuple):
    """One size at which the network sees a photo."""

    side: int  # shorter side, in pixels
    mirrored: tuple[bool, ...]  # one pass through the network for each: PLAIN, MIRRORED or both


def side_views(sides: Sequence[int], flip: bool) -> list[SideView]:
    """Return a view for each side, the smallest first; with `flip` each shows the photo plain and mirrored.

    Without `flip`, every other side shows the photo mirrored. That costs nothing and tells the network more than the
    same photo enlarged: hqmd-indoor-small has RMSE 0.613 on val at 224 pixels and mirrored 288, 0.619 with both plain.
    """
    if flip:
        return [SideView(side, (PLAIN, MIRRORED)) for side in sorted(sides)]
    return [SideView(side, (MIRRORED if place % 2 else PLAIN,)) for place, side in enumerate(sorted(sides))]


def sides_in_words(sides: Sequence[int], flip: bool, detail_sides: Sequence[int] = ()) -> str:
    """Describe the views of `side_views`, such as "224 and 288 (mirrored) pixels, averaged; detail from 448"."""
    views = side_views(sides, flip)
    shown = [f"{view.side} (mirrored)" if view.mirrored == (MIRRORED,) else str(view.side) for view in views]
    both = ", as they are and mirrored" if flip else ""
    detail = f"; detail from {' and '.join(map(str, sorted(detail_sides)))} pixels" if detail_sides else ""
    return f"{' and '.join(shown)} pixels{both}{', averaged' if views[1:] or flip else ''}{detail}"
