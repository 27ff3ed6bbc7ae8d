"""Pairs of NYU's raw recordings: small ones in the official layout, of a room of known geometry."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from hqmd_cli import data
from hqmd_cli.data.nyu import official_splits, scenes_of
from hqmd_cli.data.nyu_raw import kinect
from hqmd_cli.data.nyu_raw import prepare as preparation
from hqmd_cli.data.nyu_raw.recordings import (
    IN_BOTH,
    TESTED_ON,
    UNKNOWN,
    BrokenFrame,
    find_scenes,
    read_raw_depth,
    sort_scenes,
    spread,
    synchronised,
)
from hqmd_cli.errors import HqmdError
from kinect_room import raw_depth, raw_photo, truth, write_depth, write_scene

KITCHEN = 1294439278.998029


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Two scenes in an archive's folder and one beside it; for reading only."""
    raw = tmp_path_factory.mktemp("raw")
    write_scene(raw / "kitchens_part1" / "kitchen_0004", KITCHEN)
    write_scene(raw / "kitchens_part1" / "kitchen_0005", KITCHEN + 500, count=3)
    write_scene(raw / "bedroom_0020", KITCHEN - 500, count=3)
    return raw


@pytest.fixture
def raw(recorded: Path, tmp_path: Path) -> Path:
    """Copy the recordings, for a test to change."""
    return Path(shutil.copytree(recorded, tmp_path / "raw"))


def write_labels(path: Path, scene_of: dict[int, str]) -> Path:
    """Write only the scenes of a labelled file: MATLAB's cells are references to arrays of characters."""
    with h5py.File(path, "w") as file:
        cells = file.create_dataset("scenes", (1, 1449), h5py.ref_dtype)
        texts: dict[str, h5py.Dataset] = {}
        for place in range(1449):
            scene = scene_of.get(place + 1, "elsewhere_0001")
            if scene not in texts:
                characters = np.array([[ord(c)] for c in scene], np.uint16)
                texts[scene] = file.create_dataset(f"#refs#/{len(texts)}", data=characters)
            cells[0, place] = texts[scene].ref
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """kitchen_0004 was labelled in train, kitchen_0005 in test, bedroom_0020 in val; all else elsewhere."""
    splits = official_splits()
    frames = {
        "kitchen_0004": splits["train"][:3],
        "kitchen_0005": splits["test"][:2],
        "bedroom_0020": splits["val"][:1],
    }
    return write_labels(tmp_path / "labels.mat", {frame: scene for scene, fs in frames.items() for frame in fs})


# ---- frames ----


@pytest.mark.slow
def test_scenes_are_found_at_any_depth(raw: Path) -> None:
    assert list(find_scenes(raw)) == ["bedroom_0020", "kitchen_0004", "kitchen_0005"]
    assert list(find_scenes(raw / "bedroom_0020")) == ["bedroom_0020"]
    shutil.copytree(raw / "bedroom_0020", raw / "again" / "bedroom_0020")
    with pytest.raises(HqmdError, match="two scenes of one name"):
        find_scenes(raw)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_no_recordings(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HqmdError, match="no recordings here; unpack"):
        find_scenes(tmp_path / place)


def test_the_nearest_photo_in_time(tmp_path: Path) -> None:
    """By hand: 10.00 gets 10.02; 10.05 is as near to 10.02 as to 10.08, and gets the later one; 10.30 gets none."""
    for name in ("d-10.000000-1.pgm", "d-10.050000-2.pgm", "d-10.300000-3.pgm", "d-9.990000-9.pgm"):
        (tmp_path / name).touch()
    for name in ("r-10.020000-1.ppm", "r-10.080000-2.ppm", "r-9.500000-3.ppm", "a-10.000000-1.dump", "r-x.ppm"):
        (tmp_path / name).touch()
    frames = synchronised("room_0001", tmp_path)
    assert [(frame.depth, frame.photo) for frame in frames] == [
        ("d-9.990000-9.pgm", "r-10.020000-1.ppm"),
        ("d-10.000000-1.pgm", "r-10.020000-1.ppm"),
        ("d-10.050000-2.pgm", "r-10.080000-2.ppm"),
    ]
    assert frames[0].name == "room_0001_9-990000"


