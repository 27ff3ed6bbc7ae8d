"""MoGe's evaluation sets, warped as its evaluation warps them. Wang et al., "MoGe", CVPR 2025.

A set of https://huggingface.co/datasets/Ruicheng/monocular-geometry-evaluation as unpacked, in a folder of its name:
    NYUv2/.index.txt            a folder a line
    NYUv2/FOLDER/image.jpg
    NYUv2/FOLDER/depth.png      16 bits, from `near` to `far` of its text chunks in equal ratios; 0 unknown, 65535 sky
    NYUv2/FOLDER/meta.json      `intrinsics`, 3 x 3, of a photo of width and height 1
Photo and depth are turned so that the camera looks through their centre, and cut to the set's own field of view and
size; depth is along the new axis. The network sees only that view. Beyond 1000 times the depth that 1 % of the pixels
are nearer than, nothing counts.

After moge/test/dataloader.py, moge/utils/io.py and configs/eval/all_benchmarks.json of
https://github.com/microsoft/MoGe at 0744441, and utils3d at the 3fab839 that it requires. Photos are decoded by Pillow,
there by OpenCV. The sets themselves were not at hand.
"""

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.data.published_layout import PublishedPairs
from hqmd_cli.data.sample import WHOLE, GroundTruth, Sample, sample_from
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.checked_json import read_json
from hqmd_cli.files.limits import require_pixels
from hqmd_cli.files.open_picture import open_picture
from hqmd_cli.files.photos import read_image
from hqmd_cli.files.text import read_lines

Floats = NDArray[np.float32]
INDEX = ".index.txt"
SIZES = {  # (H, W) of the view
    "NYUv2": (480, 640),
    "KITTI": (375, 750),
    "ETH3D": (1365, 2048),
    "iBims-1": (480, 640),
    "GSO": (512, 512),
    "Sintel": (436, 872),
    "DDAD": (700, 1400),
    "DIODE": (768, 1024),
    "Spring": (1080, 1920),
    "HAMMER": (832, 1664),
}
WITHOUT_METRES = ("GSO", "Sintel", "Spring")
FARTHEST, NEAREST_SHARE = 1000.0, 0.01
LARGEST = 65535
SOLVER_DAMPING = 1e-12  # of utils3d; it decides which of two whole numbers of pixels a size is cut to


