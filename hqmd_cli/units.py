"""The kinds of map that a model gives: metric depth, or disparity and relative depth, which have no metres."""

from typing import Literal, get_args

from hqmd_cli.registry import pick

Kind = Literal["depth", "disparity", "relative"]
KINDS: tuple[Kind, ...] = get_args(Kind)

IN_WORDS: dict[Kind, str] = {
    "depth": "metres",
    "disparity": "disparity, larger is nearer, no metres",
    "relative": "relative depth, larger is farther, no metres",
}
# As they stand in records.
UNITS: dict[Kind, str] = {"depth": "metre", "disparity": "disparity", "relative": "relative"}
RANGE_KEYS: dict[Kind, tuple[str, str]] = {
    "depth": ("near_m", "far_m"),
    "disparity": ("near", "far"),
    "relative": ("near", "far"),
}
# The fit to the ground truth that turns a map into metres; None if it is in metres.
NEEDED_FIT: dict[Kind, str | None] = {
    "depth": None,
    "disparity": "scale and shift in disparity",
    "relative": "scale and shift in depth",
}
DIGITS = 4  # decimals of a printed score


def kind_named(name: str) -> Kind:
    """Return the kind of this name. Raises HqmdError listing the kinds for any other name."""
    return pick({kind: kind for kind in KINDS}, name, "kind of map")
