"""A furniture model as triangles in metres."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from hqmd_cli.rooms.vectors import Floats

TEXTURE_SIDE = 256  # pixels
TOP_CELLS = 6  # a model's upper side is known on this many cells a side
GREY = (160, 160, 160)  # 0-255 sRGB, for parts without a material
GAMMA = 2.2  # from the 0-1 values of materials and pictures to linear light


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in metres, z up, the foot at 0, the footprint centred on the origin, the front towards -y."""

    triangles: NDArray[np.float32]  # (N, 3, 3)
    uv: NDArray[np.float32]  # (N, 3, 2)
    material: NDArray[np.int32]  # (N,) index into colours and textures
    colours: NDArray[np.float32]  # (M, 3) linear albedo; white where a texture has the colour
    textures: list[NDArray[np.uint8] | None]  # M of (H, W, 3) RGB


def read_mesh(path: Path, rotation: Floats, size_m: NDArray[np.float32]) -> Mesh:
    """A Wavefront model (y up, front towards +z), turned by `rotation` (3, 3) and brought to width, depth and height.

    Raises whatever trimesh does on files that it cannot read, and ValueError on a model without triangles.
    """
    loaded = trimesh.load_scene(path, process=False, group_material=True)
    triangles, uvs, materials, colours, textures = [], [], [], [], []
    for number, part in enumerate(loaded.geometry.values()):
        look = getattr(part.visual, "material", None)
        uv = getattr(part.visual, "uv", None)
        image = getattr(look, "image", None) if uv is not None else None
        triangles.append(part.vertices[part.faces])
        uvs.append(uv[part.faces] if uv is not None else np.zeros((len(part.faces), 3, 2)))
        materials.append(np.full(len(part.faces), number))
        diffuse = np.asarray(getattr(look, "diffuse", GREY), float)[:3] / 255
        colours.append(np.ones(3) if image is not None else diffuse**GAMMA)
        textures.append(shrink(np.asarray(image.convert("RGB"))) if image is not None else None)
    return Mesh(
        to_size(np.concatenate(triangles) @ rotation.T, size_m),
        np.nan_to_num(np.concatenate(uvs)).astype(np.float32),
        np.concatenate(materials).astype(np.int32),
        np.array(colours, np.float32),
        textures,
    )


def to_size(points: Floats, size_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Wavefront's axes to ours, (..., 3) in any unit to metres: a box of `size_m` that stands on the origin."""
    points = np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)
    low, high = points.min((0, 1)), points.max((0, 1))
    points = (points - (low + high) / 2) * (size_m / np.maximum(high - low, 1e-6))
    points[..., 2] += size_m[2] / 2
    return points.astype(np.float32)


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of at most TEXTURE_SIDE pixels a side."""
    factor = TEXTURE_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def upper_side(mesh: Mesh, size_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """How high things would stand on the model: metres, (TOP_CELLS, TOP_CELLS) along x and y; 0 beside it."""
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.triangles)
    centres = (np.arange(TOP_CELLS) + 0.5) / TOP_CELLS - 0.5
    x, y = np.meshgrid(centres * size_m[0], centres * size_m[1], indexing="ij")
    above = size_m[2] + 1
    origins = np.stack([x.ravel(), y.ravel(), np.full(x.size, above)], axis=-1).astype(np.float32)
    down = np.tile(np.array([[0, 0, -1]], np.float32), (x.size, 1))
    hit = scene.run(origins, down, output=1)
    heights = np.where(hit["geomID"] >= 0, above - hit["tfar"], 0)
    return heights.reshape(x.shape).astype(np.float32)
