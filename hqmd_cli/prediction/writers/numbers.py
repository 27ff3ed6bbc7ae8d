"""Depth as numbers, one per pixel."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin

from hqmd_cli.files.depth_files import LARGEST_MM_M, encode_depth_mm, encode_npy
from hqmd_cli.files.exr_writer import encode_exr
from hqmd_cli.files.photos import LARGEST_16_BIT
from hqmd_cli.files.png import encode_png
from hqmd_cli.prediction.result import DepthResult, Encoded, Style
from hqmd_cli.units import IN_WORDS

SMALLEST_MM_M = 0.0005  # rounds to 0 mm
STEPS_OF_ERROR = 10_000  # of a 16-bit PNG, from 0 to an error of 100 %


def encode_mm(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode a 16-bit PNG in millimetres; say how much is too near or too far for it.

    Raises HqmdError if everything is too far.
    """
    beyond = result.depth_m >= LARGEST_MM_M + SMALLEST_MM_M  # rounds to more
    content = encode_depth_mm(path, result.depth_m if beyond.all() else np.where(beyond, np.float32(0), result.depth_m))
    shares = {
        "nearer than half a millimetre": float(np.mean(result.depth_m < SMALLEST_MM_M)),
        "farther than 65.535 m, which 16 bits do not hold": float(np.mean(beyond)),
    }
    said = [f"{share:.1%} of the pixels are {what}" for what, share in shares.items() if share]
    return content, f"{' and '.join(said)}, written as 0, no depth" if said else ""


def encode_npz(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode a compressed .npz: depth_m, or "map" of another kind, and the camera as a 3 x 3 matrix."""
    camera = result.intrinsics
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)
    name = "depth_m" if result.kind == "depth" else "map"
    arrays = {name: result.depth_m, "intrinsics": matrix}
    content = BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getbuffer(), f"arrays {name} and intrinsics"


def encode_exr_map(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode an OpenEXR file with one channel of float32, Z."""
    return encode_exr(result.depth_m), "channel Z"


def encode_map(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode a float32 .npy."""
    return encode_npy(result.depth_m), ""


def encode_tiff(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode an uncompressed float32 TIFF, with the unit, or that it has none, in its ImageDescription."""
    what = "depth in metres along the optical axis" if result.kind == "depth" else IN_WORDS[result.kind]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[TiffImagePlugin.IMAGEDESCRIPTION] = what
    content = BytesIO()
    Image.fromarray(result.depth_m).save(content, format="TIFF", tiffinfo=tags)
    return content.getbuffer(), ""


def encode_uncertainty_png(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the relative error of the shape as a 16-bit PNG; a text chunk has its unit, and the error of the scale."""
    steps = np.round(result.shape_error * STEPS_OF_ERROR)
    what = f"relative error of the shape, a standard deviation, 1 = 0.01 %; {scale_in_words(result)}"
    content = encode_png(steps.clip(0, LARGEST_16_BIT).astype(np.uint16), {"Description": what})
    share = float(np.mean(steps > LARGEST_16_BIT))
    beyond = f"{share:.1%} of the pixels have a larger error than 655 %, written as that; " if share else ""
    return content, beyond + scale_in_words(result)


def encode_uncertainty_map(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the relative error of the shape as a float32 .npy."""
    return encode_npy(result.shape_error), scale_in_words(result)


def scale_in_words(result: DepthResult) -> str:
    """Say how sure the scale is, which is one number for the photo."""
    assert result.uncertainty
    return f"the scale has an error of its own, {result.uncertainty.scale:.0%}"
