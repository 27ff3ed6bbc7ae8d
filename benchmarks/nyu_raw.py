"""Test how well `hqmd data nyu-raw` recovers known depth, on raw recordings made from real pairs.

    python benchmarks/nyu_raw.py --data NYU_PAIRS --frames 20

NYU's recordings are not available here. So this inverts the calibration, and turns labelled pairs into what the Kinect
would have recorded: points as the depth camera sees them through its lens, in the sensor's 11-bit numbers with swapped
bytes; photos through the lens of the colour camera; names and time stamps as published. The command makes pairs of
these again, and their depth is compared with the original.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image

from hqmd_cli.data import open_dataset
from hqmd_cli.data.nyu_raw import kinect
from hqmd_cli.data.sample import evenly

START_S, PERIOD_S, PHOTO_LATER_S = 1294439278.998029, 0.04, 0.011


def raw_depth(depth_m: np.ndarray) -> np.ndarray:
    """Turn (480, 640) metres, seen from the colour camera, into the sensor's numbers; LARGEST_RAW: none."""
    v, u = np.nonzero(depth_m)
    z, c = depth_m[v, u].astype(np.float64), kinect.COLOUR
    seen = np.stack([(u - c.cx) / c.fx * z, (v - c.cy) / c.fy * z, z], axis=1)
    points = (seen + kinect.TRANSLATION_M) @ kinect.ROTATION.T  # the inverse of kinect.to_colour_camera
    lens = np.array(kinect.DEPTH.distortion)
    pixels, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), kinect.DEPTH.matrix, lens)
    columns, rows = np.round(pixels.reshape(-1, 2)).astype(int).T
    inside = (columns >= 0) & (columns < kinect.WIDTH) & (rows >= 0) & (rows < kinect.HEIGHT)
    nearest = np.full(kinect.HEIGHT * kinect.WIDTH, np.inf)
    np.minimum.at(nearest, rows[inside] * kinect.WIDTH + columns[inside], points[inside, 2])
    raw = np.round(kinect.DEPTH_PARAM_2 - kinect.DEPTH_PARAM_1 / nearest)
    return np.where(np.isfinite(nearest), raw, kinect.LARGEST_RAW).astype(np.uint16).reshape(depth_m.shape)


def raw_photo(image: np.ndarray) -> np.ndarray:
    """Distort a photo (480, 640, 3) as the colour camera's lens does."""
    v, u = np.mgrid[: kinect.HEIGHT, : kinect.WIDTH].astype(np.float64)
    c = kinect.COLOUR
    x, y = kinect.undistort_directions((u - c.cx) / c.fx, (v - c.cy) / c.fy, c)
    return cv2.remap(
        image, (x * c.fx + c.cx).astype(np.float32), (y * c.fy + c.cy).astype(np.float32), cv2.INTER_LINEAR
    )


def record(scene: Path, samples: list) -> None:
    """Write the folder of a recording, in the official layout."""
    scene.mkdir(parents=True)
    for i, sample in enumerate(samples):
        seconds = START_S + PERIOD_S * i
        depth = scene / f"d-{seconds:.6f}-{3106702323 + i}.pgm"
        depth.write_bytes(b"P5\n640 480\n65535\n" + raw_depth(sample.depth_m).astype("<u2").tobytes())
        photo = scene / f"r-{seconds + PHOTO_LATER_S:.6f}-{3118787619 + i}.ppm"
        Image.fromarray(raw_photo(sample.image)).save(photo)
        (scene / f"a-{seconds:.6f}-{3106702323 + i}.dump").write_bytes(bytes(28))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--frames", type=int, default=20)
    options = arguments.parse_args()
    data = open_dataset(options.data, "train")
    samples = [data[i] for i in evenly(len(data), options.frames)]
    with TemporaryDirectory() as folder:
        raw, out = Path(folder) / "raw", Path(folder) / "pairs"
        record(raw / "kitchen_0004", samples)
        command = [sys.executable, "-m", "hqmd_cli", "data", "nyu-raw", str(raw), "-o", str(out), "--scenes", "all"]
        began = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - began
        made = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / 1000 for path in sorted((out / "depth").rglob("*.png"))]
    pairs = list(zip(made, samples, strict=True))
    gaps = np.concatenate([np.abs(m - s.depth_m)[(m > 0) & s.valid] for m, s in pairs])
    share = np.mean([((m > 0) & s.valid).sum() / s.valid.sum() for m, s in pairs])
    median, most = np.percentile(gaps, [50, 99]) * 1000
    print(f"{len(pairs)} frames in {seconds:.1f} s; {share:.1%} of the pixels came back")
    print(f"depth off by {median:.1f} mm in the median, 99 % by less than {most:.0f} mm")


if __name__ == "__main__":
    main()
