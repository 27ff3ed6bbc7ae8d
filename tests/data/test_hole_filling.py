"""Levin's hole filling: by hand, and against a dense solve written pixel by pixel."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra fill is not installed")

from hqmd_cli.data.nyu_raw.hole_filling import fill


def dense_fill(depth_m: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Fill holes as in the paper, with the toolbox's weights, pixel by pixel, all pixels in one full matrix."""
    height, width = depth_m.shape
    grey = photo @ np.array([0.2989, 0.587, 0.114]) / 255
    size = height * width
    system, right = np.zeros((size, size)), np.zeros(size)
    for y in range(height):
        for x in range(width):
            here = y * width + x
            system[here, here] = 1
            if depth_m[y, x] > 0:
                right[here] = depth_m[y, x]
                continue
            window = [
                (j, i)
                for j in range(max(0, y - 1), min(height, y + 2))
                for i in range(max(0, x - 1), min(width, x + 2))
            ]
            around = [place for place in window if place != (y, x)]
            squares = [(grey[place] - grey[y, x]) ** 2 for place in around]
            variance = max(0.6 * np.var([grey[place] for place in window]), -min(squares) / np.log(0.01), 2e-6)
            weights = np.exp(-np.array(squares) / variance)
            for (j, i), weight in zip(around, weights / weights.sum(), strict=True):
                system[here, j * width + i] -= weight
    return np.linalg.solve(system, right).reshape(height, width)


@pytest.mark.parametrize("holes", [0.2, 0.6, 0.95])
def test_against_a_dense_solve(holes: float) -> None:
    rng = np.random.default_rng(round(100 * holes))
    photo = rng.integers(0, 256, (9, 11, 3), np.uint8)
    depth_m = np.where(rng.random((9, 11)) < holes, 0, rng.uniform(1, 8, (9, 11))).astype(np.float32)
    filled = fill(depth_m, photo)
    np.testing.assert_allclose(filled, dense_fill(depth_m, photo), rtol=1e-5)
    np.testing.assert_array_equal(filled[depth_m > 0], depth_m[depth_m > 0])


def test_by_hand() -> None:
    """One row of an even photo: each hole is the mean of both sides, which is a straight line, and flat at the end."""
    filled = fill(np.array([[1, 0, 0, 4, 0, 0]], np.float32), np.full((1, 6, 3), 90, np.uint8))
    np.testing.assert_allclose(filled, [[1, 2, 3, 4, 4, 4]], rtol=1e-6)


def test_by_hand_between_two_brightnesses() -> None:
    """A hole as bright as its left side and unlike its right: grey 0.2, 0.2, 1, of which 0.6 variances are 0.0853.

    The right one weighs exp(-0.64 / 0.0853) = 0.00055 against 1.
    """
    photo = np.array([[[51] * 3, [51] * 3, [255] * 3]], np.uint8)
    right = np.exp(-(0.8**2) / (0.6 * np.var([0.2, 0.2, 1.0])))
    expected = (1 * 1 + 3 * right) / (1 + right)
    np.testing.assert_allclose(fill(np.array([[1, 0, 3]], np.float32), photo)[0, 1], expected, rtol=1e-4)
    assert expected == pytest.approx(1.0011, abs=1e-4)


def test_an_edge_of_the_photo_becomes_one_of_depth() -> None:
    """A wall and a box before it, whose common rim was not measured: depth jumps where the colour does."""
    photo = np.full((40, 60, 3), 200, np.uint8)
    photo[:, 30:] = 40
    photo += np.random.default_rng(0).integers(0, 6, photo.shape, np.uint8)
    depth_m = np.full((40, 60), 4, np.float32)
    depth_m[:, 30:] = 1.5
    measured = depth_m.copy()
    measured[:, 22:38] = 0
    filled = fill(measured, photo)
    assert np.abs(filled - depth_m).max() < 0.15


def test_no_depth_and_no_holes_are_left_alone() -> None:
    photo = np.zeros((4, 5, 3), np.uint8)
    assert not fill(np.zeros((4, 5), np.float32), photo).any()
    np.testing.assert_array_equal(fill(np.full((4, 5), 2, np.float32), photo), 2)


def test_filled_depth_is_within_what_was_measured() -> None:
    rng = np.random.default_rng(5)
    depth_m = np.where(rng.random((60, 80)) < 0.7, 0, rng.uniform(0.8, 9, (60, 80))).astype(np.float32)
    filled = fill(depth_m, rng.integers(0, 256, (60, 80, 3), np.uint8))
    assert filled.min() >= depth_m[depth_m > 0].min() - 1e-6 and filled.max() <= depth_m.max() + 1e-6
