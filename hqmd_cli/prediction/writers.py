"""A result in a file: as numbers, normals, points or a mesh. Colour pictures are made in outputs.py.

Points and meshes are in the axes of glTF: x to the right, y up, the camera at 0 looking along -z, metres. So a
viewer shows them as the photo does, and a cloud and a mesh of one photo lie on one another. What a writer returns is
what there is to say about this one file, in words.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_aside, write_bytes
from hqmd_cli.files.images import write_image
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.geometry.surfaces import mesh_of, normals, on_jumps, unproject
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.units import IN_WORDS, Kind
from hqmd_cli.visualization.colormap import normals_to_rgb

NO_TRIMESH = "points and meshes are written by trimesh, which cannot be imported; pip install 'hqmd[3d]'"
ALL_JUMPS = "depth jumps everywhere in this photo, so nothing is left to write; give a greater --edge-rtol"
MOST_POINTS = 4_000_000  # of a cloud or mesh; of 100 million, which no viewer opens, a mesh would need 30 GB to make
TO_GLTF_AXES = np.array([1, -1, -1], np.float32)  # from the camera's: y down, z forward


def write_depth_tiff(path: Path, depth_m: NDArray[np.floating], kind: Kind = "depth") -> None:
    """(H, W) metres as a TIFF of float32, uncompressed; the unit, or its lack, is in its ImageDescription."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    what = "depth in metres along the optical axis" if kind == "depth" else IN_WORDS[kind]
    tags[TiffImagePlugin.IMAGEDESCRIPTION] = what
    picture = Image.fromarray(depth_m.astype(np.float32))
    write_aside(path, lambda aside: picture.save(aside, format="TIFF", tiffinfo=tags))


def write_normals(path: Path, result: DepthResult, edge_rtol: float) -> str:
    """Surface normals as a picture, see pictures.normals_to_rgb."""
    write_image(path, normals_to_rgb(normals(result.depth_m, result.intrinsics, edge_rtol)))
    return camera_in_words(result.intrinsics)


def write_ply(path: Path, result: DepthResult, edge_rtol: float) -> str:
    """The coloured points as a binary PLY, without those on depth jumps; unit, axes and camera are in its comments."""
    trimesh = load_trimesh()
    result, thinned = thin(result)
    kept = ~on_jumps(result.depth_m, edge_rtol)
    if not kept.any():
        raise HqmdError(f"{path}: {ALL_JUMPS}")
    points = unproject(result.depth_m, result.intrinsics)[kept] * TO_GLTF_AXES
    ply = trimesh.PointCloud(points, result.image[kept]).export(file_type="ply")
    comments = [f"comment {name}: {text}\n" for name, text in facts(result.intrinsics).items()]
    elements = ply.index(b"element ")  # comments stand before the first

    def save(aside: Path) -> None:
        with aside.open("wb") as file:
            file.write(ply[:elements])
            file.write("".join(comments).encode("ascii"))
            file.write(memoryview(ply)[elements:])

    write_aside(path, save)
    dropped = f"{1 - kept.mean():.1%} of the points left out, on depth jumps"
    return f"{thinned}{len(points):,} points, {dropped}; {camera_in_words(result.intrinsics)}"


def write_glb(path: Path, result: DepthResult, edge_rtol: float) -> str:
    """The surface as a binary glTF 2.0, without triangles across depth jumps, the photo laid on it.

    A texture and no colours of vertices: glTF's are linear, in which 8 bits leave few shades to the dark. The material
    is unlit (KHR_materials_unlit), for the light is in the photo. Unit and camera are in the asset's extras.
    """
    trimesh = load_trimesh()
    result, thinned = thin(result)
    height, width = result.depth_m.shape
    if min(height, width) == 1:
        raise HqmdError(f"{path}: a photo of {width} x {height} pixels has no surface; write .ply")
    mesh = mesh_of(result.depth_m, result.intrinsics, edge_rtol)
    if not len(mesh.triangles):
        raise HqmdError(f"{path}: {ALL_JUMPS}")
    row, column = np.divmod(mesh.pixels, width)
    uv = np.stack([(column + 0.5) / width, 1 - (row + 0.5) / height], axis=1)  # trimesh counts v from the bottom
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(result.image), metallicFactor=0.0, roughnessFactor=1.0, doubleSided=True
    )
    surface = trimesh.Trimesh(
        mesh.points * TO_GLTF_AXES,
        mesh.triangles,
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,  # nothing merged, nothing mended
        validate=False,
    )

    def finish(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = facts(result.intrinsics)
        tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]
        for described in tree["materials"]:
            described.setdefault("extensions", {})["KHR_materials_unlit"] = {}

    glb = surface.export(file_type="glb", include_normals=False, tree_postprocessor=finish)
    write_bytes(path, glb)
    dropped = f"{1 - mesh.share:.1%} of the surface left out, at depth jumps"
    return f"{thinned}{len(mesh.triangles):,} triangles, {dropped}; {camera_in_words(result.intrinsics)}"


def thin(result: DepthResult) -> tuple[DepthResult, str]:
    """The same with every n-th row and column only where there are more than MOST_POINTS, and what to say then."""
    step = math.ceil(math.sqrt(result.depth_m.size / MOST_POINTS))
    if step == 1:
        return result, ""
    camera = result.intrinsics
    fewer = DepthResult(
        np.ascontiguousarray(result.image[::step, ::step]),
        np.ascontiguousarray(result.depth_m[::step, ::step]),
        Intrinsics(camera.fx / step, camera.fy / step, camera.cx / step, camera.cy / step, camera.origin),
        result.scale_factor,
    )
    height, width = fewer.depth_m.shape
    return fewer, f"thinned to {width} x {height} pixels; "


def facts(camera: Intrinsics) -> dict[str, str]:
    """What a file of points says about itself."""
    return {
        "unit": "metre",
        "axes": "x right, y up, the camera at 0 looking along -z",
        "camera": camera_in_words(camera),
    }


def camera_in_words(camera: Intrinsics) -> str:
    """In ASCII, one line."""
    return f"fx {camera.fx:.2f}, fy {camera.fy:.2f}, cx {camera.cx:.1f}, cy {camera.cy:.1f} pixels ({camera.origin})"


def require_trimesh() -> None:
    """Raise HqmdError where trimesh is not installed; for before anything is computed, as it does not import it."""
    if find_spec("trimesh") is None:
        raise HqmdError(NO_TRIMESH)


def load_trimesh() -> ModuleType:
    """Only when a file needs it: it costs time, and is an extra."""
    try:
        import trimesh
    except ImportError as error:
        raise HqmdError(NO_TRIMESH) from error
    return trimesh
