"""NYU's Kinect: metres from raw numbers, and depth projected into the colour camera, on scenes of known geometry."""

import cv2
import numpy as np
import pytest

from hqmd_cli.data.nyu_raw import kinect
from hqmd_cli.data.nyu_raw.kinect import COLOUR, DEPTH, HEIGHT, WIDTH, metres, project, undistort
from kinect_room import raw_depth, raw_photo, truth


def test_metres() -> None:
    """By hand: 351.3 / (1092.5 - 900) = 1.8249 m; what is nearer than 0.71 m or farther than 10 m is none."""
    raw = np.array([[0, 599, 600, 900, 1057, 1058, 1092, 1093, 2047]], np.uint16)
    expected = [[0, 0, 351.3 / 492.5, 1.824935, 351.3 / 35.5, 0, 0, 0, 0]]
    np.testing.assert_allclose(metres(raw), expected, rtol=1e-6)


@pytest.mark.parametrize("camera", [COLOUR, DEPTH])
def test_directions_through_the_lens_land_on_their_pixels(camera: kinect.Camera) -> None:
    v, u = np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1)
    x, y = kinect.undistort_directions((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, camera)
    rays, still = np.stack([x, y, np.ones_like(x)], axis=1), np.zeros(3)
    pixels, _ = cv2.projectPoints(rays, still, still, camera.matrix, np.array(camera.distortion))
    np.testing.assert_allclose(pixels[:, 0], np.stack([u, v], axis=1), atol=1e-6)


def test_projection_of_a_known_scene() -> None:
    """Depth of a slanted wall and a box is right to the sensor's steps and half a pixel."""
    depth_m, box = truth()
    projected = project(raw_depth())
    rim = cv2.morphologyEx(box.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0
    clean = (projected > 0) & ~rim
    error = np.abs(projected - depth_m)[clean]
    step = depth_m[clean] ** 2 / 351.3  # from one raw number to the next
    slant = 0.8 * depth_m[clean] / COLOUR.fx  # the wall's depth from a pixel to the next, at most
    assert (error <= 0.5 * step + slant).mean() > 0.999
    assert np.median(error) < 0.006


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_depth_and_photo_of_a_pair_show_the_box_in_one_place() -> None:
    photo, projected = undistort(raw_photo()), project(raw_depth())
    red = photo[..., 0].astype(int) - photo[..., 1] > 85
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[60:450, 60:590] = True
    near = (projected > 0) & (projected < 2.3)
    seen = inside & (projected > 0)
    assert overlap(red & seen, near & seen) > 0.985
    unaligned = (metres(raw_depth()) < 2.3) & (metres(raw_depth()) > 0)
    assert overlap(red & seen, unaligned & seen) < 0.9


@pytest.mark.parametrize(
    ("number", "wrong"), [("TRANSLATION_M", -kinect.TRANSLATION_M), ("ROTATION", kinect.ROTATION.T)]
)
def test_a_calibration_that_is_off_would_be_found(monkeypatch, number: str, wrong: np.ndarray) -> None:
    """A wrong calibration moves the box, so the tests above would fail."""
    (_, box), raw = truth(), raw_depth()
    seen = project(raw) > 0

    def agreement() -> float:
        return overlap(box & seen, (project(raw) < 2.3) & seen)

    assert agreement() > 0.985
    monkeypatch.setattr(kinect, number, wrong)
    assert agreement() < 0.97


def test_where_there_is_depth_at_any_distance_is_the_toolboxs_mask() -> None:
    """Its get_projection_mask.m: rows 45 to 471 and columns 41 to 601, counted from 1."""
    always = np.logical_and.reduce([project(np.full((HEIGHT, WIDTH), raw, np.uint16)) > 0 for raw in (600, 900, 1057)])
    rows, columns = (np.flatnonzero(always.mean(axis) > 0.5) for axis in (1, 0))
    assert abs(columns[0] - 40) <= 1 and abs(columns[-1] - 600) <= 1
    assert 40 <= rows[0] <= 44 and 470 <= rows[-1] <= 474
    assert always[44:471, 41:599].mean() > 0.999  # a surface across has no holes


def test_of_two_points_on_one_pixel_the_nearer_is_seen() -> None:
    raw = np.full((HEIGHT, WIDTH), 1000, np.uint16)  # 3.80 m
    raw[:, 320:] = 800  # 1.20 m: the colour camera sees it 11 pixels further left, and what is behind it only 3
    projected = project(raw)[60:440]
    near = (projected > 0) & (projected < 2)
    behind = projected > 3
    for row in range(len(projected)):
        assert near[row].argmax() > np.flatnonzero(behind[row])[-1]


def test_an_undistorted_photo_has_a_white_rim() -> None:
    """NYU's labelled pictures have one, 5 to 8 pixels on each side."""
    white = (undistort(np.zeros((HEIGHT, WIDTH, 3), np.uint8)) == 255).all(axis=2)
    sides = (white[240], white[240, ::-1], white[:, 320], white[::-1, 320])
    assert [int(side.argmin()) for side in sides] == [6, 7, 5, 4]
    assert not white[10:-10, 10:-10].any()


def test_a_frame_without_depth() -> None:
    assert not project(np.full((HEIGHT, WIDTH), 2047, np.uint16)).any()
