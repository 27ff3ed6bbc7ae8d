"""Depth in space: points, a mesh, or normals.

Points and meshes have the axes of glTF: x to the right, y up, the camera at 0 looking along -z, in metres. So a viewer
shows them as the photo does, and the points and the mesh of one photo coincide.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.images import encode_image
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.geometry.surfaces import mesh_of, normals, on_jumps, unproject
from hqmd_cli.prediction.result import DepthResult, Encoded, Style
from hqmd_cli.visualization.colormap import normals_to_rgb

ALL_JUMPS = "depth jumps everywhere in this photo, so there is no point left to write; give a greater --edge-rtol"
STRIP_PIXELS = 2**22
MOST_POINTS = 4_000_000  # a mesh of 100 million, which no viewer opens, would take 30 GB of memory
TO_GLTF_AXES = np.array([1, -1, -1], np.float32)  # from the camera's: y down, z forward


def encode_normals(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the surface normals as a picture; see colormap.normals_to_rgb for its colours."""
    height, width = result.depth_m.shape
    picture = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // width)  # computed at once: of 100 megapixels they would take 6 GB
    for top in range(0, height, rows):
        strip = slice(top, min(top + rows, height))
        picture[strip] = normals_to_rgb(normals(result.depth_m, result.intrinsics, style.edge_rtol, strip))
    return encode_image(path, picture), camera_in_words(result.intrinsics)


def encode_ply(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the coloured points as a binary PLY, without those on depth jumps. Comments give unit, axes and camera."""
    import trimesh  # slow

    result, thinned = thin(result)
    kept = ~on_jumps(result.depth_m, style.edge_rtol)
    unsure = unsure_pixels(path, result, style)
    if unsure is not None:
        kept &= ~unsure
    if not kept.any():
        raise HqmdError(f"{path}: {ALL_JUMPS}")
    points = unproject(result.depth_m, result.intrinsics)[kept] * TO_GLTF_AXES
    require_finite(path, points)
    ply = trimesh.PointCloud(points, result.image[kept]).export(file_type="ply")
    comments = "".join(f"comment {name}: {text}\n" for name, text in facts(result.intrinsics).items())
    elements = ply.index(b"element ")  # comments stand before the first
    content = ply[:elements] + comments.encode("ascii") + ply[elements:]
    dropped = f"{1 - kept.mean():.1%} of the points left out, on depth jumps{unsure_in_words(style)}"
    return content, f"{thinned}{len(points):,} points, {dropped}; {camera_in_words(result.intrinsics)}"


def encode_glb(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the surface as a binary glTF 2.0 with the photo as its texture, without triangles across depth jumps.

    A texture, because colours of vertices are linear in glTF, where 8 bits give dark colours few shades. The material
    is unlit (KHR_materials_unlit), because the light is in the photo. The asset's extras give unit and camera.
    """
    import trimesh  # slow

    result, thinned = thin(result)
    height, width = result.depth_m.shape
    if min(height, width) == 1:
        raise HqmdError(f"{path}: a photo of {width} x {height} pixels has no surface; write .ply")
    unsure = unsure_pixels(path, result, style)
    mesh = mesh_of(result.depth_m, result.intrinsics, style.edge_rtol, unsure)
    if not len(mesh.triangles):
        raise HqmdError(f"{path}: {ALL_JUMPS}")
    require_finite(path, mesh.points)
    row, column = np.divmod(mesh.pixels, width)
    uv = np.stack([(column + 0.5) / width, 1 - (row + 0.5) / height], axis=1)  # trimesh counts v from the bottom
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(result.image), metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
    )
    surface = trimesh.Trimesh(
        mesh.points * TO_GLTF_AXES,
        mesh.triangles,
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,  # keep every vertex
        validate=False,
    )

    def finish(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = facts(result.intrinsics)
        tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
        for described in tree["materials"]:
            described.setdefault("extensions", {})["KHR_materials_unlit"] = {}

    glb: Any = surface.export(file_type="glb", include_normals=False, tree_postprocessor=finish)
    dropped = f"{1 - mesh.share:.1%} of the surface left out, at depth jumps{unsure_in_words(style)}"
    return glb, f"{thinned}{len(mesh.triangles):,} triangles, {dropped}; {camera_in_words(result.intrinsics)}"


def unsure_pixels(path: Path, result: DepthResult, style: Style) -> NDArray[np.bool_] | None:
    """Mark the pixels (H, W) with a larger error than --max-uncertainty; None without it. Raises HqmdError for all."""
    if style.max_uncertainty is None:
        return None
    errors = result.shape_error
    if (least := float(errors.min())) > style.max_uncertainty:
        raise HqmdError(
            f"{path}: no point is left with --max-uncertainty {style.max_uncertainty:g}; the surest has {least:.3f}"
        )
    return errors > style.max_uncertainty


def unsure_in_words(style: Style) -> str:
    """Say which points --max-uncertainty leaves out."""
    return "" if style.max_uncertainty is None else f" or with a shape error above {style.max_uncertainty:.0%}"


def require_finite(path: Path, points: NDArray[np.floating]) -> None:
    """Raise HqmdError unless every coordinate is a number."""
    if not np.isfinite(points).all():
        raise HqmdError(f"{path}: points lie infinitely far away with this camera; check --fx, --fov and --scale-from")


def thin(result: DepthResult) -> tuple[DepthResult, str]:
    """Keep every n-th row and column of a result with more than MOST_POINTS pixels; also return a remark about it."""
    step = math.ceil(math.sqrt(result.depth_m.size / MOST_POINTS))
    if step == 1:
        return result, ""
    camera = result.intrinsics
    fewer = result._replace(
        image=np.ascontiguousarray(result.image[::step, ::step]),
        depth_m=np.ascontiguousarray(result.depth_m[::step, ::step]),
        intrinsics=Intrinsics(camera.fx / step, camera.fy / step, camera.cx / step, camera.cy / step, camera.origin),
    )
    height, width = fewer.depth_m.shape
    return fewer, f"thinned to {width} x {height} pixels; "


def facts(camera: Intrinsics) -> dict[str, str]:
    """Describe unit, axes and camera, for the header of a file."""
    return {
        "unit": "metre",
        "axes": "x right, y up, the camera at 0 looking along -z",
        "camera": camera_in_words(camera),
    }


def camera_in_words(camera: Intrinsics) -> str:
    """Describe a camera in one line of ASCII."""
    return f"fx {camera.fx:.2f}, fy {camera.fy:.2f}, cx {camera.cx:.1f}, cy {camera.cy:.1f} pixels ({camera.origin})"
