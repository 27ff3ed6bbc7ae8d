"""A room of known geometry in front of NYU's Kinect, and recordings of it in the published layout.

The room is a slanted wall and a box. All depths follow from intersecting rays with planes. The transform between the
cameras is written as in the toolbox (depth_world2rgb_world.m, with its signs), not as in hqmd.
"""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from hqmd_cli.data.nyu_raw import kinect

WALL = (np.array([0.35, -0.2, 1.0]), 3.2)  # normal and offset: normal . point = offset, metres, colour camera's frame
BOX = np.array([[-0.5, 0.6], [-0.35, 0.4], [1.7, 2.1]])  # from and to in x, y, z
RED, GREY = (200, 30, 30), (120, 120, 120)

TOOLBOX_R = np.linalg.inv(-kinect.ROTATION)  # R = -[...]; R = reshape(R, [3 3]); R = inv(R')
TOOLBOX_T = np.array([2.5031875059141302e-02, -2.9342312935846411e-04, 6.6238747008330102e-04])  # [t_x; t_z; t_y]


def cast(origin: np.ndarray, directions: np.ndarray, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance to the first surface along directions (N, 3), in their lengths, and a mask of the box.

    `shift` moves the box to the right, metres.
    """
    normal, offset = WALL
    wall = (offset - origin @ normal) / (directions @ normal)
    moved = BOX + np.array([[shift], [0], [0]])
    with np.errstate(divide="ignore"):
        entries, exits = np.sort((moved.T[:, None] - origin) / directions, axis=0)  # (N, 3) of each axis
    near, far = entries.max(axis=1), exits.min(axis=1)
    hits = (near <= far) & (near > 0)
    return np.where(hits, near, wall), hits


@cache
def truth(shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Depth (480, 640) from the undistorted colour camera, metres, and a mask of the box."""
    v, u = np.mgrid[: kinect.HEIGHT, : kinect.WIDTH].reshape(2, -1)
    c = kinect.COLOUR
    rays = np.stack([(u - c.cx) / c.fx, (v - c.cy) / c.fy, np.ones(u.size)], axis=1)
    return tuple(values.reshape(kinect.HEIGHT, kinect.WIDTH) for values in cast(np.zeros(3), rays, shift))


@cache
def raw_depth(shift: float = 0.0) -> np.ndarray:
    """Raw depth (480, 640) uint16, distorted by the lens; every 37th row is a hole."""
    rays = kinect.depth_rays()  # checked against OpenCV in test_kinect.py
    # points3d = R * points3d + T, all signs turned: its x / z is ours.
    depth_m, _ = cast(-TOOLBOX_T, -(rays @ TOOLBOX_R.T), shift)  # z of a ray is 1 in the depth camera's frame
    raw = np.round(1092.5 - 351.3 / depth_m).reshape(kinect.HEIGHT, kinect.WIDTH)
    raw[::37] = kinect.LARGEST_RAW
    return raw.astype(np.uint16)


@cache
def raw_photo(shift: float = 0.0) -> np.ndarray:
    """Photo (480, 640, 3) uint8, distorted by the colour camera's lens: red box, grey wall."""
    v, u = np.mgrid[: kinect.HEIGHT, : kinect.WIDTH].reshape(2, -1)
    c = kinect.COLOUR
    x, y = kinect.undistort_directions((u - c.cx) / c.fx, (v - c.cy) / c.fy, c)
    _, hits = cast(np.zeros(3), np.stack([x, y, np.ones_like(x)], axis=1), shift)
    return np.where(hits[:, None], RED, GREY).astype(np.uint8).reshape(kinect.HEIGHT, kinect.WIDTH, 3)


def write_depth(path: Path, raw: np.ndarray) -> None:
    """Write a PGM with the dataset's byte order, which is wrong for the format."""
    path.write_bytes(b"P5\n640 480\n65535\n" + raw.astype("<u2").tobytes())


def write_scene(folder: Path, start_s: float = 1294439278.998029, count: int = 4) -> Path:
    """Write depth every 30 ms, photos 11 ms later and one fewer, accelerometer dumps and an index."""
    folder.mkdir(parents=True)
    for i in range(count):
        time_s, shift = start_s + 0.03 * i, 0.02 * i
        write_depth(folder / f"d-{time_s:.6f}-{3106702323 + i}.pgm", raw_depth(shift))
        (folder / f"a-{time_s:.6f}-{3106702323 + i}.dump").write_bytes(bytes(28))
        if i < count - 1:
            Image.fromarray(raw_photo(shift)).save(folder / f"r-{time_s + 0.011:.6f}-{3118787619 + i}.ppm")
    (folder / "INDEX.txt").write_text("\n".join(sorted(file.name for file in folder.iterdir())))
    return folder
