"""Draw the depth of photos from other cameras by several models: one picture to look at, no figures.

    python benchmarks/look.py MODEL MODEL... -o examples/models.png [--photos examples/coffee.jpg ...] [--height 240]

One row per photo: the photo, then the depth of each model, all in one range of colours (2nd to 98th percentile of the
first model's depth). These photos have no ground truth, but blotches, bent walls and smeared edges show without one.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from hqmd_cli.api import load
from hqmd_cli.files.images import write_image
from hqmd_cli.files.photos import read_image
from hqmd_cli.visualization.colormap import colorize

EXAMPLES = Path(__file__).parents[1] / "examples"
PHOTOS = [EXAMPLES / name for name in ("astronaut.jpg", "coffee.jpg")]
GAP = 6  # white pixels between the pictures


def row(photo: Path, models: list[str], height: int) -> np.ndarray:
    """Return the row of one photo: (height, W, 3) uint8 RGB."""
    image = read_image(photo)
    depths_m = [load(model)(image) for model in models]
    near_m, far_m = np.percentile(depths_m[0], (2, 98))
    cells = [image, *(colorize(depth_m, near_m, far_m) for depth_m in depths_m)]
    width = round(image.shape[1] * height / image.shape[0])
    cells = [cv2.resize(cell, (width, height), interpolation=cv2.INTER_AREA) for cell in cells]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.hstack([part for cell in cells for part in (cell, gap)][:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--photos", nargs="+", type=Path, default=PHOTOS)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    rows = [row(photo, args.models, args.height) for photo in args.photos]
    width = max(r.shape[1] for r in rows)
    padded = [np.pad(r, ((0, GAP), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    write_image(args.output, np.vstack(padded)[:-GAP])


if __name__ == "__main__":
    main()
