"""A camera in a JSON file: `--camera K.json`."""

from pathlib import Path
from typing import Any

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.checked_json import read_json
from hqmd_cli.geometry.camera import FX_RANGE

NUMBERS = ("fx", "fy", "cx", "cy")  # pixels
SIZE = ("height", "width")  # of the photos, in pixels; may be left out
DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "dist", "distortion", "dist_coeffs", "D")


def read_camera(path: Path) -> dict[str, Any]:
    """Read {"fx": ..., "fy": ..., "cx": ..., "cy": ...}, in pixels, with "width" and "height" if they are there.

    Returns the values of geometry.camera.Intrinsics, and "size": [height, width] or None. Lens distortion is left out
    of account, which the origin says. Raises HqmdError naming the file for anything that is no camera.
    """
    name = printable(str(path))
    try:
        values = read_json(path, dict)
    except OSError as error:
        raise HqmdError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise HqmdError(f"{name}: not a camera in JSON: {printable(str(error))}") from error
    numbers = {key: values.get(key) for key in NUMBERS}
    wrong = [key for key, value in numbers.items() if isinstance(value, bool) or not isinstance(value, (int, float))]
    if wrong:
        raise HqmdError(f"{name}: a camera has the numbers fx, fy, cx and cy, in pixels; {', '.join(wrong)} is missing")
    shortest, longest = FX_RANGE
    if not all(shortest <= numbers[key] <= longest for key in ("fx", "fy")):
        raise HqmdError(
            f"{name}: focal lengths are {shortest:g} to {longest:g} pixels, unlike fx {numbers['fx']:g} and "
            f"fy {numbers['fy']:g}"
        )
    if not all(abs(numbers[key]) <= longest for key in ("cx", "cy")):
        raise HqmdError(f"{name}: cx {numbers['cx']:g} and cy {numbers['cy']:g} lie far outside any photo, in pixels")
    size = [values.get(key) for key in SIZE]
    if any(side is not None for side in size) and not all(isinstance(side, int) and side > 0 for side in size):
        raise HqmdError(f"{name}: width and height are whole numbers of pixels; give both or neither")
    bent = any(has_nonzero(values.get(key)) for key in DISTORTION)
    origin = f"the camera of {printable(path.name)}{', its lens distortion ignored' if bent else ''}"
    return {**numbers, "origin": origin, "size": size if size[0] is not None else None}


def has_nonzero(value: Any) -> bool:
    """True if a number, or one in a list, is not 0."""
    if isinstance(value, list):
        return any(map(has_nonzero, value))
    return isinstance(value, (int, float)) and value != 0
