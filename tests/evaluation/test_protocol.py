"""Protocols: their words and hash, files of one's own, which pixels they score, and the fits they may ask for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hqmd_cli.app import build_app
from hqmd_cli.data import open_dataset
from hqmd_cli.data.sample import Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.explain import explain
from hqmd_cli.evaluation.metrics.registry import METRICS
from hqmd_cli.evaluation.prediction_source import Predict, model_source
from hqmd_cli.evaluation.protocol import ALIGNED_BY, Protocol
from hqmd_cli.evaluation.protocols import ALL, EIGEN_CROP, PROTOCOLS, find_protocol
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.scoring import (
    DoesNotFit,
    align,
    compared_prediction,
    compared_truth,
    crop_of,
    from_disparity,
    require_ground_truth,
    scale_and_shift,
    score,
)
from hqmd_cli.evaluation.session import Session, open_session, open_session_for_all

NYU, KITTI = (480, 640), (375, 1242)
# What a field may be changed to; every field that says how to measure has to be here.
CHANGES = {
    "ground_truth": "raw",
    "frames": ((480, 640),),
    "flip": True,
    "compared_at": (240, 320),
    "crop": (0, 1, 0, 1),
    "crop_shares": (0.0, 0.5, 0.0, 0.5),
    "depth_range_m": (0.0, 10.0),
    "alignment": "median",
    "clip_m": (0.1, 10.0),
    "aggregation": "pooled",
    "all_points": True,
}
PLAIN = Protocol(name="plain", ground_truth="filled")


def sample_of(depth_m: np.ndarray) -> Sample:
    return sample_from("kitchen", np.zeros((*depth_m.shape, 3), np.uint8), depth_m.astype(np.float32))


# ---- words and hash


@pytest.mark.parametrize(
    ("name", "digest", "recipe"),
    [
        (
            "hqmd",
            "b020299c",
            "filled ground truth, whole picture, no depth limit, no clipping, no alignment, mean over pictures",
        ),
        (
            "eigen-filled",
            "40602e3d",
            "filled ground truth, crop [45:471, 41:601], truth within 0.001..10 m, predictions clipped to it, "
            "no alignment, mean over pictures",
        ),
        (
            "eigen-raw",
            "7f1c0d81",
            "raw ground truth, crop [45:471, 41:601], truth within 0.001..10 m, predictions clipped to it, "
            "no alignment, mean over pictures",
        ),
        (
            "hu",
            "b0982215",
            "filled ground truth, compared at 320 x 240 (prediction averaged over areas, truth the nearest pixel), "
            "crop [6:234, 8:312], no depth limit, no clipping, no alignment, pooled over pixels",
        ),
        (
            "fcrn",
            "b53fc755",
            "filled ground truth, whole picture, no depth limit, no clipping, no alignment, pooled over pixels",
        ),
        (
            "densedepth",
            "9485be14",
            "filled ground truth, averaged with the mirrored photo, crop [20:460, 24:616], no depth limit, "
            "predictions clipped to 0.1..10 m, no alignment, pooled over pixels",
        ),
        (
            "kitti-eigen",
            "92561f0c",
            "raw ground truth, crop 0.40810811 to 0.99189189 of the height, 0.03594771 to 0.96405229 of the width, "
            "truth within 0.001..80 m, predictions clipped to it, no alignment, mean over pictures",
        ),
        (
            "nyu-ratio-of-medians",
            "dc6e94ce",
            "filled ground truth, crop [45:471, 41:601], no depth limit, no clipping, aligned by the ratio of medians, "
            "mean over pictures",
        ),
        (
            "syns-mdec4",
            "fb4cb114",
            "filled ground truth, whole picture, truth within 0.001..100 m, predictions clipped to it, aligned by "
            "scale and shift in depth, fitted without the lowest and highest 5 %, mean over pictures, points of every "
            "pixel",
        ),
        (
            "moge",
            "98a55c23",
            "warped ground truth, whole picture, no depth limit, no clipping, aligned by scale and shift in disparity, "
            "clamped to the farthest truth, mean over pictures",
        ),
    ],
)
def test_published_words_and_hashes_stay(name: str, digest: str, recipe: str) -> None:
    protocol = find_protocol(name)
    assert (protocol.digest, protocol.recipe(protocol.ground_truth)) == (digest, recipe)
    assert protocol.source


def test_every_protocol_measures_something_else() -> None:
    published = ["hqmd", "eigen-filled", "eigen-raw", "hu", "fcrn", "densedepth", "kitti-eigen"]
    assert list(PROTOCOLS) == [*published, "nyu-ratio-of-medians", "syns-mdec4", "moge"]
    assert len({protocol.digest for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
    top, bottom, left, right = EIGEN_CROP
    assert (bottom - top, right - left) == (426, 560)  # 561 x 427 of the toolbox, less the last row and column


def test_the_hash_changes_with_every_field_that_says_how_to_measure() -> None:
    assert CHANGES.keys() == Protocol.__dataclass_fields__.keys() - {"name", "source"}
    framed = replace(PLAIN, frames=((2, 2),))  # which a crop needs
    changed = [replace(framed, **{field: value}) for field, value in CHANGES.items()]
    digests = {protocol.digest for protocol in (framed, *changed)}
    assert len(digests) == 1 + len(CHANGES)
    assert all(len(digest) == 8 and int(digest, 16) >= 0 for digest in digests)


def test_the_hash_is_of_the_measure_not_of_its_name_or_source() -> None:
    assert replace(PROTOCOLS["hu"], name="mine", source="me").digest == PROTOCOLS["hu"].digest


def test_the_recipe_says_what_the_data_really_offered() -> None:
    assert PLAIN.recipe("as given").startswith("ground truth as given, whole picture")


def test_an_unknown_protocol_lists_the_names() -> None:
    with pytest.raises(HqmdError) as refusal:
        find_protocol("eigen")
    for text in ("'eigen'", *PROTOCOLS):
        assert text in str(refusal.value)


# ---- files of one's own


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_says_the_same_as_the_protocol_it_copies(tmp_path: Path) -> None:
    text = """
    ground_truth = "raw"
    frames = [[480, 640]]
    crop = [45, 471, 41, 601]
    depth_range_m = [0.001, 10]
    clip_m = [0.001, 10]
    """
    protocol = find_protocol(written(tmp_path, text))
    assert (protocol.name, protocol.source) == ("mine", "mine.toml")
    assert replace(protocol, name="eigen-raw", source=PROTOCOLS["eigen-raw"].source) == PROTOCOLS["eigen-raw"]
    assert protocol.digest == PROTOCOLS["eigen-raw"].digest


def test_every_field_can_be_written(tmp_path: Path) -> None:
    text = """
    name = "all-of-it"
    ground_truth = "filled"
    source = "a paper"
    frames = [[480, 640], [240, 320]]
    flip = true
    compared_at = [120, 160]
    crop_shares = [0, 0.5, 0.25, 1]
    depth_range_m = [0, 80]
    alignment = "scale-shift-disparity"
    clip_m = [0.5, 80]
    aggregation = "pooled"
    """
    assert find_protocol(written(tmp_path, text)) == Protocol(
        name="all-of-it",
        ground_truth="filled",
        source="a paper",
        frames=((480, 640), (240, 320)),
        flip=True,
        compared_at=(120, 160),
        crop_shares=(0.0, 0.5, 0.25, 1.0),
        depth_range_m=(0.0, 80.0),
        alignment="scale-shift-disparity",
        clip_m=(0.5, 80.0),
        aggregation="pooled",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("flip = true", "ground_truth is missing"),
        ('ground_truth = "filled"\ncap = 10', "unknown key 'cap'; there are: name, ground_truth"),
        ('ground_truth = "sparse"', "ground_truth must be filled or raw or warped, not 'sparse'"),
        ('ground_truth = "filled"\nflip = 1', "flip must be true or false, not 1"),
        ('ground_truth = "filled"\nflip = "yes"', "flip must be true or false, not 'yes'"),
        ('ground_truth = "filled"\nclip_m = 10', "clip_m must be a list, not 10"),
        ('ground_truth = "filled"\nclip_m = [1, 2, 3]', "clip_m must be 2 values, not 3"),
        ('ground_truth = "filled"\nclip_m = ["1", 2]', "clip_m must be a number, not '1'"),
        ('ground_truth = "filled"\nclip_m = [0, 10]', "clip_m must be near, far in metres, both positive"),
        ('ground_truth = "filled"\nclip_m = [nan, 10]', "nan is not a finite number"),
        ('ground_truth = "filled"\ndepth_range_m = [10, 1]', "depth_range_m must be near, far"),
        ('ground_truth = "filled"\nframes = [480, 640]', "frames must be a list, not 480"),
        ('ground_truth = "filled"\nframes = [[480.5, 640]]', "frames must be a whole number, not 480.5"),
        ('ground_truth = "filled"\nframes = [[0, 640]]', "frames, compared_at must be positive"),
        ('ground_truth = "filled"\ncrop = [0, 10, 0, 10]', "crop needs the frames"),
        ('ground_truth = "filled"\nframes = [[9, 9]]\ncrop = [0, 10, 0, 9]', "crop must be top, bottom, left, right"),
        ('ground_truth = "filled"\ncrop_shares = [0, 1.5, 0, 1]', "crop_shares must be top, bottom, left, right"),
        ('ground_truth = "filled"\nalignment = "scale"', "alignment must be none or median or scale-shift-depth"),
        ('ground_truth = "filled"\naggregation = "sum"', "aggregation must be mean or pooled, not 'sum'"),
        ('ground_truth = "filled"\nname = ""', "name must not be empty"),
        ('ground_truth = "filled"\nname = "hu"', "'hu' is taken"),
        ('ground_truth = "filled"\nname = "all"', "'all' is taken"),
        ("ground_truth = ", "not a readable protocol"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(HqmdError) as refusal:
        find_protocol(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert complaint in str(refusal.value)


def test_a_crop_and_its_shares_exclude_each_other() -> None:
    with pytest.raises(HqmdError, match="crop, crop_shares exclude each other"):
        Protocol(name="x", ground_truth="raw", frames=((9, 9),), crop=(0, 1, 0, 1), crop_shares=(0, 1, 0, 1))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"nowhere\.toml: not a readable protocol"):
        find_protocol(str(tmp_path / "nowhere.toml"))


# ---- which pixels


def test_hu_scores_the_odd_pixels_of_the_centre_crop() -> None:
    """304 x 228 of the half-size picture, whose pixels are those that Pillow's nearest neighbour takes, as there."""
    rows, columns = np.mgrid[:480, :640]
    position = (1 + rows * 640 + columns).astype(np.int32)
    depth_m, scored = compared_truth(sample_of(position), PROTOCOLS["hu"])
    half = Image.fromarray(position).resize((320, 240), Image.Resampling.NEAREST)
    left, top = round((320 - 304) / 2), round((240 - 228) / 2)
    cropped = np.asarray(half.crop((left, top, left + 304, top + 228)))
    assert scored.sum() == 304 * 228
    np.testing.assert_array_equal(depth_m[scored].reshape(228, 304), cropped)
    assert cropped[0, 0] == 1 + 13 * 640 + 17 and cropped[-1, -1] == 1 + 467 * 640 + 623


