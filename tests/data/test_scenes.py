"""Which data knows the scenes of its pictures, and that a part of it still does."""

from pathlib import Path

import pytest
from test_published_layout import DRIVES, INDOORS, write_diode, write_ibims, write_kitti

from hqmd_cli.data import nyu, open_dataset
from hqmd_cli.data.focal_lengths import Frame, read_frames
from hqmd_cli.data.sample import Part, scenes_of
from hqmd_cli.errors import HqmdError


def test_published_data_by_drive_and_scene(tmp_path: Path) -> None:
    kitti = open_dataset(write_kitti(tmp_path / "kitti"), "val")
    assert set(scenes_of(kitti)) == set(kitti.names)
    assert set(scenes_of(kitti).values()) == {DRIVES["val"].removesuffix("_sync")}
    assert scenes_of(open_dataset(tmp_path / "kitti", "selection")).keys() != set()
    diode = open_dataset(write_diode(tmp_path / "diode"), "val-indoors")
    assert scenes_of(diode) == {name: "val/indoors/scene_00019" for name in diode.names} and INDOORS in diode.names[0]
    assert scenes_of(open_dataset(write_ibims(tmp_path / "ibims1_core_raw"), "test")) == {}


def test_frames_csv_names_the_place_of_each_photo(tmp_path: Path, pairs: Path) -> None:
    for entry in pairs.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    names = open_dataset(tmp_path, "all").names
    (tmp_path / "frames.csv").write_text(f"name,fx,place\n{names[0]},300,kitchen\n{names[1]},,hall\n")
    assert read_frames(tmp_path) == {names[0]: Frame(300, "kitchen"), names[1]: Frame(0, "hall")}
    dataset = open_dataset(tmp_path, "all")
    assert scenes_of(dataset) == {names[0]: "kitchen", names[1]: "hall"}
    assert scenes_of(Part(dataset, [1])) == scenes_of(dataset)
    assert dataset[0].focal_px == 300 and tmp_path / "frames.csv" in dataset.files
    (tmp_path / "frames.csv").write_text(f"name,place\n{names[0]},kitchen\n{names[0]},hall\n")
    with pytest.raises(HqmdError, match=r"line 3: a second place for"):
        read_frames(tmp_path)


def test_a_list_may_have_a_column_of_places(pairs: Path) -> None:
    path = pairs / "with_places.csv"
    path.write_text("rgb,depth,place\nrgb/a1.jpg,depth/a1.png,kitchen\nrgb/b2.jpg,depth/b2.png,\n")
    assert scenes_of(open_dataset(path, "all")) == {"a1": "kitchen"}
    path.unlink()


def test_nyus_frames_have_the_scenes_of_its_file(nyu_mat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(nyu_mat, "test")
    assert scenes_of(dataset) == {}  # the small file of the tests has none
    monkeypatch.setattr(nyu.NyuMat, "open", lambda self: {"scenes": ()})
    monkeypatch.setattr(nyu, "scenes_of", lambda path: [f"room {frame}" for frame in range(1, 1450)])
    assert scenes_of(dataset) == {name: f"room {int(name)}" for name in dataset.names}