def test_depth_without_any_photo(tmp_path: Path) -> None:
    (tmp_path / "d-10.000000-1.pgm").touch()
    assert synchronised("room", tmp_path) == []


@pytest.mark.parametrize(
    ("number", "expected"), [(1, [5]), (2, [2, 7]), (3, [1, 5, 8]), (10, list(range(10))), (99, list(range(10)))]
)
def test_frames_are_taken_evenly(number: int, expected: list[int]) -> None:
    assert spread(list(range(10)), number) == expected  # type: ignore[arg-type, comparison-overlap]


def test_raw_depth_has_its_bytes_swapped(tmp_path: Path) -> None:
    raw = raw_depth()
    write_depth(tmp_path / "d.pgm", raw)
    np.testing.assert_array_equal(read_raw_depth(tmp_path / "d.pgm"), raw)
    as_its_format_says = np.asarray(Image.open(tmp_path / "d.pgm"))  # big-endian
    assert as_its_format_says.max() > kinect.LARGEST_RAW


HEADER = b"P5\n640 480\n65535\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a 16-bit PGM"),
        (HEADER + bytes(614000), "614000 bytes of depth, a complete frame has 614400"),
        (HEADER + bytes(614500), "614500 bytes"),
        (b"P5\n320 240\n65535\n" + bytes(153600), "not a 16-bit PGM of 640 x 480"),
        (b"P5\n640 480\n255\n" + bytes(307200), "not a 16-bit PGM"),
        (HEADER + np.full(307200, 900, ">u2").tobytes(), "beyond the Kinect's largest number"),
    ],
)
def test_broken_depth(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "d.pgm").write_bytes(content)
    with pytest.raises(BrokenFrame, match=rf"d\.pgm: .*{complaint}"):
        read_raw_depth(tmp_path / "d.pgm")


# ---- which scenes ----


