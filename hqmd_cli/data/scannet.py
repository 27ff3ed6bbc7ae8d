"""ScanNet: recordings of 1,513 rooms with a structured-light sensor. Dai et al., CVPR 2017.

Scenes as the authors' exporter writes them from SCENE.sens (reader.py with all four --export options):
    [SCENE/]color/N.jpg                     1296 x 968
    [SCENE/]depth/N.png                     640 x 480, 16 bits of millimetres, 0 is unknown
    [SCENE/]intrinsic/intrinsic_color.txt   the photo's camera, 4 x 4
Depth is in the view of the photo's camera, as far as known. Photos are shrunk to its size, over areas; the exporter's
own `image_size` takes the nearest pixels. Poses are not read, so that frames without one count, too.

After SensReader/python/SensorData.py and README.md of https://github.com/ScanNet/ScanNet at 3830fce.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.published_layout import ScenePairs, in_any_format, read_matrix
from hqmd_cli.data.sample import WHOLE, GroundTruth, Sample, sample_from
from hqmd_cli.files.depth_files import depth_size
from hqmd_cli.files.photos import photo_size, read_image

UNITS_PER_METRE = 1000
CAMERA = "intrinsic/intrinsic_color.txt"


class ScanNet(ScenePairs):
    """One scene, or all of them."""

    title = "ScanNet"
    home = "http://www.scan-net.org"
    licence = "ScanNet's terms of use, sent signed to its authors"
    layout = f"[SCENE/]color/, depth/ and {CAMERA}, of the authors' exporter"
    split_help = "a split of ScanNet is a scene"
    remedy = "export the photos, too"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        pairs = [pair for scene in self.scenes_in(path) if split in (WHOLE, scene.name) for pair in pairs_in(scene)]
        super().__init__(path, split, pairs, ground_truth, depth_scale, ", photos shrunk to the depth's size")

    @staticmethod
    def scenes_in(path: Path) -> list[Path]:
        """Return the folders of scenes: `path`, or those in it."""
        return (
            [path] if (path / CAMERA).is_file() else sorted(file.parents[1] for file in path.glob(f"scene*/{CAMERA}"))
        )

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps and cameras."""
        return super().files + sorted({depth.parents[1] / CAMERA for _, _, depth in self.pairs})

    def sizes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return (H, W) of a depth map, twice: photos are shrunk to it."""
        return depth_size(self.pairs[index][2]), depth_size(self.pairs[index][2])

    def focal_px(self, index: int) -> float:
        """Return the focal length of a shrunk photo."""
        _, photo, depth = self.pairs[index]
        shrunk = depth_size(depth)[1] / photo_size(photo)[1]
        return float(read_matrix(depth.parents[1] / CAMERA)[0] * shrunk)

    def __getitem__(self, index: int) -> Sample:
        name, photo, depth = self.pairs[index]
        depth_m = self.read_depth_m(depth)
        rgb = cv2.resize(read_image(photo), depth_m.shape[::-1], interpolation=cv2.INTER_AREA)
        return sample_from(name, rgb.astype(np.uint8, copy=False), depth_m, self.focal_px(index))

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where the sensor measured nothing."""
        return self.read_16_bit_m(depth, UNITS_PER_METRE)


def pairs_in(scene: Path) -> list[tuple[str, Path, Path]]:
    """Return name, photo and depth map of the frames of a scene, in their order."""
    depths = sorted(scene.glob("depth/*.png"), key=lambda file: (len(file.stem), file.stem))
    name = scene.resolve().name
    return [(f"{name}/{d.stem}", in_any_format(scene / "color" / f"{d.stem}.jpg"), d) for d in depths]
