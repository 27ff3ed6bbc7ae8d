"""Protocols of one's own, as TOML files.

ground_truth = "filled"
frames = [[480, 640]]
crop = [45, 471, 41, 601]
clip_m = [0.001, 10]
"""

import tomllib
import types
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hqmd_cli.errors import HqmdError
from hqmd_cli.protocol_recipe import Protocol


def read_protocol(path: Path) -> Protocol:
    """A protocol of one's own: a TOML file whose keys are the fields of Protocol; the name is the file's by default.

    Raises HqmdError naming the file and the key that is unknown, missing, of the wrong type or contradicts another.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable protocol: {error}") from error
    known = {field.name: field for field in fields(Protocol)}
    for key in values:
        if key not in known:
            raise HqmdError(f"{path}: unknown key {key!r}; there are: {', '.join(known)}")
    values = {"name": path.stem, "source": path.name} | values
    if missing := [key for key, field in known.items() if field.default is MISSING and key not in values]:
        raise HqmdError(f"{path}: {', '.join(missing)} is missing")
    kinds = get_type_hints(Protocol)
    try:
        return Protocol(**{key: as_kind(key, value, kinds[key]) for key, value in values.items()})
    except HqmdError as error:
        raise HqmdError(f"{path}: {error}") from error


def as_kind(key: str, value: Any, kind: Any) -> Any:
    """A TOML value as a field's type: its lists are our tuples, its whole numbers may be lengths.

    Raises HqmdError naming the key where it is neither.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # `| None`: a file leaves out what it does not want
        return as_kind(key, value, next(part for part in parts if part is not type(None)))
    if origin is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(value):
            raise HqmdError(f"{key} must be {len(kinds)} values, not {len(value)}")
        return tuple(as_kind(key, item, part) for item, part in zip(value, kinds, strict=True))
    if kind is float and type(value) is int:
        return float(value)
    if origin is Literal and value in parts:
        return value
    if origin is None and type(value) is kind:
        return value
    raise HqmdError(f"{key} must be {in_words(kind)}, not {value!r}")


def in_words(kind: Any) -> str:
    """A field's type for an error message."""
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    return {str: "text", bool: "true or false", int: "a whole number", float: "a number"}[kind]
