"""Scoring: what is refused, which pixels count under which protocol, and what the mean is over."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from hqmd_cli.data.sample import GroundTruth, Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.aggregation import is_pooled
from hqmd_cli.evaluation.evaluate import evaluate, score_each, score_under_each
from hqmd_cli.evaluation.metrics.registry import BASIC_METRICS, DETAIL_METRICS, MAIN_METRICS, METRICS, Metric, Pool
from hqmd_cli.evaluation.prediction_source import Said, model_source
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.results import Result, ScoredPicture, collect
from hqmd_cli.evaluation.scoring import DoesNotFit, apply_protocol, compared_truth, score
from hqmd_cli.evaluation.session import telling
from hqmd_cli.inference.open import OpenModel, Seen
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.reporting.tables import caption

HQMD, EIGEN = find_protocol("hqmd"), find_protocol("eigen-raw")
FRAME = (480, 640)


class Pictures:
    """A dataset of given samples."""

    def __init__(self, *samples: Sample, ground_truth: GroundTruth = "filled") -> None:
        self.samples, self.ground_truth, self.description = samples, ground_truth, "fake.mat, test"

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def picture(name: str, depth_m: NDArray[np.floating], tone: int = 0) -> Sample:
    """A sample whose photo is `tone` all over: how the fake predictors below tell pictures apart."""
    return sample_from(name, np.full((*depth_m.shape, 3), tone, np.uint8), depth_m.astype(np.float32))


def ramp(shape: tuple[int, int] = (3, 4)) -> NDArray[np.float64]:
    return np.linspace(1, 2, shape[0] * shape[1]).reshape(shape)


def with_pixel(value: float) -> NDArray[np.float64]:
    spoilt = ramp()
    spoilt[1, 2] = value
    return spoilt


@pytest.mark.parametrize(
    ("pred_m", "complaint"),
    [
        (with_pixel(math.nan), "1 NaN or infinite"),
        (with_pixel(math.inf), "1 NaN or infinite"),
        (with_pixel(-math.inf), "1 NaN or infinite"),
        (with_pixel(0), "0 or less"),
        (with_pixel(-0.5), "-0.5"),
        (np.full((3, 4), 2.5), "2.5 everywhere"),
        (ramp((4, 3)), "(4, 3)"),
        (ramp()[None], "(1, 3, 4)"),
        (ramp().ravel(), "(12,)"),
    ],
)
def test_a_prediction_without_an_honest_score(pred_m: NDArray[np.floating], complaint: str) -> None:
    data = Pictures(picture("kitchen", ramp(), tone=1), picture("bathroom", ramp(), tone=2))
    with pytest.raises(HqmdError) as refusal:
        evaluate(lambda image: pred_m if image[0, 0, 0] == 2 else ramp(), data, HQMD)
    assert "bathroom" in str(refusal.value)
    assert complaint in str(refusal.value)


def test_a_bad_prediction_is_refused_where_there_is_no_truth_too() -> None:
    truth = ramp()
    truth[1, 2] = 0
    with pytest.raises(HqmdError, match="kitchen"):
        score(with_pixel(math.nan), picture("kitchen", truth), HQMD)


@pytest.mark.parametrize("hole", [0, math.nan, math.inf, -1])
def test_a_picture_without_truth_is_refused(hole: float) -> None:
    with pytest.raises(HqmdError, match="kitchen: no valid ground truth"):
        evaluate(lambda _: ramp(), Pictures(picture("kitchen", np.full((3, 4), hole))), HQMD)


def test_a_picture_with_truth_outside_the_range_only_is_refused() -> None:
    sample = picture("hall", np.full(FRAME, 12.0))
    assert score(ramp(FRAME), sample, HQMD).figures["AbsRel"] > 0
    with pytest.raises(HqmdError, match="hall: no valid ground truth"):
        score(ramp(FRAME), sample, EIGEN)


@pytest.mark.parametrize("hole", [0, math.nan, math.inf, -1])
def test_pixels_without_truth_do_not_count(hole: float) -> None:
    # AbsRel of the other three: 1/1, 0/2, 1/4; the prediction at the hole is far off
    figures = score(np.array([[2, 2], [99, 3.0]]), picture("kitchen", np.array([[1, 2], [hole, 4.0]])), HQMD).figures
    assert figures["AbsRel"] == pytest.approx((1 + 0 + 0.25) / 3, abs=1e-12)
    assert figures["RMSE"] == pytest.approx(math.sqrt((1 + 0 + 1) / 3), abs=1e-12)
    assert set(figures) == set(BASIC_METRICS)


def test_scoring_is_in_double_precision() -> None:
    truth = np.linspace(1, 10, 12, dtype=np.float32).reshape(3, 4)
    pred_m = truth * np.float32(1.1)
    expected = np.mean(np.abs(pred_m.astype(np.float64) - truth.astype(np.float64)) / truth.astype(np.float64))
    assert score(pred_m, picture("kitchen", truth), HQMD).figures["AbsRel"] == expected


@pytest.mark.parametrize("name", ["eigen-raw", "eigen-filled"])
@pytest.mark.parametrize("shape", [(640, 480), (240, 320), (481, 640)])
def test_the_crop_refuses_another_frame_size(name: str, shape: tuple[int, int]) -> None:
    with pytest.raises(HqmdError, match="kitchen") as refusal:
        score(ramp(shape), picture("kitchen", ramp(shape)), find_protocol(name))
    assert str(shape) in str(refusal.value)
    assert str(FRAME) in str(refusal.value)


@pytest.mark.parametrize("name", ["eigen-raw", "eigen-filled"])
@pytest.mark.parametrize(
    ("pixel", "counts"),
    [
        ((45, 41), True),
        ((470, 600), True),
        ((44, 41), False),
        ((45, 40), False),
        ((471, 600), False),
        ((470, 601), False),
        ((0, 0), False),
        ((479, 639), False),
    ],
)
def test_corners_of_the_crop(pixel: tuple[int, int], counts: bool, name: str) -> None:
    truth = np.full(FRAME, 2.0)
    pred_m = truth.copy()
    pred_m[pixel] = 3
    pixels = (471 - 45) * (601 - 41)
    figures = score(pred_m, picture("kitchen", truth), find_protocol(name)).figures
    assert figures["AbsRel"] == pytest.approx(0.5 / pixels if counts else 0, abs=1e-15)
    assert score(pred_m, picture("kitchen", truth), HQMD).figures["AbsRel"] == pytest.approx(
        0.5 / (480 * 640), abs=1e-15
    )


@pytest.mark.parametrize(
    ("truth_m", "counts"), [(0.001, False), (0.0011, True), (9.999, True), (10.0, False), (10.5, False)]
)
def test_truth_outside_the_range_does_not_count(truth_m: float, counts: bool) -> None:
    """Both ends are exclusive, also of the 32-bit numbers nearest to them."""
    truth = np.full(FRAME, 2.0)
    truth[100:110, 100:110] = truth_m
    _, mask = compared_truth(picture("kitchen", truth), EIGEN)
    assert mask[100:110, 100:110].all() == mask[100:110, 100:110].any() == counts
    assert mask.sum() == (471 - 45) * (601 - 41) - (0 if counts else 100)
    assert compared_truth(picture("kitchen", truth), HQMD)[1].all()


@pytest.mark.parametrize(("pred_m", "truth_m", "clipped_m"), [(25.0, 8.0, 10.0), (0.0001, 2.0, 0.001), (9.0, 8.0, 9.0)])
def test_predictions_are_clipped_into_the_range(pred_m: float, truth_m: float, clipped_m: float) -> None:
    truth = np.full(FRAME, truth_m)
    preds = np.full(FRAME, pred_m)
    preds[0, 0] = 1  # outside the crop; a constant prediction would be refused
    figures = score(preds, picture("kitchen", truth), EIGEN).figures
    assert figures["AbsRel"] == pytest.approx(abs(clipped_m - truth_m) / truth_m, abs=1e-9)
    assert figures["log10"] == pytest.approx(abs(math.log10(clipped_m / truth_m)), abs=1e-9)
    assert preds.max() == max(pred_m, 1)  # the caller's array stays as it was
    truth[0, 0] = 1
    unclipped = score(preds, picture("kitchen", truth), HQMD).figures["AbsRel"]
    assert unclipped == pytest.approx(abs(pred_m - truth_m) / truth_m, rel=1e-4)


def test_the_sample_stays_as_it_was() -> None:
    sample = picture("kitchen", np.where(np.arange(480)[:, None] < 200, 12.0, np.full(FRAME, 3.0)))
    depth_m, valid = sample.depth_m.copy(), sample.valid.copy()
    score(ramp(FRAME), sample, EIGEN)
    assert np.array_equal(sample.depth_m, depth_m)
    assert np.array_equal(sample.valid, valid)


@pytest.mark.parametrize("ground_truth", ["filled", "as given"])
def test_a_raw_protocol_needs_raw_truth(ground_truth: GroundTruth) -> None:
    data = Pictures(picture("kitchen", np.full(FRAME, 2.0)), ground_truth=ground_truth)
    with pytest.raises(HqmdError, match="eigen-raw") as refusal:
        evaluate(lambda _: ramp(FRAME), data, EIGEN)
    assert data.description in str(refusal.value)


def test_raw_truth_under_a_raw_protocol() -> None:
    data = Pictures(picture("kitchen", np.full(FRAME, 2.0)), ground_truth="raw")
    assert evaluate(lambda _: 1 + ramp(FRAME), data, EIGEN).metrics["AbsRel"] > 0


def two_pictures() -> tuple[Callable[[NDArray[np.uint8]], NDArray[np.floating]], Pictures]:
    """One with a single valid pixel, 100 % off; one with three, of which one is 50 % off."""
    few, many = np.array([[0, 2], [0, 0.0]]), np.array([[2, 2], [2, 0.0]])
    preds = {1: np.array([[1, 4], [1, 1.0]]), 2: np.array([[2, 2], [3, 1.0]])}
    return lambda image: preds[int(image[0, 0, 0])], Pictures(picture("few", few, 1), picture("many", many, 2))


def test_the_mean_is_over_pictures() -> None:
    result = evaluate(*two_pictures(), HQMD)
    by_hand = {
        # few; many; (over the four pixels it would be 0.375, 1.118 and 0.5)
        "AbsRel": (1 + 0.5 / 3) / 2,
        "RMSE": (2 + math.sqrt(1 / 3)) / 2,
        "delta1": (0 + 2 / 3) / 2,
        "log10": (math.log10(2) + math.log10(1.5) / 3) / 2,
        "RMSElog": (math.log(2) + math.log(1.5) / math.sqrt(3)) / 2,
        "delta2": (0 + 1) / 2,  # 1.5 < 1.5625
        "delta3": (0 + 1) / 2,  # 2 > 1.953
        "bias": (2 + 1) / 2,
    }
    assert {name: result.metrics[name] for name in by_hand} == pytest.approx(by_hand, abs=1e-9)
    assert by_hand.keys() == MAIN_METRICS.keys() - {"edgeF1"}
    assert math.isnan(result.metrics["edgeF1"])  # pictures of a few pixels: no stencil is whole
    assert result.per_picture["AbsRel"].tolist() == pytest.approx([1, 0.5 / 3], abs=1e-12)
    assert result.names == ["few", "many"]


def test_scores_come_one_picture_at_a_time() -> None:
    """For a progress bar: the second photo is not looked at before the first is scored."""
    predict, data = two_pictures()
    seen: list[int] = []
    scores = score_each(model_source(lambda image: (seen.append(int(image[0, 0, 0])), predict(image))[1]), data, HQMD)
    first = next(scores)
    assert (first.name, first.pixels, seen) == ("few", 1, [1])
    assert first.figures["AbsRel"] == 1


def test_result_as_plain_data() -> None:
    result = evaluate(*two_pictures(), HQMD)
    plain = result.to_dict()
    assert plain["metrics"]["edgeF1"] is plain["intervals"]["edgeF1"] is None  # JSON has no NaN
    assert plain["intervals"]["AbsRel"] == list(result.intervals["AbsRel"])
    assert json.loads(json.dumps(plain)) == plain
    assert {key: plain[key] for key in ("protocol", "protocol_hash", "recipe", "data", "n")} == {
        "protocol": "hqmd",
        "protocol_hash": HQMD.digest,
        "recipe": f"{HQMD.recipe(HQMD.ground_truth)} (hash {HQMD.digest})",
        "data": "fake.mat, test",
        "n": 2,
    }
    assert plain["metrics"].keys() == plain["pooled_over_pixels"].keys() >= MAIN_METRICS.keys()


def test_a_photo_reaches_the_predictor_as_it_is() -> None:
    predict, data = two_pictures()
    got: list[NDArray[np.uint8]] = []
    result = evaluate(lambda image: (got.append(image), predict(image))[1], data, HQMD)
    assert isinstance(result, Result)
    assert all(image is sample.image for image, sample in zip(got, data.samples, strict=True))


def test_pooled_figures_are_those_of_all_pixels() -> None:
    """The four pixels of both pictures: 4 for 2, 2 for 2, 2 for 2, 3 for 2."""
    pooled = evaluate(*two_pictures(), HQMD).aggregated("pooled")
    by_hand = {
        "AbsRel": (1 + 0 + 0 + 0.5) / 4,
        "SqRel": (4 / 2 + 0 + 0 + 1 / 2) / 4,
        "RMSE": math.sqrt((4 + 0 + 0 + 1) / 4),
        "RMSElog": math.sqrt((math.log(2) ** 2 + math.log(1.5) ** 2) / 4),
        "log10": (math.log10(2) + math.log10(1.5)) / 4,
        "delta1": 2 / 4,
        "delta2": 3 / 4,
        "delta3": 3 / 4,
    }
    assert {name: pooled[name] for name in by_hand} == pytest.approx(by_hand, abs=1e-9)
    assert pooled["bias"] == (2 + 1) / 2  # a median has no pooled form that pictures add up to


def test_the_protocol_says_which_aggregation_is_printed() -> None:
    by_mean, by_pooling = (evaluate(*two_pictures(), find_protocol(name)) for name in ("hqmd", "fcrn"))
    assert by_mean.metrics["AbsRel"] == pytest.approx((1 + 0.5 / 3) / 2)
    assert by_pooling.metrics["AbsRel"] == pytest.approx(1.5 / 4)
    for result in (by_mean, by_pooling):
        plain = result.to_dict()
        assert plain["mean_over_pictures"]["AbsRel"] == by_mean.metrics["AbsRel"]
        assert plain["pooled_over_pixels"]["AbsRel"] == by_pooling.metrics["AbsRel"]
        low, high = result.intervals["AbsRel"]  # two pictures: every resample is one of them twice, or both
        assert (low, high) == pytest.approx((0.5 / 3, 1))
    assert (by_mean.to_dict()["aggregation"], by_pooling.to_dict()["aggregation"]) == ("mean", "pooled")


def test_every_metric_declares_its_pooling_and_none_is_pooled_by_default() -> None:
    with pytest.raises(TypeError, match="pool"):
        Metric(lambda *_: 0.0, "pixels", "main", arrow="↓", unit="1", formula="0", source="none")  # type: ignore[call-arg]
    assert {metric.pool for metric in METRICS.values()} == set(get_args(Pool))
    assert [name for name in METRICS if is_pooled(name)] == [
        "AbsRel",
        "log10",
        "RMSE",
        "RMSElog",
        "delta1",
        "delta2",
        "delta3",
        "SqRel",
        "delta@1.05",
        "delta@1.1",
    ]


def test_what_is_called_pooled_is_the_value_of_all_pixels() -> None:
    """Every metric that declares a pool: its pooled figure is the metric of all pixels taken together."""
    predict, data = two_pictures()
    scores = score_each(model_source(predict), data, HQMD, detail=True)
    pooled = collect(scores, data, HQMD).aggregated("pooled")
    maps = [apply_protocol(predict(sample.image), sample, HQMD).pixels for sample in data.samples]
    pred_m, depth_m = (np.concatenate(of_pictures) for of_pictures in zip(*maps, strict=True))
    for name in filter(is_pooled, METRICS):
        assert pooled[name] == pytest.approx(METRICS[name].compute(pred_m, depth_m), abs=1e-12), name


@pytest.mark.parametrize("table", ["main", "detail"])
def test_a_metric_that_cannot_be_pooled_is_not_captioned_as_pooled(table: str) -> None:
    columns = [name for name, metric in METRICS.items() if metric.table == table]
    excepted = [name for name in columns if not is_pooled(name)]
    results = {name: evaluate(*two_pictures(), find_protocol(name)) for name in ("hqmd", "fcrn")}
    by_mean, by_pooling = (caption({name: result}, columns) for name, result in results.items())
    named = "all figures here" if excepted == columns else ", ".join(excepted)
    assert (
        f"pooled over pixels (hash {find_protocol('fcrn').digest}), but mean over pictures for {named};" in by_pooling
    )
    assert "but mean" not in by_mean and "pooled" not in by_mean
    for name in set(excepted) & results["fcrn"].per_picture.keys():
        mean = np.nanmean(results["fcrn"].per_picture[name]) if name != "edgeF1" else math.nan
        assert results["fcrn"].metrics[name] == pytest.approx(mean, nan_ok=True)


TILTED = Protocol(name="tilted", ground_truth="filled", alignment="scale-shift-depth")


def test_a_fit_is_taken_on_the_scored_pixels_before_clipping() -> None:
    truth = np.array([[1, 2], [3, 0.0]])
    pred_m = (truth + 5) / 2
    pred_m[1, 1] = 99  # no truth there
    assert score(pred_m, picture("kitchen", truth), TILTED).figures["RMSE"] == pytest.approx(0, abs=1e-6)
    clipped = Protocol(name="clipped", ground_truth="filled", alignment="scale-shift-depth", clip_m=(0.1, 2))
    assert score(pred_m, picture("kitchen", truth), clipped).figures["RMSE"] == pytest.approx(
        math.sqrt(1 / 3), abs=1e-6
    )


def test_a_fit_that_leaves_no_depth_is_refused_with_the_remedy() -> None:
    truth, pred_m = np.array([[1, 1], [1, 9.0]]), np.array([[3, 3.5], [1, 9.0]])
    with pytest.raises(HqmdError, match=r"kitchen: .* not positive everywhere; protocol tilted needs clip_m"):
        score(pred_m, picture("kitchen", truth), TILTED)
    clipped = Protocol(name="clipped", ground_truth="filled", alignment="scale-shift-depth", clip_m=(0.1, 20))
    assert score(pred_m, picture("kitchen", truth), clipped).figures["AbsRel"] > 0


def test_a_flipping_protocol_averages_with_the_mirrored_photo() -> None:
    truth, image = np.array([[2, 4, 6.0]]), np.array([[[10] * 3, [20] * 3, [30] * 3]], np.uint8)
    data = Pictures(sample_from("kitchen", image, truth.astype(np.float32)))
    flipping = Protocol(name="flipping", ground_truth="filled", flip=True)
    # Depth grows to the right by a habit that has nothing to do with the photo: averaged away.
    habit = evaluate(lambda photo: photo[..., 0] / 5 + np.array([[-1, 0, 1.0]]), data, flipping)
    assert habit.metrics["RMSE"] == 0
    with pytest.raises(HqmdError, match=r"kitchen: .* NaN"):
        evaluate(lambda photo: np.where(photo[..., 0] < photo[0, 0, 0], math.nan, photo[..., 0]), data, flipping)


def test_under_each_protocol_a_photo_is_predicted_once_and_misfits_are_told() -> None:
    calls: list[int] = []

    def predict(image: NDArray[np.uint8]) -> NDArray[np.floating]:
        calls.append(int(image[0, 0, 0]))
        return ramp(image.shape[:2])

    far, near = np.full(FRAME, 12.0), np.full(FRAME, 2.0)
    data = Pictures(picture("hall", far, 1), picture("kitchen", near, 2))
    protocols = [find_protocol(name) for name in ("hqmd", "eigen-filled", "hu")]
    first, second = score_under_each(model_source(predict), {"filled": data}, protocols)
    assert calls == [1, 2]
    assert isinstance(first["eigen-filled"], DoesNotFit)
    for protocol in protocols:
        scored = second[protocol.name]
        assert isinstance(scored, ScoredPicture)
        assert scored == score(ramp(FRAME), data[1], protocol)


@pytest.mark.slow
def test_detail_is_measured_where_it_is_asked_for(hqmd, trained_run, pairs, tmp_path):
    """In a table of its own, and in files; normals need NYU's frames, which these are not."""
    flags = ("--model", trained_run / "best", "--data", pairs, "--split", "val")
    plain = json.loads(hqmd("evaluate", *flags, "--json", "--no-detail").stdout)["metrics"]
    with_detail = json.loads(hqmd("evaluate", *flags, "--json").stdout)["metrics"]
    assert set(DETAIL_METRICS) <= set(with_detail) and not set(DETAIL_METRICS) & set(plain)
    assert {name: with_detail[name] for name in plain} == plain
    assert with_detail["normalMean"] is None and 0 <= with_detail["boundaryF1"] <= 1
    names = ("DBEacc [px]", "edgeF1@1", "normal30", "95 % from")
    assert all(name in hqmd("evaluate", *flags, "--detail").stdout for name in names)
    assert not any(name in hqmd("evaluate", *flags).stdout for name in names)
    refused = hqmd("evaluate", *flags, "--report", tmp_path, "--protocol", "all")
    assert refused.returncode == 1 and "--protocol all" in refused.stderr