class MoGeSet(PublishedPairs):
    """All of one set."""

    title = "MoGe's evaluation sets"
    home = "https://huggingface.co/datasets/Ruicheng/monocular-geometry-evaluation"
    licence = "that of each set"
    layout = f"{'|'.join(SIZES)}/ with {INDEX} and a folder a photo"
    split_help = "MoGe's sets are for testing only"
    remedy = "unpack the set again"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        files = {line: path / line for each in read_lines(path / INDEX, "list of names") if (line := each.strip())}
        pairs = [(name, folder / "image.jpg", folder / "depth.png") for name, folder in files.items()]
        self.size = SIZES[path.resolve().name]
        no_metres = ", no metres" if path.resolve().name in WITHOUT_METRES else ""
        about = f", warped to {self.size[1]} x {self.size[0]}{no_metres}"
        super().__init__(path, split, pairs, ground_truth, depth_scale, about)
        self.ground_truth = "warped"

    @staticmethod
    def recognises(path: Path) -> bool:
        """True for a folder with the name and the index of one of the sets."""
        return (path / INDEX).is_file() and path.resolve().name in SIZES

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return both names of the only split."""
        return ["test", WHOLE]

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return photo, depth map and camera."""
        return [photo, depth, depth.with_name("meta.json")]

    def sizes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (H, W) of the view, twice."""
        return self.size, self.size

    def __getitem__(self, index: int) -> Sample:
        name, photo, depth = self.pairs[index]
        camera = read_camera(depth.with_name("meta.json"))
        image, depth_m, known, focal_px = warped(read_image(photo), *read_depth(depth), camera, *self.size)
        if not known.any():
            raise HqmdError(f"{depth}: no depth in the view that MoGe's evaluation takes")
        return sample_from(name, image, np.where(known, depth_m, 0).astype(np.float32), focal_px)


def read_camera(path: Path) -> Floats:
    """Read the intrinsics (3, 3) of a photo of width and height 1. Raises HqmdError if there are none."""
    try:
        camera = np.array(read_json(path)["intrinsics"], dtype=np.float32)
        if camera.shape != (3, 3) or not np.isfinite(camera).all() or not camera[0, 0] or not camera[1, 1]:
            raise ValueError("intrinsics is not a camera")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise HqmdError(f"{path}: not a camera of MoGe's: {first_line(error)}; unpack the set again") from error
    return camera


def read_depth(path: Path) -> tuple[Floats, NDArray[np.bool_]]:
    """Read a depth map and where it is known, both (H, W); 1 elsewhere. Raises HqmdError for another kind of file."""
    try:
        with open_picture(path) as picture:
            near, far, unit = (
                float(picture.info.get(key, 1 if key == "unit" else "?")) for key in ("near", "far", "unit")
            )
            codes = np.asarray(picture)
        if codes.ndim != 2 or codes.dtype.itemsize == 1 or not 0 < near < far < math.inf:
            raise ValueError("not 16 bits with near and far")
    except HqmdError:
        raise
    except Exception as error:  # damaged files make Pillow raise all sorts
        raise HqmdError(f"{path}: not MoGe's depth: {first_line(error)}; unpack the set again") from error
    share = (codes.astype(np.float32) - 1) / (LARGEST - 2)
    known = (codes > 0) & (codes < LARGEST)
    return np.where(known, near ** (1 - share) * far**share * unit, 1).astype(np.float32), known


def warped(
    image: NDArray[np.uint8], depth: Floats, known: NDArray[np.bool_], camera: Floats, height: int, width: int
) -> tuple[NDArray[np.uint8], Floats, NDArray[np.bool_], float]:
    """Turn and cut a photo (H, W, 3), its depth and where it is known (H, W) to a centred view of height x width.

    `camera` is that of width and height 1. Returns the three, and the focal length of the view in pixels.
    """
    turn = turn_to_axis(np.linalg.inv(camera) @ np.array([0.5, 0.5, 1], np.float32))
    across, down = view_of(camera, turn, width / height)
    view = np.array([[1 / across, 0, 0.5], [0, 1 / down, 0.5], [0, 0, 1]]).astype(np.float32)
    raw_height, raw_width = image.shape[:2]
    raw_across, raw_down = abs(1 / camera[0, 0]), abs(1 / camera[1, 1])
    # First to about the pixels of the view, then one look-up.
    rows = int(raw_height * (raw_down / raw_height) / (down / height))
    columns = int(raw_width * (raw_across / raw_width) / (across / width))
    require_pixels(rows, columns)
    image = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.LANCZOS))
    depth, known = nearest_known(depth, known, rows, columns)
    distance = depth * np.linalg.norm(homogeneous(rows, columns) @ np.linalg.inv(camera).T, axis=-1)

    seen = homogeneous(height, width) @ (camera @ np.linalg.inv(turn) @ np.linalg.inv(view)).T
    places = (seen[..., :2] / (seen[..., 2:] + 1e-12) * np.array([columns, rows], np.float32) - 0.5).astype(np.float32)
    image = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    distance = cv2.remap(distance.astype(np.float32), places[..., 0], places[..., 1], cv2.INTER_NEAREST)
    known = cv2.remap(known.astype(np.uint8), places[..., 0], places[..., 1], cv2.INTER_NEAREST) > 0
    depth = distance / np.linalg.norm(homogeneous(height, width) @ np.linalg.inv(view).T, axis=-1)
    if known.any():
        known &= depth <= np.quantile(depth[known], NEAREST_SHARE) * FARTHEST
    return image, depth.astype(np.float32), known, float(width / across)


def turn_to_axis(direction: Floats) -> Floats:
    """Return the rotation (3, 3) that takes a direction (3,) to the axis (0, 0, 1)."""
    x, y, z = direction / np.linalg.norm(direction)
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]], np.float32)  # the matrix of the product of both
    return np.eye(3, dtype=np.float32) + cross + cross @ cross / (1 + z)


def view_of(camera: Floats, turn: Floats, aspect: float) -> tuple[float, float]:
    """Return width and height of the largest centred view of this aspect, at a distance of 1, inside of the photo."""
    corners = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 1]], np.float32) @ (np.linalg.inv(camera).T @ turn.T)
    corners = corners[:, :2] / corners[:, 2:]
    raw_across, raw_down = abs(1 / camera[0, 0]), abs(1 / camera[1, 1])
    across, down = raw_across, raw_down
    for start, end in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        for diagonal in (np.array([aspect, 1.0]), np.array([aspect, -1.0])):
            x, y = crossing(diagonal, start, end - start)
            across, down = min(across, 2 * abs(x)), min(down, 2 * abs(y))
    widest = min(raw_across, raw_down * aspect)
    return min(widest, across), min(widest / aspect, down)


def crossing(diagonal: NDArray[np.float64], start: Floats, along: Floats) -> tuple[float, float]:
    """Return where the line through the origin meets another: the damped least squares of utils3d.ray_intersection."""
    equations = np.zeros((4, 4))  # the point less its place on either line is 0
    equations[:2, :2] = equations[2:, :2] = np.eye(2)
    equations[:2, 2], equations[2:, 3] = -diagonal, -along
    normal = equations.T @ equations + SOLVER_DAMPING * np.eye(4)
    x, y, *_ = np.linalg.solve(normal, equations.T @ np.array([0, 0, *start], np.float64))
    return x, y


def homogeneous(height: int, width: int) -> Floats:
    """Return the centres of the pixels of a picture of width and height 1, (height, width, 3): x, y and 1."""
    x = np.linspace(0.5 / width, 1 - 0.5 / width, width, dtype=np.float32)
    y = np.linspace(0.5 / height, 1 - 0.5 / height, height, dtype=np.float32)
    return np.stack([*np.meshgrid(x, y), np.ones((height, width), np.float32)], axis=-1)


def nearest_known(depth: Floats, known: NDArray[np.bool_], rows: int, columns: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Resize a depth map (H, W) to rows x columns: of the pixels under each new one, the known one nearest its centre.

    Returns the map and where a pixel was known, as utils3d.masked_nearest_resize does.
    """
    sides = []
    for old, new in zip(depth.shape, (rows, columns), strict=True):
        reach = max(1.0, old / new)
        centres = np.linspace(0.5 / new, 1 - 0.5 / new, new, dtype=np.float32) * np.float32(old)
        first = np.round(centres - np.float32(reach / 2)).astype(np.int64)
        sides.append((centres, first, math.ceil(reach), old))
    (down, top, high, height), (across, left, wide, width) = sides
    best = np.full((rows, columns), np.inf, np.float32)
    found = np.zeros((rows, columns), np.float32)
    for row in range(high):
        for column in range(wide):
            y, x = top + row, left + column
            inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
            at = np.ix_(y.clip(0, height - 1), x.clip(0, width - 1))
            gap_x, gap_y = x.astype(np.float32) + 0.5 - across, y.astype(np.float32) + 0.5 - down
            gap = np.square(gap_x)[None] + np.square(gap_y)[:, None]
            better = inside & known[at] & (gap < best)
            best[better], found[better] = gap[better], depth[at][better]
    return found, np.isfinite(best)