@pytest.mark.slow
def test_scenes_of_the_labelled_file(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.mat", {1: "kitchen_0004", 1449: "bedroom_0020b"})
    assert scenes_of(path)[0] == "kitchen_0004" and scenes_of(path)[1448] == "bedroom_0020b"


def test_scenes_of_something_else(tmp_path: Path, nyu_mat: Path) -> None:
    with pytest.raises(HqmdError, match="scenes cannot be read"):
        scenes_of(nyu_mat)  # the small one of the tests has no such field
    with pytest.raises(HqmdError, match=r"none\.mat: no such file$"):
        scenes_of(tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("no")
    with pytest.raises(HqmdError, match=r"text\.mat: not the labelled file"):
        scenes_of(tmp_path / "text.mat")


@pytest.mark.slow
def test_no_room_is_in_two_splits(tmp_path: Path) -> None:
    splits = official_splits()
    train, val, test = (splits[split] for split in ("train", "val", "test"))
    labelled = {train[0]: "a_0001a", train[1]: "b_0001", test[0]: "b_0001b", val[0]: "c_0001", train[2]: "d_0001a"}
    path = write_labels(tmp_path / "labels.mat", labelled | {val[1]: "d_0001b"})
    scenes = ("a_0001a", "a_0001b", "b_0001", "b_0001a", "c_0001", "d_0001a", "e_0001", "a_00010")
    assert list(sort_scenes(scenes, path).values()) == [
        "train",
        "train",
        TESTED_ON,
        TESTED_ON,
        "val",
        IN_BOTH,
        UNKNOWN,
        UNKNOWN,
    ]


# ---- the command ----


@pytest.mark.slow
def test_pairs_of_recordings(hqmd, raw: Path, labels: Path, tmp_path: Path) -> None:
    """End to end: the result is read like any pairs, and its depth is the room's, from the photo's camera."""
    pairs = tmp_path / "pairs"
    result = hqmd("data", "nyu-raw", raw, "-o", pairs, "--scenes", labels, "--workers", 1)
    assert result.returncode == 0, result.stderr
    assert "7 frames of 3 scenes, 1 left out: rooms of test pictures" in result.stderr
    assert "fewer than the 120000 wanted" in result.stderr
    assert "7 pairs (4 train, 3 val)" in result.stderr
    train, val = data.open_training_data(pairs)
    assert "depth / 1000 (written in the files)" in train.description
    assert train.names[0] == "kitchen_0004_1294439278-998029" and val.names[0].startswith("bedroom_0020_")
    sample, (depth_m, box) = train[0], truth()
    assert sample.image.shape == (480, 640, 3) and 0.7 < sample.valid.mean() < 0.85
    error = np.abs(sample.depth_m - depth_m)[sample.valid]
    assert np.median(error) < 0.007 and (error < 0.03).mean() > 0.97
    inside = np.zeros_like(box)
    inside[60:450, 60:590] = True
    red = sample.image[..., 0].astype(int) - sample.image[..., 1] > 85
    assert (red & box & inside).sum() / ((red | box) & inside).sum() > 0.98


@pytest.mark.slow
def test_filled_pairs_have_no_holes(hqmd, raw: Path, tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="the extra fill is not installed")
    pairs = tmp_path / "pairs"
    result = hqmd(
        "data", "nyu-raw", raw / "bedroom_0020", "-o", pairs, "--scenes", "all", "--fill", "--frames", 1, "--workers", 1
    )
    assert result.returncode == 0, result.stderr
    sample, (depth_m, _) = data.open_dataset(pairs, "train")[0], truth(0.02)
    assert sample.valid.all()
    inside = (slice(60, 450), slice(60, 590))
    assert np.median(np.abs(sample.depth_m - depth_m)[inside]) < 0.007


@pytest.mark.slow
def test_broken_frames_are_named_and_left_out(hqmd, raw: Path, labels: Path, tmp_path: Path) -> None:
    kitchen = raw / "kitchens_part1" / "kitchen_0004"
    depth, photo = sorted(kitchen.glob("d-*"))[0], sorted(kitchen.glob("r-*"))[1]
    for file in (depth, photo):
        file.write_bytes(file.read_bytes()[:-1000])
    pairs = tmp_path / "pairs"
    result = hqmd("data", "nyu-raw", raw, "-o", pairs, "--scenes", labels, "--workers", 1)
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stderr.splitlines() if "left out: " in line and line.startswith("hqmd:")]
    assert len(told) == 2 and depth.name in told[0] and photo.name in told[1]
    assert "5 pairs (2 train, 3 val); 2 frames left out, see" in result.stderr
    assert (pairs / "left-out.log").read_text().count("\n") == 2
    assert len(data.open_dataset(pairs, "all")) == 5 and "left-out" not in data.find_reader(pairs).splits(pairs)


@pytest.mark.slow
def test_nothing_but_broken_frames(hqmd, raw: Path, tmp_path: Path) -> None:
    for depth in raw.rglob("d-*"):
        depth.write_bytes(b"")
    result = hqmd("data", "nyu-raw", raw, "-o", tmp_path / "pairs", "--scenes", "all", "--workers", 1)
    assert result.returncode == 1 and "none of the 10 frames could be used" in result.stderr


def test_what_was_made_is_not_made_again(hqmd, raw: Path, tmp_path: Path, monkeypatch) -> None:
    pairs = tmp_path / "pairs"
    command = ("data", "nyu-raw", raw, "-o", pairs, "--scenes", "all", "--frames", 5, "--workers", 1)
    assert hqmd(*command).returncode == 0
    before = {file: file.read_bytes() for file in pairs.rglob("*.*")}
    names = [file.stem for file in (pairs / "rgb").iterdir()]
    (pairs / "depth" / f"{names[2]}.png").unlink()
    (pairs / "rgb" / ".123.part").write_bytes(b"half")  # what a kill leaves
    made = []
    make = preparation.make_pair
    monkeypatch.setattr(preparation, "make_pair", lambda frame, **how: made.append(frame.name) or make(frame, **how))
    assert hqmd(*command).returncode == 0
    assert made == [names[2]]
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("change", [("--frames", 4), ("--fill",), ("--scenes", "list.txt")])
def test_other_settings_in_the_same_folder_are_refused(hqmd, raw: Path, tmp_path: Path, monkeypatch, change) -> None:
    pytest.importorskip("scipy", reason="the extra fill is not installed")
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("kitchen_0004\nkitchen_0005\nnot_here_0001\n")
    command = ["data", "nyu-raw", raw, "-o", "pairs", "--scenes", "all", "--frames", 2, "--workers", 1]
    assert hqmd(*command).returncode == 0
    result = hqmd(*command, *change)
    assert result.returncode == 1 and "holds pairs made with other" in result.stderr


def test_a_folder_of_other_pairs_is_refused(hqmd, raw: Path, pairs: Path) -> None:
    result = hqmd("data", "nyu-raw", raw, "-o", pairs, "--scenes", "all")
    assert result.returncode == 1 and "not made by this command, as there is no nyu-raw.json" in result.stderr


def test_scenes_by_a_list(hqmd, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("kitchen_0005\n")
    result = hqmd("data", "nyu-raw", raw, "-o", tmp_path / "p", "--scenes", tmp_path / "list.txt", "--workers", 1)
    assert result.returncode == 0 and "2 left out: not listed" in result.stderr
    assert len(data.open_dataset(tmp_path / "p", "train")) == 3
    (tmp_path / "list.txt").write_text("attic_0001\n")
    result = hqmd("data", "nyu-raw", raw, "-o", tmp_path / "p", "--scenes", tmp_path / "list.txt")
    assert result.returncode == 1 and "none of its 3 scenes is one to train on" in result.stderr


def test_without_the_labelled_file_nothing_is_taken(hqmd, raw: Path, tmp_path: Path, monkeypatch) -> None:
    """Otherwise rooms of test pictures would be trained on."""
    monkeypatch.delenv("HQMD_DATA", raising=False)
    monkeypatch.setenv("HQMD_HOME", str(tmp_path))
    result = hqmd("data", "nyu-raw", raw, "-o", tmp_path / "pairs")
    assert result.returncode == 1 and "hqmd data nyu" in result.stderr and "--scenes all" in result.stderr
    assert not (tmp_path / "pairs").exists()


@pytest.mark.slow
def test_several_processes_make_the_same(hqmd, raw: Path, tmp_path: Path) -> None:
    bedroom = raw / "bedroom_0020"
    for workers in (1, 2):
        result = hqmd(
            "data", "nyu-raw", bedroom, "-o", tmp_path / str(workers), "--scenes", "all", "--workers", workers
        )
        assert result.returncode == 0, result.stderr
    one, two = ({f.relative_to(tmp_path / n): f.read_bytes() for f in (tmp_path / n).rglob("*.*")} for n in ("1", "2"))
    assert one == two and len(one) == 8


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_ctrl_c_and_on_again(raw: Path, tmp_path: Path, hqmd) -> None:
    pairs = tmp_path / "pairs"
    command = ["data", "nyu-raw", raw, "-o", pairs, "--scenes", "all", "--workers", "2", "--fill"]
    run = subprocess.Popen(
        [sys.executable, "-m", "hqmd_cli", *map(str, command)], stderr=subprocess.PIPE, text=True, process_group=0
    )
    while not list((pairs / "depth").glob("*.png")) and run.poll() is None:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "the same command goes on from here" in said and "Traceback" not in said
    assert not (pairs / "train.txt").exists()
    result = hqmd(*command)
    assert result.returncode == 0 and "10 pairs" in result.stderr
    assert json.loads((pairs / "nyu-raw.json").read_text())["frames"] == "10 of 10"


def test_a_full_disk_is_no_broken_frame(raw: Path, tmp_path: Path, hqmd, monkeypatch) -> None:
    def full(path: Path, rgb: np.ndarray, quality: int) -> None:
        raise HqmdError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(preparation, "write_jpeg", full)
    result = hqmd("data", "nyu-raw", raw, "-o", tmp_path / "pairs", "--scenes", "all", "--workers", 1)
    assert result.returncode == 1 and "No space left" in result.stderr and "left out" not in result.stderr


def test_recordings_given_as_data_are_answered_with_the_command(raw: Path) -> None:
    for place in (raw, raw / "bedroom_0020"):
        with pytest.raises(HqmdError, match=rf"make pairs of them: hqmd data nyu-raw {place} -o pairs"):
            data.open_dataset(place, "all")


def test_photos_of_another_size(raw: Path, tmp_path: Path, hqmd) -> None:
    photo = next((raw / "bedroom_0020").glob("r-*"))
    Image.fromarray(raw_photo()[:240]).save(photo)
    result = hqmd("data", "nyu-raw", raw / "bedroom_0020", "-o", tmp_path / "p", "--scenes", "all", "--workers", 1)
    assert "640 x 240, not 640 x 480" in result.stderr
