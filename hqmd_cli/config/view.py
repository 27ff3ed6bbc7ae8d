"""Views: at which sizes a network sees a photo, and what follows for depth. No torch, no NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hqmd_cli.config.base import SMALLEST_SIDE, Settings, checked, require

DEFAULT_SIZE = "default"  # the value of --size that names no preset
PLAIN, MIRRORED = False, True
# What a relative error is a sum of, each term with a coefficient (inference/uncertainty.py); names of settings in files
ERROR_TERMS = {
    "scale_error": ("constant", "views", "near", "flat"),
    "shape_error": ("constant", "views", "relief", "far", "top", "side", "rim"),
}
LARGEST_COEFFICIENT = 100


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
    # Coefficients of ERROR_TERMS: how wrong depth is, of a whole photo and within it; empty: not measured
    scale_error: tuple[float, ...] = ()
    shape_error: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for sides in (self.sides, self.detail_sides):
            require(
                min(sides, default=SMALLEST_SIDE) >= SMALLEST_SIDE,
                f"the sides photos are seen at must be at least {SMALLEST_SIDE} pixels, not {sides}",
            )
        for name, value in (("calibration", self.calibration), ("calibration_power", self.power)):
            require(0.5 <= value <= 2, f"{name} must be near 1, not {value}")
        require(0 <= self.edge_share <= 0.2, f"edge_share must be in 0..0.2, not {self.edge_share}")
        for name, values in self.errors.items():
            require(
                len(values) == len(ERROR_TERMS[name]) and all(0 <= value <= LARGEST_COEFFICIENT for value in values),
                f"{name} must be {len(ERROR_TERMS[name])} numbers in 0..{LARGEST_COEFFICIENT}, not {values}",
            )
        require(len(self.errors) in (0, len(ERROR_TERMS)), f"{' and '.join(ERROR_TERMS)} go together: give both")

    def to_flat(self) -> dict[str, Any]:
        """Return plain values by their names in files, without errors that were not measured."""
        errors = self.errors
        return {name: value for name, value in super().to_flat().items() if name not in ERROR_TERMS} | errors

    @property
    def errors(self) -> dict[str, tuple[float, ...]]:
        """The coefficients of ERROR_TERMS, by their names in files; empty if they were not measured."""
        return {name: values for name in ERROR_TERMS if (values := getattr(self, name))}

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


def errors_in(title: str, values: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return the coefficients of ERROR_TERMS in a section of a file. Raises HqmdError for other values."""
    return {name: checked(title, {name: values[name]}, {name: (0.0,)})[name] for name in ERROR_TERMS if name in values}


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
