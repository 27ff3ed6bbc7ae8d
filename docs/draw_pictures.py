"""Draw the pictures of these pages into docs/pictures/, from the free photos in examples/.

Run `python docs/draw_pictures.py` when weights, colours or protocols have changed. tests/test_docs.py
checks that each is there, and how large they are.
"""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hqmd_cli.api import load  # noqa: E402
from hqmd_cli.data.check.overlays import overlays  # noqa: E402
from hqmd_cli.data.sample import sample_from  # noqa: E402
from hqmd_cli.evaluation.protocol import Protocol  # noqa: E402
from hqmd_cli.evaluation.protocols import PROTOCOLS  # noqa: E402
from hqmd_cli.files.photos import read_image  # noqa: E402
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics  # noqa: E402
from hqmd_cli.geometry.surfaces import mesh_of, normals, on_jumps, unproject  # noqa: E402
from hqmd_cli.visualization import COLORMAPS  # noqa: E402
from hqmd_cli.visualization.colormap import RGB, colorize, normals_to_rgb, with_legend  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
PORTRAIT, TABLE = (ROOT / "examples" / name for name in ("astronaut.jpg", "coffee.jpg"))
NYU_FRAME = (480, 640)  # (H, W)
WIDTH = 320  # pixels of a small picture
TURN_DEG, LIFT_DEG = 24, 12  # of the view onto points and meshes
CROP_COLOUR = (255, 190, 0)


def main() -> None:
    """Draw all of them."""
    PICTURES.mkdir(exist_ok=True)
    draw_outputs()
    draw_colormaps()
    for name, protocol in PROTOCOLS.items():
        save(f"crop-{name}", with_crop(protocol))
    draw_wrong_data()
    draw_models()


def save(name: str, picture: RGB, width: int = WIDTH) -> None:
    """Write a picture as a JPEG of this width."""
    height = round(picture.shape[0] * width / picture.shape[1])
    Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS).save(
        PICTURES / f"{name}.jpg", quality=82, optimize=True
    )


def draw_outputs() -> None:
    """Draw one picture for each kind of file that `predict` writes."""
    photo = read_image(PORTRAIT)
    depth_m, _, shape_error = load().with_uncertainty(photo)
    near_m, far_m = np.percentile(depth_m, (1, 99))
    camera = find_intrinsics(*depth_m.shape)
    save("photo", photo)
    save("color", colorize(depth_m, near_m, far_m))
    save("legend", with_legend(colorize(depth_m, near_m, far_m), near_m, far_m), 400)
    save("mm", np.repeat((depth_m * 1000 / 256).astype(np.uint8)[..., None], 3, axis=2))  # as a viewer shows 16 bits
    save("numbers", numbers(depth_m))
    save("normals", normals_to_rgb(normals(depth_m, camera)))
    errors = 100 * shape_error
    save("uncertainty", colorize(errors, *np.percentile(errors, (99, 1)), "viridis", "disparity"))
    save("ply", points_from_the_side(photo, depth_m, camera))
    save("glb", mesh_from_the_side(photo, depth_m, camera))


def numbers(depth_m: NDArray[np.float32], cell: int = 64, count: int = 5) -> RGB:
    """Write the metres of some pixels across an edge into squares of their colours."""
    row, column, step = 112, 148, 10
    part = depth_m[row : row + step * count : step, column : column + step * count : step]
    colours = colorize(part, *np.percentile(depth_m, (1, 99)))
    drawn = Image.fromarray(np.kron(colours, np.ones((cell, cell, 1), np.uint8)))
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(20)
    for (y, x), metres in np.ndenumerate(part):
        dark = colours[y, x].mean() < 128
        pen.text(((x + 0.5) * cell, (y + 0.5) * cell), f"{metres:.2f}", "white" if dark else "black", font, anchor="mm")
    return np.asarray(drawn)


