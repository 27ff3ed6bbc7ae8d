"""Depth as a page to look at: photo, depth, distances and 3D in one file of HTML that needs no network."""

import base64
import re
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli import __version__
from hqmd_cli.depth import valid_depth
from hqmd_cli.files.depth_files import LARGEST_MM_M, encode_depth_mm
from hqmd_cli.files.images import encode_jpeg
from hqmd_cli.files.photos import LARGEST_16_BIT
from hqmd_cli.files.png import encode_png
from hqmd_cli.geometry.resize import shrink
from hqmd_cli.page.build import look_page
from hqmd_cli.prediction.result import FLAT_NOTE, DepthResult, Encoded, Style
from hqmd_cli.prediction.writers.color import range_of
from hqmd_cli.prediction.writers.space import camera_in_words
from hqmd_cli.units import IN_WORDS
from hqmd_cli.visualization import COLORMAPS
from hqmd_cli.visualization.colormap import colorize, colours_of, in_numbers

PHOTO_SIDE, PREVIEW_SIDE, THUMBNAIL_SIDE, ERROR_SIDE = 4096, 960, 320, 160  # pixels, of the longer side at most
PHOTO_QUALITY, PREVIEW_QUALITY = 88, 75  # of a JPEG
ERROR_STEPS = 2000  # of the shape's error, from 0 to 100 %
MILLIMETRES = 1000


def encode_look(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the page. The photo in it is encoded again, which drops its metadata."""
    near, far = range_of(path, result, style)
    meta = metadata(result, style, (near, far))
    photo = fitted(result.image, PHOTO_SIDE)
    preview = colorize(fitted(result.depth_m, PREVIEW_SIDE), near, far, style.colormap, result.kind)
    suffix = ".mm.png" if result.kind == "depth" else f".{result.kind}.png"
    ends = [in_numbers(end, result.kind) for end in (result.near, result.far)]
    values = {
        "meta": meta,
        "photo": encode_jpeg(photo, PHOTO_QUALITY),
        "depth": depth_png(result),
        "colours": encode_jpeg(preview, PREVIEW_QUALITY),
        "thumbnail": encode_jpeg(fitted(result.image, THUMBNAIL_SIDE), PREVIEW_QUALITY),
        "summary": " to ".join(ends) + (f" ± {result.uncertainty.scale:.0%}" if result.uncertainty else ""),
        "ends": f"{' to '.join(ends)}, near to far",
        "download": PurePath(meta["photo"]).stem + suffix,
        "note": "the depth as numbers, a 16-bit PNG, which looks black in most viewers",
    }
    content = look_page(values).encode()
    smaller = "" if photo.shape == result.image.shape else f"the photo in it is {photo.shape[1]} x {photo.shape[0]}; "
    share = float(np.mean(result.depth_m > LARGEST_MM_M)) if result.kind == "depth" else 0.0
    cut = f"{share:.1%} of the pixels are farther than {LARGEST_MM_M} m, which it shows as that; " if share else ""
    return content, smaller + cut + camera_in_words(result.intrinsics)


def metadata(result: DepthResult, style: Style, colours: tuple[float, float] | None = None) -> dict[str, Any]:
    """Describe a result as plain data for the page; page/viewer.js says what each key means.

    `colours` are the nearest and the farthest value of the colours; None: those of the depth.
    """
    camera, sure = result.intrinsics, result.uncertainty
    return {
        "photo": result.photo or "photo",
        "model": shown_name(result.model),
        "version": __version__,
        "kind": result.kind,
        "unit": IN_WORDS[result.kind],
        "size": list(result.depth_m.shape),
        "near": result.near,
        "far": result.far,
        "encoding": encoding_of(result),
        "camera": {
            **{name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy", "is_known")},
            "origin": camera.origin,
        },
        "scale_error": sure.scale if sure else None,
        "shape_error": error_map(sure.shape) if sure else None,
        "colormap": style.colormap,
        "range": list(colours or (result.near, result.far)),
        "colormaps": {name: in_text(colours_of(name).tobytes()) for name in COLORMAPS},
        "edge_rtol": style.edge_rtol,
        "max_uncertainty": style.max_uncertainty,
        "remarks": remarks_of(result),
    }


def encoding_of(result: DepthResult) -> dict[str, Any]:
    """Say how the numbers of depth_png become values: offset + number / per_unit."""
    if result.kind == "depth":
        return {"per_unit": MILLIMETRES, "offset": 0, "no_depth": 0, "is_cut": result.far > LARGEST_MM_M}
    least, greatest = sorted((result.near, result.far))
    span = greatest - least
    return {"per_unit": LARGEST_16_BIT / span if span else 1, "offset": least, "no_depth": None, "is_cut": False}


def depth_png(result: DepthResult) -> bytes:
    """Encode the depth as a 16-bit PNG: millimetres, up to 65.535 m, or as encoding_of says."""
    if result.kind == "depth":
        return encode_depth_mm(Path(result.photo), np.minimum(result.depth_m, LARGEST_MM_M))
    code = encoding_of(result)
    numbers = np.round((result.depth_m.astype(np.float64) - code["offset"]) * code["per_unit"])
    return encode_png(numbers.clip(0, LARGEST_16_BIT).astype(np.uint16), {"Description": IN_WORDS[result.kind]})


def error_map(shape: NDArray[np.float32]) -> dict[str, Any]:
    """Encode the relative error of the shape, which is smooth, at most ERROR_SIDE pixels long."""
    numbers = np.round(fitted(shape, ERROR_SIDE) * ERROR_STEPS).clip(0, LARGEST_16_BIT).astype(np.uint16)
    return {"png": in_text(encode_png(numbers)), "per_unit": ERROR_STEPS}


def remarks_of(result: DepthResult) -> list[str]:
    """Gather what a reader of the page must know."""
    remarks = list(result.remarks)
    if result.scale_factor != 1:
        remarks.append(f"scaled by {result.scale_factor:.3g} to match a measured distance")
    if result.is_flat:
        remarks.append(FLAT_NOTE)
    if result.kind == "depth" and (none := float(np.mean(~valid_depth(result.depth_m)))):
        remarks.append(f"{none:.1%} of the pixels have no depth")
    return remarks


def shown_name(model: str) -> str:
    """Return the name of a model for a page that others will read: without folders of this machine."""
    is_path = PurePath(model).is_absolute() or re.match(r"[~.]|[A-Za-z]:[\\/]", model)
    return re.split(r"[\\/]", model.rstrip("\\/"))[-1] if is_path else model


def fitted(picture: Any, side: int) -> Any:
    """Shrink a picture (H, W) or (H, W, 3) so that its longer side is at most `side` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    return picture if scale >= 1 else shrink(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def in_text(content: bytes) -> str:
    """Encode bytes in base64."""
    return base64.b64encode(content).decode()
