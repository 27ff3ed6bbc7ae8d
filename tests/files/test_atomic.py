"""Files appear whole or not at all."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import atomic
from hqmd_cli.files.atomic import (
    RUN,
    file_beside,
    mark_of,
    new_folder,
    remove_unfinished,
    write_aside,
    write_bytes,
    write_text,
)
from hqmd_cli.files.depth_files import encode_npy, write_depth_mm
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
            "depth.npy": lambda path: write_bytes(path, encode_npy(some_depth())),
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


def test_two_names_never_share_what_is_written_beside_them(tmp_path: Path) -> None:
    """The CRC-32 of these two names is the same."""
    seen: list[Path] = []

    def save(aside: Path) -> None:
        seen.append(aside)
        if len(seen) == 1:
            write_aside(tmp_path / "0_buckeroo.npy", save)
        aside.write_text(str(len(seen)))

    write_aside(tmp_path / "0_plumless.npy", save)
    assert len(set(seen)) == 2 and RUN in seen[0].name
    assert (tmp_path / "0_plumless.npy").exists() and (tmp_path / "0_buckeroo.npy").exists()


def test_a_link_that_lies_in_the_way_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr(atomic.os, "urandom", bytes)
    (tmp_path / f".hqmd-{RUN}-00000000-{mark_of(Path('a.txt'))}.part").symlink_to("precious")
    with pytest.raises(HqmdError, match=r"a\.txt: cannot be written"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "precious").read_text() == "mine" and not (tmp_path / "a.txt").exists()


def test_only_what_dead_runs_left_is_removed(tmp_path: Path) -> None:
    names = {"dead": ".hqmd-0badf00d-00000001.part", "video": ".hqmd-0badf00d-00000002.part.mp4"}
    names |= {"other": ".hqmd-12345678-00000001.part", "user": ".notes.part", "before": ".0123abcd.77.part"}
    for name in names.values():
        (tmp_path / name).write_text("")
    (tmp_path / ".hqmd-0badf00d-00000003.part").mkdir()
    with file_beside(tmp_path / "a.txt") as mine:
        remove_unfinished(tmp_path, {"0badf00d"})
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {names["other"], names["user"], names["before"], mine.name}
        remove_unfinished(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {names["user"], mine.name}
    remove_unfinished(tmp_path / "gone")


WRITER = """
import sys
from pathlib import Path
from hqmd_cli.files.atomic import file_beside, new_folder

video, other = (file_beside(Path(name), ".mp4") for name in sys.argv[1:])
with video, other, new_folder(Path("model")) as folder:
    (folder / "weights").write_text("half")
    print("writes", flush=True)
    sys.stdin.read()
"""


@pytest.mark.unix
def test_a_killed_writer_leaves_nothing_to_the_next_one_of_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process writes to the same file stays, and so does all that is no unfinished file of ours."""
    monkeypatch.chdir(tmp_path)

    def begin(*names: str) -> subprocess.Popen[bytes]:
        writer = subprocess.Popen([sys.executable, "-c", WRITER, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert writer.stdout and writer.stdout.readline() == b"writes\n"
        return writer

    def unfinished(name: str) -> set[str]:
        return {path.name for path in tmp_path.iterdir() if mark_of(Path(name)) in path.name}

    killed = begin("v.mp4", "w.mp4")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = {name: unfinished(name) for name in ("v.mp4", "w.mp4", "model")}
    assert all(left.values())
    living = begin("v.mp4", "x.mp4")
    Path("precious").write_text("mine")
    mark = mark_of(Path("v.mp4"))
    users = {f".hqmd-0badf00d-00000001-{mark}.part.mp4", f".hqmd-notes-{mark}.part", f".hqmd-0badf00d-{mark}.part"}
    linked, *named = sorted(users)
    Path(linked).symlink_to("precious")
    for name in named:
        Path(name).write_text("mine")
    with file_beside(Path("v.mp4"), ".mp4") as mine, new_folder(Path("model")):
        assert not left["v.mp4"] & unfinished("v.mp4") and not left["model"] & unfinished("model")
        assert len(unfinished("v.mp4") - users) == 2 and len(unfinished("model")) == 2  # the living one's, and ours
        assert mine.exists() and left["w.mp4"] == unfinished("w.mp4") and users <= unfinished("v.mp4")
    living.communicate()
    assert living.returncode == 0 and Path("model/weights").read_text() == "half"
    assert Path("precious").read_text() == "mine"


def test_names_that_are_no_utf8_are_written_as_escapes(tmp_path: Path) -> None:
    write_text(tmp_path / "card.md", "photos\udcff")
    assert (tmp_path / "card.md").read_text("utf-8") == "photos\\udcff"
