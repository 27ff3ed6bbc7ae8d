"""Files appear whole or not at all."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_aside, write_text
from hqmd_cli.files.depth_files import write_depth_mm, write_depth_npy
from hqmd_cli.files.images import write_figure, write_image
from pictures import corners, some_depth


def test_nothing_half_written(tmp_path: Path) -> None:
    """A crash in the middle leaves the old file as it was, and nothing beside it."""
    path = tmp_path / "result.txt"
    path.write_text("old")

    def crash(aside: Path) -> None:
        aside.write_text("ne")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_aside(path, crash)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk(tmp_path: Path) -> None:
    def full(aside: Path) -> None:
        aside.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(HqmdError, match=r"result\.txt: cannot be written: No space left on device"):
        write_aside(tmp_path / "result.txt", full)
    assert not list(tmp_path.iterdir())


def test_written_beside_and_renamed(tmp_path: Path) -> None:
    """In the same folder, since a rename across disks is a copy; under a hidden name, which find_sources leaves out."""
    seen: list[Path] = []
    write_aside(tmp_path / "x.png", lambda aside: (seen.append(aside), aside.write_text("new")))
    assert seen[0].parent == tmp_path and seen[0].name.startswith(".") and seen[0] != tmp_path / "x.png"
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def write_each_kind(folder: Path) -> list:
    """All writers, into a folder: (name, call)."""
    return [
        (name, lambda name=name, write=write: write(folder / name))
        for name, write in {
            "depth.png": lambda path: write_depth_mm(path, some_depth()),
            "depth.npy": lambda path: write_depth_npy(path, some_depth()),
            "picture.png": lambda path: write_image(path, corners()),
            "figure.png": lambda path: write_figure(path, Figure(figsize=(1, 1))),
            "text.md": lambda path: write_text(path, "µ"),
        }.items()
    ]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be; a read-only folder would not stop a test that runs as root."""
    (tmp_path / "out").write_text("a file")
    for name, write in write_each_kind(tmp_path / "out"):
        with pytest.raises(HqmdError, match=rf"out/{name}: cannot be written"):
            write()


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    for name, write in write_each_kind(tmp_path):
        (tmp_path / name).mkdir()
        with pytest.raises(HqmdError, match=rf"{name}: cannot be written"):
            write()
    assert not list(tmp_path.glob(".*"))


def test_every_writer_leaves_its_file_only(tmp_path: Path) -> None:
    written = write_each_kind(tmp_path / "new" / "tree")
    for _, write in written:
        write()
        write()  # an older result is replaced
    assert {file.name for file in (tmp_path / "new" / "tree").iterdir()} == {name for name, _ in written}