def test_normals_of_nyus_frames_are_known():
    depth_m = np.tile(np.linspace(2, 3, 640, dtype=np.float32), (480, 1))
    sample = Sample("x", np.zeros((480, 640, 3), np.uint8), depth_m, np.ones((480, 640), bool))
    figures = score(1.1 * depth_m, sample, find_protocol("eigen-filled"), detail=True).figures
    assert figures["normalMean"] == pytest.approx(0, abs=0.01)  # a wall further off is as steep
    assert figures["normal11.25"] == 1


def test_what_a_model_says_besides_is_judged_with_detail_only() -> None:
    """A field of view of 90 degrees against 60, and errors that are stated everywhere alike."""
    depth_m = ramp(FRAME)
    focal_px = FRAME[1] / 2 / math.tan(math.radians(30))
    data = Pictures(replace(picture("kitchen", depth_m, 1), focal_px=focal_px))
    said = Said(FRAME[1] / 2, Uncertainty(0.1, np.full((3, 4), 0.1, np.float32)))
    source = model_source(lambda image: pytest.fail("asked twice"), tell=lambda image: (1.05 * depth_m, said))
    (found,) = score_each(source, data, HQMD, detail=True)
    assert found.figures["FOVerror"] == pytest.approx(30)
    assert (found.figures["scaleHeld"], found.figures["shapeHeld"]) == (1, 1)
    assert found.figures["normalMean"] == pytest.approx(0, abs=0.1)  # the data states its camera
    plain = model_source(lambda image: 1.05 * depth_m, tell=lambda image: pytest.fail("not without detail"))
    (found,) = score_each(plain, data, HQMD)
    assert "AUSE" not in found.figures


def test_a_model_that_knows_its_errors_tells_them() -> None:
    sure = (np.ones((4, 5), np.float32), Uncertainty(0.1, np.ones((2, 2), np.float32)))
    model = OpenModel("m", lambda image: sure[0], "a test", "fp32", str, surely=lambda image: sure)
    tell = telling(model)
    assert tell
    pred, said = tell(np.zeros((4, 5, 3), np.uint8))
    assert pred is sure[0] and said.uncertainty is sure[1] and said.focal_px is None
    seeing = replace(model, surely=None, sees=lambda image, focal_px: Seen(sure[0], focal_px or 300.0))
    tell = telling(seeing)
    assert tell and tell(np.zeros((4, 5, 3), np.uint8))[1].focal_px == 300
    assert telling(replace(model, surely=None)) is None
