"""ETH3D's high-resolution training scenes: photos of 24 megapixels with laser scanner depth. Schöps et al., CVPR 2017.

The archives SCENE_dslr_jpg.7z and SCENE_dslr_depth.7z, unpacked into one folder:
    SCENE/images/dslr_images/NAME.JPG                   the photo as the lens drew it, 6048 x 4032
    SCENE/ground_truth_depth/dslr_images/NAME.JPG       its depth; no JPEG, but bare float32 of the photo's size
    SCENE/dslr_calibration_jpg/cameras.txt, images.txt  focal lengths, as COLMAP writes them
Depth is in metres, infinite where the scanner saw nothing. The undistorted photos have other sizes and do not fit it.

After "Ground Truth Creation" in README.md of https://github.com/ETH3D/dataset-pipeline at e09275b, and src/cameras.cc
and src/images.cc of ETH3D/format-loader at 04b0cb3. The folder names are those of other readers; the archives were not
at hand.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.orientation import orientation_of
from hqmd_cli.data.published_layout import ScenePairs, read_floats
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import SIDEWAYS, photo_size
from hqmd_cli.files.text import read_lines

DEPTHS, PHOTOS = "ground_truth_depth/dslr_images", "images/dslr_images"
CALIBRATION = "dslr_calibration_jpg"
REMEDY = "unpack SCENE_dslr_jpg.7z, whose photos are distorted as the depth is"
IMAGE_FIELDS = 10  # in a line of images.txt that names a photo; lines of points have three numbers a point


class Eth3d(ScenePairs):
    """One scene, or all of them."""

    title = "ETH3D"
    home = "https://www.eth3d.net/datasets"
    licence = "CC BY-NC-SA 4.0, as far as known"
    layout = f"SCENE/{DEPTHS}/ and SCENE/{PHOTOS}/"
    split_help = "a split of ETH3D is a scene"
    remedy = REMEDY

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        chosen = [scene for scene in self.scenes_in(path) if split in (WHOLE, scene.name)]
        depths = {f"{s.name}/{d.stem}": (s, d) for s in chosen for d in sorted((s / DEPTHS).iterdir()) if d.is_file()}
        pairs = [(name, scene / PHOTOS / depth.name, depth) for name, (scene, depth) in depths.items()]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        of_scene = {scene: focals_in(scene / CALIBRATION) for scene in chosen}
        found = {name: of_scene[scene].get(depth.name) for name, (scene, depth) in depths.items()}
        self.focals = {name: focal for name, focal in found.items() if focal}

    @staticmethod
    def scenes_in(path: Path) -> list[Path]:
        """Return the folders of scenes: `path`, or those in it."""
        return [path] if (path / DEPTHS).is_dir() else sorted(folder.parents[1] for folder in path.glob(f"*/{DEPTHS}"))

    def sizes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (H, W) of a photo, twice: its depth says no size."""
        return photo_size(self.pairs[index][1]), photo_size(self.pairs[index][1])

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, infinite where unknown. Raises HqmdError if the photo is of another size."""
        photo = depth.parents[2] / PHOTOS / depth.name
        upright = photo_size(photo)
        height, width = upright[::-1] if orientation_of(photo) in SIDEWAYS else upright
        return read_floats(depth, height, width, start=0, remedy=REMEDY)


def focals_in(calibration: Path) -> dict[str, float]:
    """Map the names of photos to their focal lengths in pixels; empty if there is no calibration."""
    try:
        lines = [line.split() for line in read_lines(calibration / "cameras.txt", "list of cameras")]
        focals = {fields[0]: float(fields[4]) for fields in lines if fields and not fields[0].startswith("#")}
        images = [line.split() for line in read_lines(calibration / "images.txt", "list of photos")]
        named = [fields for fields in images if len(fields) == IMAGE_FIELDS and fields[0] != "#"]
        return {Path(fields[9]).name: focals[fields[8]] for fields in named}
    except HqmdError:
        return {}
    except (IndexError, KeyError, ValueError) as error:
        raise HqmdError(f"{calibration}: not ETH3D's cameras.txt and images.txt; unpack SCENE_dslr_jpg.7z") from error