def test_hu_compares_the_mean_of_four_predicted_pixels() -> None:
    pred_m = np.random.default_rng(0).uniform(1, 9, NYU).astype(np.float32)
    means = pred_m.reshape(240, 2, 320, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(compared_prediction(pred_m, PROTOCOLS["hu"]), means, rtol=1e-6)
    truth = np.full(NYU, 2.0)
    truth[13, 17] = 4  # the first pixel that counts
    figures = score(np.full(NYU, 2.0) + np.eye(*NYU) * 1e-9, sample_of(truth), PROTOCOLS["hu"])
    assert figures.pixels == 304 * 228
    assert figures.figures["AbsRel"] == pytest.approx(0.5 / (304 * 228), rel=1e-4)


def test_densedepths_crop_includes_its_last_row_and_column() -> None:
    _, scored = compared_truth(sample_of(np.full(NYU, 20.0)), PROTOCOLS["densedepth"])  # no depth is too far
    rows, columns = (np.flatnonzero(scored.any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (20, 459, 24, 615)
    assert scored.sum() == 440 * 592


def test_garg_crop_in_whole_pixels() -> None:
    """The product of share and length, cut off, as bts_eval.py has it: of 375 x 1242 what monodepth2 writes out."""
    assert crop_of(PROTOCOLS["kitti-eigen"], KITTI) == (153, 371, 44, 1197)
    _, scored = compared_truth(sample_of(np.full(KITTI, 20.0)), PROTOCOLS["kitti-eigen"])
    assert scored[153:371, 44:1197].all() and scored.sum() == (371 - 153) * (1197 - 44)


@pytest.mark.parametrize("name", [name for name, protocol in PROTOCOLS.items() if protocol.frames])
def test_another_frame_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(DoesNotFit, match=f"kitchen: protocol {name} is for frames of") as refusal:
        compared_truth(sample_of(np.full((481, 640), 2.0)), PROTOCOLS[name])
    assert "(481, 640)" in str(refusal.value)


def test_a_picture_is_never_enlarged() -> None:
    with pytest.raises(DoesNotFit, match=r"compares at \(4, 4\), this picture is smaller: \(3, 8\)"):
        compared_truth(sample_of(np.ones((3, 8))), replace(PLAIN, compared_at=(4, 4)))


# ---- fits


TRUTH = np.random.default_rng(7).uniform(1, 9, (6, 8))
SCORED = TRUTH > 2  # the others have no say in a fit


def spoilt(pred: np.ndarray) -> np.ndarray:
    """The prediction, far off where pixels do not count."""
    return np.where(SCORED, pred, 1000 + np.arange(48).reshape(6, 8))


@pytest.mark.parametrize(
    ("alignment", "pred"),
    [
        ("median", TRUTH * 3),
        ("scale-shift-depth", (TRUTH - 0.7) / 2.5),
        ("scale-shift-disparity", 1 / ((1 / TRUTH + 0.05) / 2.5)),
    ],
)
def test_a_fit_recovers_the_scale_and_shift(alignment: str, pred: np.ndarray) -> None:
    fitted = align(spoilt(pred), TRUTH, SCORED, alignment)
    np.testing.assert_allclose(fitted[SCORED], TRUTH[SCORED], rtol=1e-9)


def test_the_challenges_fit_leaves_out_both_ends_of_the_prediction() -> None:
    """By hand: 21 predictions 0..20; the lowest and the highest are spoilt, and have no say."""
    pred, truth = np.arange(21.0)[None] + 1, np.arange(21.0)[None] * 2 + 5
    truth[0, [0, -1]] = 500
    everywhere = np.ones((1, 21), bool)
    for given, is_disparity in ((pred, False), (1 / pred, True)):
        fitted = align(given, truth, everywhere, "scale-shift-depth-trimmed", is_disparity)
        np.testing.assert_allclose(fitted[0, 1:-1], truth[0, 1:-1], rtol=1e-9)


def test_moges_fit_is_no_farther_than_the_farthest_truth() -> None:
    disparity, truth = np.array([[-0.2, 0.0, 1.0, 2.0]]), np.array([[9.0, 10.0, 2.0, 1.0]])
    scored = np.array([[False, True, True, True]])
    fitted = align(disparity, truth, scored, "scale-shift-disparity-clamped", True)
    (scale, shift), *_ = np.linalg.lstsq(np.stack([[0, 1, 2], np.ones(3)], axis=1), 1 / truth[0, 1:])
    assert fitted[0, 0] == 10 and fitted[0, 2:] == pytest.approx(1 / (scale * np.array([1, 2]) + shift))
    assert fitted == pytest.approx(align(1 / (disparity + 1), truth, scored, "scale-shift-disparity-clamped"))


def test_moge_wants_its_own_view(tmp_path: Path) -> None:
    data = open_dataset(write_frames(tmp_path / "pairs", NYU), "all", depth_scale=1)
    with pytest.raises(DoesNotFit, match="protocol moge needs warped ground truth"):
        require_ground_truth(data, PROTOCOLS["moge"])


def test_a_fit_is_that_of_numpys_least_squares() -> None:
    values, targets = np.random.default_rng(1).random((2, 50))
    (scale, shift), *_ = np.linalg.lstsq(np.stack([values, np.ones(50)], axis=1), targets)
    assert scale_and_shift(values, targets) == pytest.approx((scale, shift))


def test_the_median_fit_by_hand() -> None:
    fitted = align(np.array([[1, 2, 6.0]]), np.array([[3, 5, 7.0]]), np.ones((1, 3), bool), "median")
    assert fitted.tolist() == [[2.5, 5, 15]]


def test_without_alignment_a_prediction_stays_as_it_is() -> None:
    pred = TRUTH.astype(np.float32)
    assert align(pred, TRUTH, SCORED, "none") is pred


def test_a_disparity_may_be_zero_and_what_it_puts_beyond_all_is_infinitely_far() -> None:
    disparity = np.array([[0, 1, 2.0]])
    everywhere = np.ones((1, 3), bool)
    fitted = from_disparity(disparity, 1 / (0.1 + 0.2 * disparity), everywhere)
    assert fitted.ravel().tolist() == pytest.approx([10, 1 / 0.3, 2])
    beyond = from_disparity(np.array([[0, 1, 2.0]]), np.array([[9, 9, 1.0]]), everywhere)
    assert beyond[0, 0] == np.inf and (beyond > 0).all()


def test_a_constant_has_no_scale() -> None:
    pred = np.where(SCORED, 2.0, TRUTH)
    for alignment in ("scale-shift-depth", "scale-shift-disparity"):
        with pytest.raises(HqmdError, match="kitchen: the prediction is the same at all pixels that count"):
            score(pred, sample_of(np.where(SCORED, TRUTH, 0)), replace(PLAIN, alignment=alignment))


def test_every_alignment_has_words() -> None:
    for alignment, words in ALIGNED_BY.items():
        assert words in replace(PLAIN, alignment=alignment).recipe("filled")


# ---- what the commands say


@pytest.mark.parametrize("name", [*PROTOCOLS, *METRICS])
def test_explain_needs_no_data(name: str) -> None:
    thing = PROTOCOLS.get(name) or METRICS[name]
    result = CliRunner().invoke(build_app(), ["evaluate", "--explain", name])
    assert result.exit_code == 0
    facts = [getattr(thing, "digest", None), getattr(thing, "formula", None), thing.source, name]
    assert all(fact in result.output for fact in facts if fact)


def test_explain_reads_files_and_lists_what_there_is(tmp_path: Path) -> None:
    assert "mine.toml" in explain(written(tmp_path, 'ground_truth = "raw"'))
    with pytest.raises(HqmdError, match=r"'rsme'.* hqmd, .*RMSE"):
        explain("rsme")


def test_all_is_refused_where_figures_are_ranked_or_fitted() -> None:
    with pytest.raises(HqmdError, match=r"cannot be ranked .* `hqmd evaluate --protocol all`"):
        open_session(None, "val", ALL, None)


def write_frames(folder: Path, *sizes: tuple[int, int]) -> Path:
    """A folder of pairs whose depth grows from 2 to 3 m, one a size (H, W)."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    for i, size in enumerate(sizes):
        Image.fromarray(np.full((*size, 3), i, np.uint8)).save(folder / "rgb" / f"{i}.png")
        np.save(folder / "depth" / f"{i}.npy", sloping(np.empty(size)))
    return folder


def sloping(image: np.ndarray) -> np.ndarray:
    """A prediction without an error for write_frames' truth."""
    height, width = image.shape[:2]
    return np.linspace(2, 3, height * width, dtype=np.float32).reshape(height, width)


def scored(session: Session, predict: Predict) -> dict[str, Result]:
    """The results of one model under each protocol."""
    session.sources["mine"] = model_source(predict)
    return session.score_under_each()


def test_all_leaves_out_what_does_not_fit_and_says_why(tmp_path: Path) -> None:
    notes: list[str] = []
    session = open_session_for_all(write_frames(tmp_path / "pairs", NYU, NYU), "all", 1.0, notes.append)
    fitting = ["hqmd", "eigen-filled", "hu", "fcrn", "densedepth", "nyu-ratio-of-medians"]
    assert [protocol.name for protocol in session.protocols] == fitting
    said = "\n".join(notes)
    assert all(f"without protocol {name}: " in said for name in ("eigen-raw", "kitti-eigen", "syns-mdec4", "moge"))
    results = scored(session, lambda image: sloping(image) * 1.1)
    assert results.pop("nyu-ratio-of-medians").metrics["AbsRel"] < 1e-6
    for name, result in results.items():
        flipped = PROTOCOLS[name].flip  # which this prediction, the same whatever it sees, does not survive
        assert result.metrics["AbsRel"] == pytest.approx(0.1, abs=0.05 if flipped else 2e-3)
        assert (result.protocol, len(result.names)) == (PROTOCOLS[name], 2)


def test_all_leaves_out_what_a_later_picture_does_not_fit(tmp_path: Path) -> None:
    notes: list[str] = []
    session = open_session_for_all(write_frames(tmp_path / "pairs", NYU, (480, 600)), "all", 1.0, notes.append)
    results = scored(session, sloping)
    assert list(results) == ["hqmd", "fcrn"]
    assert "without protocol hu: 1: protocol hu is for frames of (480, 640), this one is (480, 600)" in "\n".join(notes)


def test_all_says_of_wrong_data_once_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(HqmdError) as refusal:
        open_session_for_all(tmp_path / "nowhere", "all", None)
    assert str(refusal.value) == f"{tmp_path / 'nowhere'}: no such file or folder"
