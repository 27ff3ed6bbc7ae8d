"""Read JSON and TOML that may be damaged, or of another kind than expected.

Python's own readers raise RecursionError for deep nesting, take NaN and numbers of any length, and wait for ever on a
pipe. These raise ValueError with what is wrong, so that every caller names the file and the remedy in its own words.
"""

import json
import math
from pathlib import Path
from typing import Any

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.limits import LARGEST_JSON_BYTES, LARGEST_TOML_BYTES, read_bounded
from hqmd_cli.files.regular import open_regular

DEEPEST = 50  # lists and objects within each other
MOST_DIGITS = 19  # of a whole number: 64 bits
KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number"}  # in words


def whole(digits: str) -> int:
    """Parse a whole number. Raises ValueError for one that no program of ours writes."""
    if len(digits) > MOST_DIGITS + 1:  # a minus sign
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def finite(digits: str) -> float:
    """Parse a number. Raises ValueError for one that is not finite, such as 1e999."""
    if math.isfinite(value := float(digits)):
        return value
    raise ValueError(f"{digits} is not a finite number")


STRICT = json.JSONDecoder(parse_int=whole, parse_float=finite, parse_constant=finite)
LENIENT = json.JSONDecoder(parse_int=whole)  # lets NaN and Infinity pass
UNCHECKED = json.JSONDecoder()  # lets every number pass, five times as fast where there are thousands


def parse_json(text: str | bytes, kind: type = object, numbers: json.JSONDecoder = STRICT) -> Any:
    """Parse JSON whose outermost value is a `kind`; `numbers` is STRICT, LENIENT or UNCHECKED.

    Raises ValueError with what is wrong: syntax, encoding, nesting, a number, or the kind.
    """
    decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        value = numbers.decode(decoded)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    if decoded.count("[") + decoded.count("{") > DEEPEST:  # seldom, and counting takes less time than looking
        require_shallow(value)
    if not isinstance(value, kind):
        raise ValueError(f"holds {in_words(value)} instead of {KINDS.get(kind, kind.__name__)}")
    return value


def read_json(
    path: Path, kind: type = object, numbers: json.JSONDecoder = STRICT, most_bytes: int = LARGEST_JSON_BYTES
) -> Any:
    """Read a JSON file. Raises OSError, and ValueError as parse_json, or for a pipe, a device or a file too large."""
    return parse_json(read_plain(path, most_bytes), kind, numbers)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises OSError, and ValueError as read_json."""
    import tomllib  # only here: cold starts read JSON only

    text = read_plain(path, LARGEST_TOML_BYTES).decode("utf-8-sig")
    try:
        values = tomllib.loads(text, parse_float=finite)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    for value in require_shallow(values):
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise ValueError(f"a number of {len(f'{abs(value):x}')} hexadecimal digits")
    return values


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most so many bytes. Raises ValueError for a larger one, and for a pipe or a device."""
    try:
        file = open_regular(path)
    except HqmdError as error:  # which names the file, as every caller will
        raise ValueError("a pipe or device, not a file") from error
    with file:
        return read_bounded(file, most_bytes)


def require_shallow(value: Any) -> list[Any]:
    """Return all values that are neither lists nor objects. Raises ValueError if one is nested too deeply."""
    plain, level = [], [value]
    for depth in range(DEEPEST + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
            else:
                plain.append(one)
                continue
            if depth == DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} deep")
        level = inner
    return plain


def in_words(value: Any) -> str:
    """Describe the kind of a JSON value for an error message."""
    if value is None:
        return "null"
    return KINDS.get(type(value), type(value).__name__)
