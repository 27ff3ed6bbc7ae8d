"""Hypersim: 74,619 rendered photos of 461 rooms, 1024 x 768. Roberts et al., ICCV 2021.

The scenes as dataset_download_images.py unpacks them, and beside them two files of the repository:
    ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.tonemap.jpg
    ai_VVV_NNN/images/scene_cam_XX_geometry_hdf5/frame.IIII.depth_meters.hdf5   one array `dataset`, (H, W) float16
    metadata_camera_parameters.csv            contrib/mikeroberts3000; needed: every scene has a camera of its own
    metadata_images_split_scene_v1.csv        evermotion_dataset/analysis; optional: train, val and test
The authors advise against learning from the previews, which are JPEGs; their colour.hdf5 is not read.

depth_meters is the straight distance from the lens. Depth along the axis follows from the ray of each pixel, which the
scene's M_proj gives, also where the lens is shifted or tilted. NaN is unknown. After README.md of
https://github.com/apple/ml-hypersim at c85b287 and contrib/mikeroberts3000/jupyter/00_*.ipynb and 01_*.ipynb: for all
482 scenes of the file these rays are those of its M_cam_from_uv.
"""

import csv
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.nyu import require_inside
from hqmd_cli.data.published_layout import PublishedPairs
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.limits import require_array
from hqmd_cli.files.photos import photo_size
from hqmd_cli.files.regular import require_regular
from hqmd_cli.files.text import read_lines

DEPTHS = "images/scene_cam_*_geometry_hdf5/frame.*.depth_meters.hdf5"
CAMERAS, SPLITS = "metadata_camera_parameters.csv", "metadata_images_split_scene_v1.csv"
FIELD = "dataset"
Matrix = tuple[tuple[float, ...], ...]


class Hypersim(PublishedPairs):
    """One split of the authors' v1, or all frames on disk."""

    title = "Hypersim"
    home = "https://github.com/apple/ml-hypersim"
    licence = "CC BY-SA 3.0"
    layout = f"ai_VVV_NNN/{DEPTHS} and {CAMERAS}"
    split_help = f"Hypersim's train, val and test are in {SPLITS} of its repository"
    scene_leads = True
    remedy = "unpack the scene's previews"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        depths = {name_of(depth): depth for scene in scenes_in(path) for depth in sorted(scene.glob(DEPTHS))}
        if split != WHOLE:
            chosen = {name for name, part in parts_in(path) if part == split}
            depths = {name: depth for name, depth in depths.items() if name in chosen}
        pairs = [(name, photo_of(depth), depth) for name, depth in depths.items()]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        self.cameras = read_cameras(path, set(self.scenes.values()))

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if scenes lie in `path`, or it is one."""
        return bool(scenes_in(path))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the splits of the authors if their file is there, and `all`."""
        return [*sorted({part for _, part in parts_in(path)}), WHOLE]

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps and the cameras."""
        return [*super().files, beside(self.pairs[0][2].parents[2], CAMERAS)]

    def focal_px(self, index: int) -> float:
        """Return the focal length of a scene's camera: the root of its two, where pixels are no squares."""
        name, photo, _ = self.pairs[index]
        height, width = photo_size(photo)
        across, down = (self.cameras[name.split("/")[0]][axis][axis] for axis in (0, 1))
        return float(np.sqrt(across * width * down * height) / 2)

    def sizes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (H, W) of a photo and of its depth map."""
        return photo_size(self.pairs[index][1]), read_distance_m(self.pairs[index][2]).shape

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres along the axis of the lens, NaN where unknown."""
        distance_m = read_distance_m(depth)
        return distance_m * along_axis(self.cameras[depth.parents[2].name], *distance_m.shape)


def scenes_in(path: Path) -> list[Path]:
    """Return the folders of scenes: `path`, or those in it."""
    if any(path.glob(DEPTHS)):
        return [path.resolve()]
    return [scene for scene in sorted(path.glob("ai_*")) if any(scene.glob(DEPTHS))]


