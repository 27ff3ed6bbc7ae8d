"""`hqmd data split`: train.txt and val.txt for a folder of pairs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError


def write_recordings(folder: Path, **frames: int) -> Path:
    """Pairs of 8 x 8 pixels, NAME_000, NAME_001, ... for each NAME."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    for name, number in frames.items():
        for frame in range(number):
            Image.fromarray(np.full((8, 8, 3), frame, np.uint8)).save(folder / "rgb" / f"{name}_{frame:03}.png")
            depth_mm = np.full((8, 8), 2000, np.uint16)
            Image.fromarray(depth_mm).save(folder / "depth" / f"{name}_{frame:03}.png")
    return folder


def test_whole_recordings_go_to_val(hqmd, tmp_path):
    pairs = write_recordings(tmp_path / "pairs", kitchen=4, hall=4, attic=12)
    with pytest.raises(HqmdError, match="hqmd data split"):
        open_training_data(pairs)
    result = hqmd("data", "split", pairs)
    assert result.returncode == 0 and "16 pairs in train.txt, 4 in val.txt: 1 of 3 recordings" in result.stderr
    lists = [(pairs / f"{split}.txt").read_text().split() for split in ("train", "val")]
    assert len({name[:-4] for name in lists[1]}) == 1 and not {name[:-4] for name in lists[0]} & {lists[1][0][:-4]}
    assert [len(part) for part in open_training_data(pairs)] == [16, 4]
    assert "train.txt: exists already; pass --overwrite" in hqmd("data", "split", pairs).stderr
    assert hqmd("data", "split", pairs, "--overwrite").returncode == 0
    assert lists == [(pairs / f"{split}.txt").read_text().split() for split in ("train", "val")]


def test_the_end_of_a_single_recording_goes_to_val(hqmd, tmp_path):
    pairs = write_recordings(tmp_path / "pairs", room=10)
    assert "2 in val.txt: the last 2 by name" in hqmd("data", "split", pairs).stderr
    assert (pairs / "val.txt").read_text() == "room_008\nroom_009\n"


@pytest.mark.parametrize("share", ["0", "1", "0.01", "nan"])
def test_a_share_that_leaves_a_list_empty_is_refused(hqmd, tmp_path, share):
    pairs = write_recordings(tmp_path / "pairs", room=4)
    result = hqmd("data", "split", pairs, "--val-share", share)
    assert result.returncode == 1 and "hqmd:" in result.stderr and not (pairs / "val.txt").exists()
