"""Depth that follows the photo's edges: sharper where the photo has one, as it was where it has none."""

import numpy as np
import pytest

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference import guided_filter as edges
from hqmd_cli.inference.guided_filter import STRIP_PIXELS, follow_edges, local_fits
from hqmd_cli.inference.predictor import DepthPredictor, resize

NEAR_M, FAR_M = 1.5, 3.0


def photo_with_an_edge(height: int, width: int, at: float) -> np.ndarray:
    """Left a dark thing, right a light one."""
    image = np.full((height, width, 3), (60, 40, 50), np.uint8)
    image[:, round(at * width) :] = (180, 170, 150)
    return image


def blurred_step(height: int, width: int, at: float, pixels: float) -> np.ndarray:
    """What a network makes of a jump from near to far: a slope some pixels wide."""
    x = (np.arange(width) + 0.5 - at * width) / pixels
    return np.tile(NEAR_M + (FAR_M - NEAR_M) / (1 + np.exp(-4 * x)), (height, 1)).astype(np.float32)


def test_a_jump_is_where_the_photo_has_it():
    image = photo_with_an_edge(480, 640, 0.4)
    seen = blurred_step(60, 80, 0.4, 4)
    plain, followed = resize(seen, (480, 640)), follow_edges(seen, image, 0.05)
    assert followed.shape == (480, 640) and followed.dtype == np.float32
    steepest = np.abs(np.diff(followed[240])).argmax()
    assert steepest == 255  # between the last dark and the first light pixel
    assert np.abs(np.diff(followed[240])).max() > 10 * np.abs(np.diff(plain[240])).max()
    far_from_it = np.r_[0:150, 400:640]
    np.testing.assert_allclose(followed[:, far_from_it], plain[:, far_from_it], rtol=0.02)


def test_a_pattern_on_a_flat_wall_is_not_copied():
    """A poster is no relief."""
    rng = np.random.default_rng(0)
    poster = np.repeat(np.repeat(rng.integers(0, 255, (24, 32, 3)).astype(np.uint8), 20, axis=0), 20, axis=1)
    wall = np.full((60, 80), 2, np.float32)
    np.testing.assert_allclose(follow_edges(wall, poster, 0.05), 2, rtol=1e-4)


def test_a_photo_without_edges_only_smooths():
    depth_m = (2 + 0.2 * np.sin(np.linspace(0, 3, 80)) * np.linspace(1, 2, 60)[:, None]).astype(np.float32)
    even = np.full((120, 160, 3), 128, np.uint8)
    np.testing.assert_allclose(follow_edges(depth_m, even, 0.03), resize(depth_m, (120, 160)), rtol=0.02)


def test_no_depth_beyond_what_the_network_said():
    rng = np.random.default_rng(1)
    depth_m = rng.uniform(1, 5, (40, 50)).astype(np.float32)
    image = rng.integers(0, 255, (80, 100, 3)).astype(np.uint8)
    image[10:12, 10:12] = 255  # a highlight far from its window's colours
    followed = follow_edges(depth_m, image, 0.05)
    assert depth_m.min() * 0.999 <= followed.min() and followed.max() <= depth_m.max() * 1.001


def test_the_fit_is_the_least_squares_one():
    """Against numpy's solver, in one window; the mean of the fits is undone by looking at a single window's worth."""
    rng = np.random.default_rng(2)
    colours = rng.uniform(0, 1, (9, 9, 3)).astype(np.float32)
    values = (colours @ (0.5, -0.3, 0.2) + 1).astype(np.float32)
    middle = local_fits(colours, values, 1)[4, 4]
    np.testing.assert_allclose(middle[:3], (0.5, -0.3, 0.2), atol=0.03)  # epsilon pulls the slopes to 0 a little
    assert middle[:3] @ colours[4, 4] + middle[3] == pytest.approx(values[4, 4], abs=0.01)


def test_a_large_photo_is_the_same_in_strips_as_in_one(monkeypatch):
    rng = np.random.default_rng(3)
    depth_m, image = rng.uniform(1, 5, (30, 40)).astype(np.float32), rng.integers(0, 255, (300, 400, 3), dtype=np.uint8)
    whole, *others = (
        monkeypatch.setattr(edges, "STRIP_PIXELS", pixels) or follow_edges(depth_m, image, 0.02)
        for pixels in (300 * 400, 70 * 400, 400, 1)
    )
    for strips in others:
        np.testing.assert_allclose(strips, whole, rtol=1e-5)


def test_a_large_photo_is_halved_before_it_is_shrunk():
    image = np.random.default_rng(5).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    large = np.repeat(np.repeat(image, 16, axis=0), 16, axis=1)
    assert edges.halved(large, (60, 80)).shape == (120, 160, 3)
    np.testing.assert_array_equal(edges.shrink(edges.halved(large, (60, 80)), (60, 80)), image)
    assert edges.halved(image, (60, 80)) is image


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (3, 2), (2000, 5), (1100, STRIP_PIXELS // 1000)])
def test_photos_of_any_size(size: tuple[int, int]):
    image = np.random.default_rng(4).integers(0, 255, (*size, 3)).astype(np.uint8)
    depth_m = np.full((32, 40), 2.5, np.float32)
    np.testing.assert_allclose(follow_edges(depth_m, image, 0.02), np.full(size, 2.5), rtol=1e-4)


def test_the_predictor_follows_edges_where_its_model_says_so():
    image = photo_with_an_edge(96, 128, 0.5)
    engine = lambda picture: blurred_step(*picture.shape[:2], 0.5, 6)  # noqa: E731
    plain, followed = (
        DepthPredictor(engine, ModelConfig().with_settings(size=(48, 64), edge_share=e))(image) for e in (0.0, 0.05)
    )
    assert np.abs(np.diff(followed[50])).max() > 2 * np.abs(np.diff(plain[50])).max()
    with pytest.raises(HqmdError, match="edge_share"):
        ModelConfig().with_settings(edge_share=0.5)
