"""What a checkpoint keeps of the photos that it learned from, and what is said when copies of them are scored."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hqmd_cli.checkpoints.catalogue import facts, what_it_saw
from hqmd_cli.checkpoints.hub import HASHES_FILE, HUB_FILES, bundled_models
from hqmd_cli.checkpoints.photo_hashes import copies_in_words, join_hashes, note_photos, read_hashes, write_hashes
from hqmd_cli.data.check.near_duplicates import MOST_BITS, NO_HASH, copies, hash_of, thumbnail
from hqmd_cli.data.kitti import KittiDepth
from hqmd_cli.data.nyu import NyuMat
from hqmd_cli.errors import HqmdError
from hqmd_cli.reporting.model_list import BundledRow, bundled_table


def photo_of(seed: int) -> np.ndarray:
    """A photo of soft blots, 480 x 640, like no other."""
    blots = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    return cv2.resize(blots, (640, 480), interpolation=cv2.INTER_CUBIC)


def hashes_of(*photos: np.ndarray) -> np.ndarray:
    return np.array([hash_of(thumbnail(photo)) for photo in photos], np.uint64)


def as_jpeg(photo: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_COLOR)


def test_copies_are_found_and_others_are_not():
    seen = hashes_of(*map(photo_of, range(50)))
    copied = photo_of(7)
    again = (as_jpeg(copied), copied[::2, ::2], copied[4:-4, 4:-4], (copied * 0.7).astype(np.uint8))
    assert copies(hashes_of(*again), seen) == [0, 1, 2, 3]
    assert copies(hashes_of(*map(photo_of, range(50, 150))), seen) == []
    flat = hashes_of(np.full((48, 64, 3), 90, np.uint8))
    assert flat.tolist() == [NO_HASH] and copies(flat, flat) == []  # photos without contrast are like no other
    assert copies(seen, np.empty(0, np.uint64)) == []


def test_the_threshold_counts_bits():
    base = np.array([0x0F0F_0F0F_0F0F_0F0F], np.uint64)
    for bits, found in ((MOST_BITS, [0]), (MOST_BITS + 1, [])):
        assert copies(base ^ np.uint64(2**bits - 1), base) == found


def test_what_is_learned_from_is_joined(tmp_path: Path):
    one, other, both = (tmp_path / name for name in ("one", "other", "both"))
    for folder in (one, other, both):
        folder.mkdir()
    write_hashes(one, [5, 3, 3, NO_HASH])
    write_hashes(other, [2**64 - 1])
    join_hashes([one, other, tmp_path / "without"], both)
    assert read_hashes(both).tolist() == [3, 5, 2**64 - 1] and read_hashes(both).dtype == np.uint64
    assert read_hashes(tmp_path / "without").size == 0
    (one / HASHES_FILE).write_bytes(b"no array")
    with pytest.raises(HqmdError, match="no list of hashes"):
        read_hashes(one)


def test_a_run_keeps_its_photos_and_those_of_its_start(tmp_path: Path):
    class Broken(list):
        def __getitem__(self, index):
            if index == 1:
                raise HqmdError("cannot be read")
            return super().__getitem__(index)

    start = tmp_path / "start"
    start.mkdir()
    write_hashes(start, [17])
    data = Broken(SimpleNamespace(image=photo_of(seed)) for seed in range(3))
    note_photos(tmp_path, (data, None), start, workers=2)
    assert read_hashes(tmp_path).tolist() == sorted([17, *hashes_of(photo_of(0), photo_of(2)).tolist()])


def test_the_line_names_some():
    seen = hashes_of(*map(photo_of, range(5)))
    line = copies_in_words([f"room{i}" for i in range(6)], hashes_of(*map(photo_of, range(6))), seen)
    assert line.startswith("5 of 6 pictures look like copies of what it learned from (room0, room1, room2, ...): ")
    assert copies_in_words(["other"], hashes_of(photo_of(9)), seen) == ""


def test_evaluate_says_so(trained_run: Path, hqmd, tmp_path: Path):
    pairs, model = trained_run.parent / "pairs", trained_run / "best"
    assert (trained_run / "last" / HASHES_FILE).exists() and HASHES_FILE in HUB_FILES
    for split, said in (("train", True), ("val", False)):
        result = hqmd("evaluate", "--model", model, "--data", pairs, "--split", split, "--json")
        assert result.returncode == 0, result.stderr
        assert ("look like copies of what it learned from" in json.loads(result.stdout)["remark"]) == said
    forgetful = tmp_path / "forgetful"  # as an earlier hqmd wrote it
    shutil.copytree(model, forgetful)
    (forgetful / HASHES_FILE).unlink()
    result = hqmd("evaluate", "--model", forgetful, "--data", pairs, "--split", "train")
    assert result.returncode == 0 and "copies" not in result.stdout


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_have_theirs(name: str):
    folder = bundled_models()[name]
    assert len(read_hashes(folder)) == 1013  # of 1,016 pictures; three are equal to others
    assert (folder / HASHES_FILE).stat().st_size < 20_000


def test_what_models_of_others_saw():
    nyu = NyuMat.title
    assert "learned from the training pictures" in what_it_saw("hf:Intel/zoedepth-nyu-kitti@f364d4c", nyu)
    assert "KITTI" in what_it_saw("hf:Intel/zoedepth-kitti", KittiDepth.title)
    assert what_it_saw("hf:Intel/zoedepth-kitti", nyu) == ""
    assert "654 test pictures" in what_it_saw("onnx:exports/yolo26n-depth.onnx", nyu)
    assert what_it_saw("hf:depth-anything/Depth-Anything-V2-Small-hf", nyu) == ""
    assert what_it_saw("hf:Intel/zoedepth-nyu-kitti", "") == ""
    assert all(row["source"].startswith("https://") and row["how"] for row in facts()["seen"])


def test_bundled_models_of_two_protocols_are_not_ranked():
    def row(protocol: str) -> BundledRow:
        return BundledRow("m", "hqmd", 1, {"data": "d", "protocol": protocol, "recipe": "r", "metrics": {}, "n": 74})

    assert "do not rank" in bundled_table([row("hu"), row("hqmd")]).caption
    assert "do not rank" not in bundled_table([row("hu"), row("hu")]).caption
