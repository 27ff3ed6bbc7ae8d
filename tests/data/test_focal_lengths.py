"""Focal lengths of a dataset's photos, and what they do to scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hqmd_cli.data import open_dataset
from hqmd_cli.data.cache.file_format import DecodedDataset, write_decoded
from hqmd_cli.data.focal_lengths import read_frames
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import average_with_mirrored
from hqmd_cli.evaluation.prediction_source import model_source

NYU_FOCAL = 518.86 / 480  # over the shorter side


def with_frames(pairs: Path, text: str) -> Path:
    (pairs / "frames.csv").write_text(text)
    return pairs


@pytest.fixture
def own_pairs(pairs: Path, tmp_path: Path) -> Path:
    """A copy of the pairs, to which a test may add files."""
    copy = tmp_path / "own"
    copy.mkdir()
    for entry in pairs.iterdir():
        (copy / entry.name).symlink_to(entry)
    return copy


def test_frames_csv_gives_each_sample_its_focal_length(own_pairs: Path, tmp_path: Path) -> None:
    dataset = open_dataset(own_pairs, "val", "filled", None)
    first, second = dataset.names[:2]
    height = min(dataset[0].depth_m.shape)
    with_frames(own_pairs, f"name,fx,fx_over_nyu\n{first},{2 * NYU_FOCAL * height},2\n{second},,\n")
    dataset = open_dataset(own_pairs, "val", "filled", None)
    assert dataset[0].camera_factor == pytest.approx(2) and dataset[1].camera_factor == 1
    assert f"focal lengths from frames.csv, NYU's camera assumed for {len(dataset) - 1}" in dataset.description
    assert own_pairs / "frames.csv" in dataset.files  # type: ignore[attr-defined]
    write_decoded(tmp_path / "cache", (dataset[i] for i in range(len(dataset))))
    assert [s.focal_px for s in DecodedDataset(dataset, tmp_path / "cache")] == [s.focal_px for s in dataset]


@pytest.mark.parametrize("text", ["name,fx\na,-3\n", "name,fx\na,nan\n", "name,fx\na,wide\n", "name,fx\na,3\na,4\n"])
def test_frames_that_are_wrong_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(HqmdError, match=r"frames\.csv: line [23]: "):
        read_frames(with_frames(tmp_path, text))


@pytest.mark.parametrize("text", ["name,width\na,3\n", "", "name,fx\n"])
def test_frames_without_focal_lengths_say_nothing(tmp_path: Path, text: str) -> None:
    assert read_frames(with_frames(tmp_path, text)) == {}


def test_frames_that_no_picture_gets_are_told(own_pairs: Path) -> None:
    for text, said in (
        ("nobody,90\n", "frames.csv has no focal lengths of them"),
        ("", "no focal lengths in frames.csv, which needs columns name and fx"),
    ):
        with_frames(own_pairs, f"name,fx\n{text}")
        assert said in open_dataset(own_pairs, "val", "filled", None).description
    (own_pairs / "frames.csv").write_text("b1,90\n")
    assert "needs columns name and fx" in open_dataset(own_pairs, "val", "filled", None).description
    with pytest.raises(HqmdError, match="not a readable table of frames: field larger"):
        read_frames(with_frames(own_pairs, "name,fx\nb1," + "9" * 200_000))


@pytest.mark.parametrize(
    "text", ["name,fx\nb1.jpg,90\n", "name;fx\nrgb/b1.jpg;90\n", "name\tfx\nb1\t90\n", "name;fx\nb1;90,0\n"]
)
def test_frames_of_other_programs(own_pairs: Path, text: str) -> None:
    dataset = open_dataset(with_frames(own_pairs, text), "val", "filled", None)
    assert dict(zip(dataset.names, (s.focal_px for s in dataset), strict=True))["b1"] == 90


@pytest.mark.parametrize("head", ["rgb,depth,focal\n", "image,depth,fx_over_nyu,FX\n", ""])
def test_a_list_may_have_a_column_of_focal_lengths(own_pairs: Path, head: str) -> None:
    name = open_dataset(own_pairs, "val", "filled", None).names[0]
    photo, depth = (next((own_pairs / part).glob(f"{name}.*")) for part in ("rgb", "depth"))
    cells = [f"rgb/{photo.name}", f"depth/{depth.name}", *(["9"] if "nyu" in head else []), "700"]
    (own_pairs / "list.csv").write_text(head + ",".join(cells) + "\n")
    dataset = open_dataset(own_pairs / "list.csv", "all", "filled", 1000)
    assert dataset[0].focal_px == 700 and "focal lengths from the list" in dataset.description


@pytest.mark.parametrize("focal", ["0", "-5", "inf", "1e300", "1e-9", "abc", '"1,234"'])
def test_a_focal_length_that_is_none_is_refused_where_the_header_calls_it_so(own_pairs: Path, focal: str) -> None:
    name = open_dataset(own_pairs, "val", "filled", None).names[0]
    photo, depth = (next((own_pairs / part).glob(f"{name}.*")) for part in ("rgb", "depth"))
    row = f"rgb/{photo.name},depth/{depth.name},{focal}\n"
    (own_pairs / "list.csv").write_text("rgb,depth,fx\n" + row)
    with pytest.raises(HqmdError, match=f"'{focal.strip(chr(34))}' is not a focal length in pixels"):
        open_dataset(own_pairs / "list.csv", "all", "filled", 1000)
    (own_pairs / "list.csv").write_text(row)  # without a header it may be anything
    assert not open_dataset(own_pairs / "list.csv", "all", "filled", 1000)[0].focal_px


def test_a_model_of_ours_is_scored_with_the_samples_camera(pairs: Path) -> None:
    sample = open_dataset(pairs, "val", "filled", None)[0]
    sample = replace(sample, focal_px=3 * NYU_FOCAL * min(sample.depth_m.shape))

    def two_metres(image: np.ndarray) -> np.ndarray:
        return np.linspace(2, 2.2, image.shape[1], dtype=np.float32) * np.ones((image.shape[0], 1), np.float32)

    ours, foreign = (model_source(two_metres, follows_camera=follows) for follows in (True, False))
    np.testing.assert_allclose(ours(sample), 3 * foreign(sample), rtol=1e-5)
    np.testing.assert_allclose(average_with_mirrored(ours, sample, ours(sample)), 6.3, rtol=1e-5)