def from_the_side(points: NDArray[np.float32], camera: Intrinsics) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn points (N, 3) about their middle; returns pixels (N, 2) of the same camera further back, and depths (N,)."""
    turn, lift = np.radians((TURN_DEG, LIFT_DEG))
    about_y = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(lift), -np.sin(lift)], [0, np.sin(lift), np.cos(lift)]])
    middle = np.median(points, axis=0)
    turned = (points - middle) @ (about_x @ about_y).T + middle + [0, 0, 0.15 * middle[2]]
    depths = turned[:, 2]
    return (turned[:, :2] / depths[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy]), depths


def points_from_the_side(photo: RGB, depth_m: NDArray[np.float32], camera: Intrinsics) -> RGB:
    """Draw every second point of every second row as a dot."""
    kept = ~on_jumps(depth_m)
    kept[1::2], kept[:, 1::2] = False, False
    pixels, depths = from_the_side(unproject(depth_m, camera)[kept], camera)
    height, width = depth_m.shape
    x, y = pixels.round().astype(int).T
    order = np.argsort(-depths)  # nearer points are drawn over farther ones
    order = order[((x > 0) & (x < width) & (y >= 0) & (y < height))[order]]
    canvas = np.full((height, width, 3), 24, np.uint8)
    for aside in (0, 1):
        canvas[y[order], x[order] - aside] = photo[kept][order]
    return canvas


def mesh_from_the_side(photo: RGB, depth_m: NDArray[np.float32], camera: Intrinsics) -> RGB:
    """Draw the triangles from far to near, each in the colour of its first corner."""
    mesh = mesh_of(depth_m, camera)
    pixels, depths = from_the_side(mesh.points, camera)
    colours = photo.reshape(-1, 3)[mesh.pixels]
    canvas = np.full((*depth_m.shape, 3), 255, np.uint8)
    corners = np.round(pixels * 16).astype(np.int32)  # in sixteenths, for fillConvexPoly's shift
    for triangle in mesh.triangles[np.argsort(-depths[mesh.triangles].mean(axis=1))]:
        cv2.fillConvexPoly(canvas, corners[triangle], colours[triangle[0]].tolist(), shift=4)
    return canvas


def draw_colormaps() -> None:
    """Draw one depth map in each colormap."""
    depth_m = load()(read_image(PORTRAIT))
    near_m, far_m = np.percentile(depth_m, (1, 99))
    for name in COLORMAPS:
        save(f"colormap-{name}", colorize(depth_m, near_m, far_m, name), 200)


def with_crop(protocol: Protocol) -> RGB:
    """Draw what a protocol scores of a photo of its data's size; what it leaves out is darkened."""
    height, width = protocol.compared_at or next(iter(protocol.frames), NYU_FRAME)
    image = filled_frame(read_image(TABLE), height, width)
    top, bottom, left, right = protocol.crop or (0, height, 0, width)
    if protocol.crop_shares:
        upper, lower, first, last = protocol.crop_shares
        top, bottom, left, right = int(upper * height), int(lower * height), int(first * width), int(last * width)
    shown = image // 3
    shown[top:bottom, left:right] = image[top:bottom, left:right]
    cv2.rectangle(shown, (left, top), (right - 1, bottom - 1), CROP_COLOUR, max(2, width // 200))
    return shown


def filled_frame(photo: RGB, height: int, width: int) -> RGB:
    """Cut the middle of a photo to this shape, and resize it."""
    scale = max(height / photo.shape[0], width / photo.shape[1])
    large = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


def draw_wrong_data() -> None:
    """Draw what `hqmd check --picture` shows of a right pair, and of one whose depth is mirrored."""
    photo = read_image(PORTRAIT)
    depth_m = load()(photo)
    pairs = {"right": depth_m, "mirrored by mistake": np.ascontiguousarray(depth_m[:, ::-1])}
    save("wrong-data", overlays([sample_from(name, photo, each) for name, each in pairs.items()]), 480)


def draw_models() -> None:
    """Draw what `hqmd models` prints in a terminal of 80 columns."""
    command = [sys.executable, "-m", "hqmd_cli", "models"]
    text = subprocess.run(command, cwd=ROOT, env=os.environ | {"COLUMNS": "80"}, check=True, capture_output=True).stdout
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSansMono.ttf"), 13)
    size = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((6, 6), text.decode(), font, spacing=0)[2:]
    picture = Image.new("L", tuple(int(side) + 6 for side in size), "white")
    ImageDraw.Draw(picture).multiline_text((6, 6), text.decode(), "black", font, spacing=0)
    save("models", np.asarray(picture), 2 * WIDTH)


if __name__ == "__main__":
    main()
