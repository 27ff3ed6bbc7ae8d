"""Depth as numbers, one per pixel."""

from pathlib import Path

from PIL import Image, TiffImagePlugin

from hqmd_cli.files.atomic import write_aside
from hqmd_cli.files.depth_files import write_depth_mm, write_depth_npy
from hqmd_cli.prediction.result import DepthResult, Style
from hqmd_cli.units import IN_WORDS


def write_mm(path: Path, result: DepthResult, style: Style) -> str:
    """Write a 16-bit PNG in millimetres."""
    write_depth_mm(path, result.depth_m)
    return ""


def write_npy(path: Path, result: DepthResult, style: Style) -> str:
    """Write a float32 .npy."""
    write_depth_npy(path, result.depth_m)
    return ""


def write_tiff(path: Path, result: DepthResult, style: Style) -> str:
    """Write an uncompressed float32 TIFF, with the unit, or that it has none, in its ImageDescription."""
    what = "depth in metres along the optical axis" if result.kind == "depth" else IN_WORDS[result.kind]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[TiffImagePlugin.IMAGEDESCRIPTION] = what
    picture = Image.fromarray(result.depth_m)
    write_aside(path, lambda aside: picture.save(aside, format="TIFF", tiffinfo=tags))
    return ""
