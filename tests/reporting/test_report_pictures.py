"""The pictures of a report: each map as it was scored, in common colours, and no more in memory than one picture."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import scene
from hqmd_cli.data.sample import Sample
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.reporting.html.pictures import MOST_PIXELS, Picture, draw_each, error_limit_m, layer
from hqmd_cli.visualization.colormap import colorize
from hqmd_cli.visualization.error_map import colorize_error
from scenes import CROPPED, NAMES, WHOLE, Scenes, report_of, times


def pixels(source: str) -> np.ndarray:
    """(H, W, 3 or 4) of a data: address."""
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
        assert picture.format == "WEBP"
        return np.asarray(picture).astype(int)


def drawn(
    sources: dict[str, PredictionSource], protocol: Protocol = WHOLE, limit_m: float = 1.0, index: int = 0
) -> Picture:
    return next(draw_each([index], Scenes(NAMES), sources, protocol, limit_m))


def test_photo_truth_and_depths_share_their_colours() -> None:
    picture = drawn({"same": times(1), "far": times(1.25)})
    image, depth_m = scene(0, (48, 64))
    (photo, truth), (same, _), (far, _) = (pair.layers for pair in picture.pairs)
    assert picture.near_m == pytest.approx(depth_m.min(), abs=0.05)
    assert picture.far_m == pytest.approx(1.25 * depth_m.max(), abs=0.1)  # the colours reach to what lies farther
    assert np.abs(pixels(photo.source) - image).mean() < 8  # a lossy format
    for shown, factor in ((truth, 1), (same, 1), (far, 1.25)):
        expected = colorize(factor * depth_m, picture.near_m, picture.far_m)
        assert np.abs(pixels(shown.source) - expected).mean() < 8


def test_one_model_that_is_far_off_leaves_the_colours_to_the_others() -> None:
    picture = drawn({"same": times(1), "millimetres": times(1000)})
    depth_m = scene(0, (48, 64))[1]
    assert picture.near_m <= depth_m.min() and picture.far_m <= 2.01 * depth_m.max()
    results = report_of({"same": times(1.1), "also": times(0.9), "millimetres": times(1000)}).results
    assert error_limit_m(results) < 1.5


def test_errors_are_red_where_too_far_and_blue_where_too_near() -> None:
    near, right, far, beyond = colorize_error(np.array([[-1.0, 0.0, 1.0, 7.0]]), 1.0)[0].astype(int)
    assert near[2] > near[0] + 50 and far[0] > far[2] + 50 and right.min() > 240
    assert (beyond == far).all()


def test_what_does_not_count_is_transparent() -> None:
    error = drawn({"a": times(1.1)}, CROPPED).pairs[1].layers[1]
    opaque = pixels(error.source)[..., 3] == 255
    inside = np.zeros((48, 64), bool)
    inside[8:40, 4:60] = True
    assert (opaque == inside).all()


@pytest.mark.parametrize(
    ("protocol", "shown"),
    [
        (replace(WHOLE, alignment="median"), lambda z: z),
        (replace(WHOLE, clip_m=(0.1, 4.0)), lambda z: np.minimum(3 * z, 4)),
        (replace(WHOLE, compared_at=(24, 32)), lambda z: 3 * z),
    ],
)
def test_maps_are_shown_as_they_were_scored(protocol: Protocol, shown: Callable[[np.ndarray], np.ndarray]) -> None:
    picture = drawn({"thrice": times(3)}, protocol)
    (_, truth), (depth, _) = (pair.layers for pair in picture.pairs)
    expected = colorize(shown(scene(0, (48, 64))[1]), picture.near_m, picture.far_m)
    found = pixels(depth.source)
    step = 48 // found.shape[0]
    assert np.abs(found - expected[::step, ::step]).mean() < 12
    assert (truth.height, truth.width) == found.shape[:2] == (protocol.compared_at or (48, 64))


def test_flipped_maps_are_shown_flipped() -> None:
    """Two models that differ in their mirrored photo only."""
    flipping = replace(WHOLE, flip=True)
    depth_m = scene(0, (48, 64))[1]

    def model(factor: float) -> PredictionSource:
        return PredictionSource(lambda sample: sample.depth_m, predict=lambda image: factor * depth_m[:, ::-1])

    same, doubled = (drawn({"a": model(factor)}, flipping).pairs[1].layers[1] for factor in (1, 2))
    assert pixels(same.source).min() > 230  # no error
    assert pixels(doubled.source)[..., 2].mean() < 120  # red


def test_large_pictures_are_reduced_without_mixing_in_holes() -> None:
    rng = np.random.default_rng(0)
    known = rng.random((900, 1400)) < 0.5
    rgb = np.where(known[..., None], np.uint8(200), np.uint8(0)).repeat(3, axis=2)
    small = layer("truth", rgb, known)
    assert small.width * small.height <= MOST_PIXELS * 1.01
    assert small.width / small.height == pytest.approx(14 / 9, rel=0.01)
    found = pixels(small.source)
    assert np.abs(found[found[..., 3] == 255][:, :3].mean() - 200) < 8


def test_pictures_are_predicted_one_by_one() -> None:
    """What is not asked for yet is not predicted yet, and what is not chosen never."""
    asked: list[str] = []

    def judged(sample: Sample) -> np.ndarray:
        asked.append(sample.name)
        return sample.depth_m

    drawn = draw_each(
        [4, 2, 0], Scenes(NAMES), {"a": PredictionSource(judged), "b": PredictionSource(judged)}, WHOLE, 1.0
    )
    assert asked == []
    next(drawn)
    assert asked == [NAMES[4]] * 2
    assert [picture.name for picture in drawn] == [NAMES[2], NAMES[0]]