def name_of(depth: Path) -> str:
    """Return the name of a frame, such as ai_001_001/cam_00/0000."""
    camera = depth.parent.name.removeprefix("scene_").removesuffix("_geometry_hdf5")
    return f"{depth.parents[2].name}/{camera}/{depth.name.split('.')[1]}"


def photo_of(depth: Path) -> Path:
    """Return the preview of a frame."""
    folder = depth.parent.name.replace("_geometry_hdf5", "_final_preview")
    return depth.parents[1] / folder / depth.name.replace(".depth_meters.hdf5", ".tonemap.jpg")


def beside(scene: Path, name: str) -> Path:
    """Return a file of the repository in the folder of scenes, in the one above it, or in the scene."""
    places = [scene.parent / name, scene.parents[1] / name, scene / name]
    return next((place for place in places if place.is_file()), places[0])


def rows_of(file: Path) -> Iterable[dict[str, str]]:
    """Read the rows of a table; none if there is no file."""
    return csv.DictReader(read_lines(file, "table of Hypersim")) if file.is_file() else []


def parts_in(path: Path) -> list[tuple[str, str]]:
    """Return the name and the split of every published frame; empty without the authors' file."""
    rows = [row for scene in scenes_in(path)[:1] for row in rows_of(beside(scene.resolve(), SPLITS))]
    keys = ("scene_name", "camera_name", "frame_id", "split_partition_name")
    if rows and not set(keys) <= rows[0].keys():
        raise HqmdError(f"{path}: {SPLITS} lacks one of {', '.join(keys)}; get it from the repository again")
    return [
        (f"{row['scene_name']}/{row['camera_name']}/{int(row['frame_id']):04d}", row["split_partition_name"])
        for row in rows
        if row["split_partition_name"]
    ]


def read_cameras(path: Path, scenes: set[str]) -> dict[str, Matrix]:
    """Read M_proj of each scene, without its third row. Raises HqmdError naming a scene that has none."""
    file = beside(scenes_in(path)[0].resolve(), CAMERAS)
    try:
        found = {
            row["scene_name"]: tuple(tuple(float(row[f"M_proj_{i}{j}"]) for j in range(3)) for i in (0, 1, 3))
            for row in rows_of(file)
            if row["scene_name"] in scenes
        }
    except (KeyError, TypeError, ValueError) as error:
        raise HqmdError(f"{file}: no table of Hypersim's cameras: {first_line(error)}; get it again") from error
    if missing := scenes - found.keys():
        raise HqmdError(f"{file}: no camera of {min(missing)}; get it from contrib/mikeroberts3000 of the repository")
    return found


@lru_cache(maxsize=2)  # frames of a scene follow each other
def along_axis(projection: Matrix, height: int, width: int) -> NDArray[np.float32]:
    """Return depth along the axis for each metre of distance, (H, W).

    `projection` has the rows of M_proj for x, y and w. A pixel at x, y, each from -1 to 1, shows the points p with
    (row_x - x row_w) p = 0 and (row_y - y row_w) p = 0, so its ray is the cross product of the two.
    """
    row_x, row_y, row_w = np.array(projection)
    x = (2 * np.arange(width) + 1) / width - 1
    y = 1 - (2 * np.arange(height) + 1) / height
    rays = np.cross((row_x - x[:, None] * row_w)[None], (row_y - y[:, None] * row_w)[:, None])
    return (np.abs(rays[..., 2]) / np.linalg.norm(rays, axis=-1)).astype(np.float32)


def read_distance_m(path: Path) -> NDArray[np.float32]:
    """Read distances from the lens, (H, W) metres. Raises HqmdError naming a file that holds anything else."""
    require_regular(path)
    try:
        with h5py.File(path, "r") as file:
            require_inside(path, file, FIELD)
            found = file[FIELD]
            require_array(found.shape, found.dtype.itemsize)
            values = found[()]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise HqmdError(f"{path}: cannot be read: {first_line(error)}; unpack the scene again") from error
    if values.ndim != 2 or values.dtype.kind != "f":
        raise HqmdError(f"{path}: {values.shape} {values.dtype}, Hypersim's depth is (H, W) floats; unpack it again")
    return values.astype(np.float32)
