"""Pictures and figures to files, in the format of the suffix."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import require_suffix, write_aside, write_bytes
from hqmd_cli.files.png import encode_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_SUFFIXES = frozenset({".png", ".pdf", ".svg"})


def write_image(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 RGB in the format of the path's suffix."""
    write_bytes(path, encode_image(path, rgb))


def encode_image(path: Path, rgb: NDArray[np.uint8], note: str = "") -> bytes | memoryview:
    """Encode (H, W, 3) uint8 RGB in the format of the path's suffix; PNG and JPEG also hold `note`."""
    if path.suffix.lower() == ".png":  # not with Pillow, see png.py
        return encode_png(rgb, {"Description": note} if note else None)
    picture_format = Image.registered_extensions().get(path.suffix.lower())
    if picture_format not in Image.SAVE:  # filled by registered_extensions; Pillow only reads some formats
        raise HqmdError(f"{path}: no picture format has this suffix; .png is one")
    how: dict[str, Any] = {"comment": note} if note and picture_format == "JPEG" else {}
    content = BytesIO()
    Image.fromarray(rgb).save(content, format=picture_format, **how)
    return content.getbuffer()


def write_jpeg(path: Path, rgb: NDArray[np.uint8], quality: int) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG of this quality."""
    write_bytes(path, encode_jpeg(rgb, quality))


def encode_jpeg(rgb: NDArray[np.uint8], quality: int) -> bytes:
    """Encode (H, W, 3) uint8 RGB as a JPEG of this quality, without any metadata."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def figure_text(text: str) -> str:
    """Write a text so that matplotlib draws it as it is: without undecodable bytes, and without formulas in $."""
    return printable(" ".join(text.split())).replace("$", r"\$")


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a matplotlib figure in the format of the path's suffix (.png, .pdf, .svg)."""
    require_suffix(path, FIGURE_SUFFIXES)
    write_aside(path, lambda aside: figure.savefig(aside, format=path.suffix.lstrip(".").lower()))
