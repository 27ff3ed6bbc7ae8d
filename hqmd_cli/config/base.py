"""Frozen dataclasses of settings: checked when they are made, grouped in the code, flat in files.

config.json, recipes, training states and `hqmd info` name every setting once, without its group. `Settings.to_flat` and
`Settings.from_flat` lead from one form to the other. This folder cites sections of Jiang & Huang, "High Quality
Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving Objective" (HQMD).
"""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import Field, fields
from itertools import cycle
from typing import Any, Self

from hqmd_cli.errors import HqmdError

SMALLEST_SIDE = 32  # pixels; below this a stride-32 backbone has no feature map left
LARGEST_SIDE = 1344  # pixels at which a photo is seen; networks were trained at 224 to 252, and more adds detail only
MOST_SIDES = 8  # at which a photo is seen
MOST_VALUES = 64  # of a setting that is a list
LONGEST_TEXT = 1000  # letters of a setting that is a text
LARGEST_WHOLE = 2**63

Bounds = Mapping[str, tuple[float, float]]  # name of a setting in files -> smallest and largest number


class UnknownSetting(HqmdError):
    """A setting that this version does not have; a newer one may."""


class Settings:
    """Base of every group of settings, and of the configs that hold groups.

    A field may hold another group. Metadata "flat" gives the field's name in files where it differs.
    """

    def to_flat(self) -> dict[str, Any]:
        """Return plain values by their names in files."""
        flat: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            flat |= value.to_flat() if isinstance(value, Settings) else {flat_name(field): value}
        return flat

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> Self:
        """Build from JSON or TOML values over the defaults. Raises HqmdError for an unknown name or a wrong value."""
        return cls.picked(checked(cls.__name__, mapping(cls.__name__, values), cls().to_flat()))

    @classmethod
    def picked(cls, flat: Mapping[str, Any]) -> Self:
        """Build from the flat values that belong to this class; all of them must be there, others are ignored."""

        def value_of(field: "Field[Any]") -> Any:
            group = field.default
            return group.picked(flat) if isinstance(group, Settings) else flat[flat_name(field)]

        return cls(**{field.name: value_of(field) for field in fields(cls)})  # type: ignore[arg-type]

    def with_settings(self, **changes: Any) -> Self:
        """Return a copy in which settings, by their names in files, have other values."""
        return self.from_flat({**self.to_flat(), **changes})


def flat_name(field: "Field[Any]") -> str:
    """Return the name of a setting in files."""
    return str(field.metadata.get("flat", field.name))


def checked(title: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with `values` over them, lists as tuples.

    Raises HqmdError for a name that has no default, and for a value of another type than its default.
    """
    if unknown := sorted(values.keys() - defaults.keys()):
        named = ", ".join(name if name.isidentifier() else brief(name) for name in unknown[:MOST_VALUES])
        raise UnknownSetting(f"unknown {title} setting {named}; known: {', '.join(sorted(defaults))}")
    for name, value in values.items():
        if not fits(value, defaults[name]):
            raise HqmdError(f"{name} cannot be {brief(value)}")
    return {**defaults, **{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}}


def text_within(name: str, value: Any, longest: int) -> str:
    """Return a text of a file. Raises HqmdError for anything else, and for one that is longer than it may be."""
    require(isinstance(value, str) and len(value) <= longest, f"{name} cannot be {brief(value)}")
    return str(value)


def fits(value: Any, default: Any) -> bool:
    """Return True if a value from JSON or TOML has its default's type; None stands for an optional whole number."""
    if isinstance(default, tuple):
        short = isinstance(value, (list, tuple)) and len(value) <= MOST_VALUES
        return short and all(map(fits, value, cycle(default or (0,))))
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(value, int):
        return (default is None or isinstance(default, (int, float))) and abs(value) < LARGEST_WHOLE
    if isinstance(value, float):
        return isinstance(default, float) and math.isfinite(value)
    if isinstance(value, str):
        return isinstance(default, str) and len(value) <= LONGEST_TEXT
    return value is None and default is None


def mapping(title: str, values: Any) -> Mapping[str, Any]:
    """Return the values of a section, by name. Raises HqmdError if a file holds something else there."""
    if not isinstance(values, Mapping):
        raise HqmdError(f"{title} must hold settings by name, not {brief(values)}")
    return values


def brief(value: Any) -> str:
    """Write a value of a file for an error message, shortened."""
    return BRIEF.repr(value)


BRIEF = reprlib.Repr()
BRIEF.maxstring = BRIEF.maxother = 100  # letters


def require_within(settings: Settings, bounds: Bounds) -> None:
    """Raise HqmdError for a setting with a number outside its bounds, the ends included."""
    for field in fields(settings):  # type: ignore[arg-type]
        if (ends := bounds.get(flat_name(field))) is None:
            continue
        value = getattr(settings, field.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(number is None or ends[0] <= number <= ends[1] for number in numbers):
            raise HqmdError(f"{flat_name(field)} must be in {ends[0]:,g}..{ends[1]:,g}, not {brief(value)}")


def require(holds: bool, complaint: str) -> None:
    """Raise HqmdError with the complaint unless the condition holds."""
    if not holds:
        raise HqmdError(complaint)
