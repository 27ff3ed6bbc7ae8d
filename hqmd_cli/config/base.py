"""What a network is and how it is trained: two frozen dataclasses whose defaults are the paper's.

A checkpoint stores both, so it reopens without a flag and says how it was made. Sections cited are those of
Jiang & Huang, "High Quality Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving
Objective" (HQMD).
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from itertools import cycle
from typing import Any, Self

from hqmd_cli.errors import HqmdError

SMALLEST_SIDE = 32  # pixels; below this a stride-32 backbone has no feature map left


class Config:
    """Shared by both configs: made from plain data, turned back into plain data, nonsense refused."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from JSON or TOML values. Raises HqmdError for unknown keys."""
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(values) - known):
            raise HqmdError(f"unknown {cls.__name__} setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        for field in fields(cls):  # type: ignore[arg-type]
            if field.name in values and not fits(values[field.name], field.default):
                raise HqmdError(f"{field.name} cannot be {values[field.name]!r}")
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)  # type: ignore[call-overload]

    def require(self, holds: bool, complaint: str) -> None:
        """Refuse a nonsensical setting."""
        if not holds:
            raise HqmdError(complaint)


def fits(value: Any, default: Any) -> bool:
    """Whether a value from JSON or TOML is of its default's kind; None is that of a whole number left out."""
    if isinstance(default, tuple):
        return isinstance(value, (list, tuple)) and all(map(fits, value, cycle(default or (0,))))
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if default is None:
        return value is None or isinstance(value, int)
    return isinstance(value, (int, float) if isinstance(default, float) else type(default))
