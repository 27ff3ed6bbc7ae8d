"""What the numbers of a map are: metres, or something that has none."""

from typing import Literal, get_args

from hqmd_cli.registry import pick

Kind = Literal["depth", "disparity", "relative"]
KINDS: tuple[Kind, ...] = get_args(Kind)

IN_WORDS: dict[Kind, str] = {
    "depth": "metres",
    "disparity": "disparity, larger is nearer, no metres",
    "relative": "relative depth, larger is farther, no metres",
}
UNITS: dict[Kind, str] = {"depth": "metre", "disparity": "disparity", "relative": "relative"}  # in records
# The only fit to the truth that gives them metres (None: they have them).
NEEDED_FIT: dict[Kind, str | None] = {
    "depth": None,
    "disparity": "scale and shift in disparity",
    "relative": "scale and shift in depth",
}


def kind_named(name: str) -> Kind:
    """The kind that a user, or a function of his, calls so. Raises HqmdError listing them when there is none."""
    return pick({kind: kind for kind in KINDS}, name, "kind of map")


def range_keys(kind: Kind) -> tuple[str, str]:
    """What these two are called in records: only metres are called so."""
    return ("near_m", "far_m") if kind == "depth" else ("near", "far")


DIGITS = 4  # behind the point, wherever a figure is printed
