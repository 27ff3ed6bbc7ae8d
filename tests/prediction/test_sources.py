"""What the user names, as the photos to read."""

import contextlib
import io
import os
import sys
from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError, complain
from hqmd_cli.files import kinds
from hqmd_cli.files import photos as images
from hqmd_cli.files.kinds import is_video
from hqmd_cli.prediction.sources import LeftOut, Source, address_of, find_sources, goes_alone, goes_in_shards


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*arguments: str | Path, leave_out: tuple[Path, ...] = ()) -> list[tuple[str, str]]:
    """(path, place) of each source."""
    return [(str(source.path), source.place.as_posix()) for source in find_sources(arguments, leave_out)]


# ---- files and folders ----


def test_a_folder_keeps_its_tree(here: Path) -> None:
    touch(*(here / name for name in ("in/b.JPG", "in/a/b.png", "in/a/c/d.webp", "in/notes.txt", "in/depth.npy")))
    assert found("in") == [("in/a/b.png", "a/b.png"), ("in/a/c/d.webp", "a/c/d.webp"), ("in/b.JPG", "b.JPG")]
    assert found(here / "in", "in/a") == [(f"{here}/in/{place}", place) for place in ("a/b.png", "a/c/d.webp", "b.JPG")]


def test_one_photo_is_its_own_place(here: Path) -> None:
    """Of any suffix: what the user names is not second-guessed, reading it will tell."""
    touch(here / "in/photo.xyz", here / "in/.hidden.jpg")
    assert found("in/photo.xyz", Path("in/.hidden.jpg")) == [
        ("in/photo.xyz", "photo.xyz"),
        ("in/.hidden.jpg", ".hidden.jpg"),
    ]


def test_hidden_files_and_folders_of_a_folder_are_left_out(here: Path) -> None:
    """Such as a file half written, a Mac's ._photo.jpg, or a folder of thumbnails."""
    touch(*(here / name for name in ("in/a.jpg", "in/._a.jpg", "in/.thumbnails/a.jpg", "in/sub/.x.jpg")))
    assert found("in") == [("in/a.jpg", "a.jpg")]
    assert found("in/.thumbnails") == [("in/.thumbnails/a.jpg", "a.jpg")]  # unless it is named


def test_a_folder_with_a_photo_s_name_is_a_folder(here: Path) -> None:
    touch(here / "in/scan.tif/page.png", here / "x.png/y.jpg")
    assert found("in", "x.png") == [("in/scan.tif/page.png", "scan.tif/page.png"), ("x.png/y.jpg", "y.jpg")]


@pytest.mark.unix
def test_what_cannot_be_read_is_not_left_out_in_silence(here: Path) -> None:
    """Broken links, named or found, and a pipe: each fails when it is read, with a line of its own."""
    touch(here / "in/a.jpg")
    (here / "in/gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(here / "in/pipe.jpg")
    assert [place for _, place in found("in")] == ["a.jpg", "gone.jpg", "pipe.jpg"]
    assert found("in/gone.jpg") == [("in/gone.jpg", "gone.jpg")]
    for name, why in {"gone": "a link to a file that is gone", "pipe": "a pipe or device"}.items():
        with pytest.raises(HqmdError, match=rf"in/{name}\.jpg: {why}"):
            images.read_photo(Path(f"in/{name}.jpg"))


def test_a_folder_that_cannot_be_listed(here: Path, monkeypatch) -> None:
    """os.walk would go on without it. The system's refusal is played, since nothing is refused to root."""
    touch(here / "in/a.jpg", here / "in/locked/b.jpg")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(HqmdError, match="in/locked: cannot be listed: Permission denied; make it readable"):
        find_sources(["in"])


def test_links_to_folders_are_not_followed(here: Path) -> None:
    """One that leads upward would have no end."""
    touch(here / "in/a.jpg", here / "other/b.jpg")
    (here / "in/loop").symlink_to(".")
    (here / "in/other.jpg").symlink_to(here / "other")
    assert found("in") == [("in/a.jpg", "a.jpg")]
    assert found("in/other.jpg") == [("in/other.jpg/b.jpg", "b.jpg")]  # unless it is named


@pytest.mark.parametrize("argument", ["nothing", "nothing.jpg", "in/nothing", "", "a\0b"])
def test_what_is_not_there(here: Path, argument: str) -> None:
    touch(here / "in/a.jpg")
    with pytest.raises(HqmdError, match=r"^(\S+nothing|nothing\S*|''|a\\x00b): no such file or folder$"):
        find_sources(["in", argument])


def test_a_folder_without_photos(here: Path) -> None:
    touch(here / "in/notes.txt", here / "in/clip.mp4")
    why = r"^in: no photos in this folder \(JPEG, PNG.*\); it holds 1 \.mp4 \(a video.*\), 1 \.txt$"
    with pytest.raises(HqmdError, match=why):
        find_sources(["in"])


def test_many_files(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:05}.jpg").symlink_to("one.jpg")  # links: one photo under many names is many photos
    assert [source.place.name for source in find_sources([tmp_path])] == [f"{n:05}.jpg" for n in range(200)]


# ---- HEIC ----


@pytest.fixture
def without_heif(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed


@pytest.mark.usefixtures("without_heif")
def test_heic_without_pillow_heif(here: Path) -> None:
    touch(here / "in/a.HEIC", here / "mixed/a.heic", here / "mixed/b.jpg")
    assert found("mixed") == [("mixed/b.jpg", "b.jpg")]
    assert found("in/a.HEIC") == [("in/a.HEIC", "a.HEIC")]  # reading it names the remedy, see test_images.py
    with pytest.raises(HqmdError, match=r"in: no photos in this folder .*1 \.heic .*pip install pillow-heif"):
        find_sources(["in"])


def test_heic_with_pillow_heif(here: Path, monkeypatch) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda name: name)  # as if it were installed
    touch(here / "in/a.HEIC", here / "in/b.heif")
    assert [place for _, place in found("in")] == ["a.HEIC", "b.heif"]


# ---- patterns ----


def test_patterns(here: Path) -> None:
    touch(*(here / name for name in ("in/a1.jpg", "in/a2.png", "in/b.jpg", "in/sub/a3.jpg", "in/sub/deep/a4.jpg")))
    assert found("in/*.jpg") == [("in/a1.jpg", "a1.jpg"), ("in/b.jpg", "b.jpg")]
    assert found(here / "in" / "a?.*") == [(f"{here}/in/{name}", name) for name in ("a1.jpg", "a2.png")]
    assert found("in/[!a]*.jpg") == [("in/b.jpg", "b.jpg")]
    assert found("*/sub/*.jpg") == [("in/sub/a3.jpg", "in/sub/a3.jpg")]
    assert [place for _, place in found("in/**/a*.jpg")] == ["a1.jpg", "sub/a3.jpg", "sub/deep/a4.jpg"]


def test_a_folder_that_matches_gives_its_photos(here: Path) -> None:
    """At their place below the fixed part of the pattern; a match that is a file is taken as if it were named."""
    touch(*(here / name for name in ("in/day1/a.jpg", "in/day1/notes.txt", "in/day2/a.jpg", "in/empty/x.txt")))
    assert [place for _, place in found("in/*")] == ["day1/a.jpg", "day2/a.jpg"]
    assert [place for _, place in found("in/**")] == ["day1/a.jpg", "day2/a.jpg"]
    assert [place for _, place in found("in/*/*")] == ["day1/a.jpg", "day1/notes.txt", "day2/a.jpg", "empty/x.txt"]


def test_a_pattern_without_matches(here: Path) -> None:
    touch(here / "in/a.jpg", here / "notes/x/y.txt")
    nothing = "no file matches this pattern"
    others = "no photo matches this pattern; it matches 1 .txt"
    for pattern, why in {"in/*.png": nothing, "nothing/**/*.jpg": nothing, "*.jpg": nothing, "note[s]": others}.items():
        with pytest.raises(HqmdError) as error:
            find_sources(["in", pattern])
        assert str(error.value) == f"{pattern}: {why}"


def test_a_pattern_that_is_none(here: Path) -> None:
    with pytest.raises(HqmdError, match=r"^in/a\*\*b: "):
        find_sources(["in/a**b"])


def test_a_name_wins_over_the_pattern(here: Path) -> None:
    touch(*(here / name for name in ("a[1].jpg", "a1.jpg", "what?.jpg", "2024 [1]/x.jpg", "2024 1/x.jpg")))
    (here / "gone*.jpg").symlink_to("nowhere")
    assert found("a[1].jpg", "what?.jpg", "gone*.jpg", "2024 [1]") == [
        ("a[1].jpg", "a[1].jpg"),
        ("what?.jpg", "what?.jpg"),
        ("gone*.jpg", "gone*.jpg"),
        ("2024 [1]/x.jpg", "x.jpg"),
    ]
    assert found("2024 [1]/*.jpg") == [("2024 [1]/x.jpg", "x.jpg")]


def test_hidden_files_match_only_a_spelt_dot(here: Path) -> None:
    touch(*(here / name for name in ("in/a.jpg", "in/.b.jpg", "in/.sub/c.jpg", ".top/d.jpg")))
    assert [place for _, place in found("in/**/*.jpg")] == ["a.jpg"]
    assert [place for _, place in found("in/.*.jpg")] == [".b.jpg"]
    assert [place for _, place in found(".top/*.jpg")] == ["d.jpg"]


def test_patterns_do_not_run_round_in_links(here: Path) -> None:
    """Two links to the folder they lie in are 2^40 paths, were they followed."""
    touch(here / "in/a.jpg")
    (here / "in/one").symlink_to(".")
    (here / "in/two").symlink_to(".")
    assert found("in/**/*.jpg") == [("in/a.jpg", "a.jpg")]


# ---- each once, earlier results not at all ----


def test_each_photo_once(here: Path) -> None:
    """However it is spelt and found; the first decides its place."""
    touch(here / "in/sub/a.jpg", here / "in/b.jpg")
    (here / "link").symlink_to("in")
    again = ("in/sub/../b.jpg", here / "in/b.jpg", "in", "in/**/*.jpg", "./in/sub", "link", "link/sub/a.jpg")
    assert found("in/b.jpg", *again) == [("in/b.jpg", "b.jpg"), ("in/sub/a.jpg", "sub/a.jpg")]


def test_links_to_one_photo_are_several(here: Path) -> None:
    touch(here / "in/a.jpg")
    (here / "in/b.jpg").symlink_to("a.jpg")
    assert [place for _, place in found("in")] == ["a.jpg", "b.jpg"]


def test_earlier_results_are_no_photos(here: Path) -> None:
    touch(*(here / name for name in ("in/a.jpg", "in/out/a.png", "in/sub/out.png", "in/output/b.jpg")))
    (here / "link").symlink_to("in/out")
    for arguments in (["in"], ["in/**/*.*"], ["in/*"], ["."]):
        for folder in (Path("in/out"), here / "in" / "out", Path("link")):
            photos = found(*arguments, leave_out=(folder, Path("in/sub/out.png")))
            assert [path for path, _ in photos] == ["in/a.jpg", "in/output/b.jpg"]


def test_a_folder_that_is_named_is_not_left_out(here: Path) -> None:
    """Results beside the photos: what is in the way is for the plan of the outputs to refuse."""
    touch(here / "in/a.png")
    for arguments in (["in"], ["in/*.png"], ["in/a.png"]):
        assert found(*arguments, leave_out=(Path("in"),)) == [("in/a.png", "a.png")]


def test_nothing_but_earlier_results(here: Path) -> None:
    touch(here / "in/out/a.png")
    for argument, why in {
        "in": "no photos in this folder",
        "in/**/*.png": "no photo matches this pattern; it matches 1 ",
    }.items():
        with pytest.raises(HqmdError, match=why):
            find_sources([argument], leave_out=[Path("in/out")])


# ---- stdin ----


def test_stdin_once(here: Path) -> None:
    touch(here / "a.jpg")
    stdin = Source(None, Path("stdin"))
    assert find_sources(["-", "a.jpg", "-", Path("-")]) == [stdin, Source(Path("a.jpg"), Path("a.jpg"))]
    assert stdin.name == "stdin"


def test_a_file_that_is_called_like_stdin(here: Path) -> None:
    touch(here / "-")
    assert find_sources(["./-"]) == [Source(Path("-"), Path("-"))]


# ---- names ----

NAMES = {
    b"two  words.jpg": "two  words.jpg",
    b"line\nend.jpg": r"line\nend.jpg",
    b"terminal\x1b[2J.jpg": r"terminal\x1b[2J.jpg",
    b"-o.jpg": "-o.jpg",
    "\N{CAMERA}\N{ZERO WIDTH JOINER}é.jpg".encode(): "\N{CAMERA}\N{ZERO WIDTH JOINER}é.jpg",
    b"latin-\xe9.jpg": r"latin-\udce9.jpg",  # no UTF-8
}


@pytest.mark.parametrize("raw", NAMES, ids=NAMES.values())
def test_names_of_all_kinds(here: Path, raw: bytes) -> None:
    """Found, read and named in one line that every stream can print."""
    os.mkdir("in")
    try:
        Path("in", os.fsdecode(raw)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    for argument in ("in", "in/*.jpg", os.fsdecode(b"in/" + raw)):
        (source,) = find_sources([argument])
        assert os.fsencode(source.place) == raw
        assert source.name == f"in/{NAMES[raw]}"
        source.name.encode()  # as print does; a lone surrogate would stop it
        with pytest.raises(HqmdError) as error:
            images.read_photo(source.path, source.name)
        assert str(error.value) == f"in/{NAMES[raw]}: an empty file; copy or download it again"


def test_a_missing_name_that_is_no_utf8(here: Path) -> None:
    for argument in (b"gone-\xe9.jpg", b"gone-\xe9*.jpg"):
        with pytest.raises(HqmdError, match=r"^gone-\\udce9") as error:
            find_sources([os.fsdecode(argument)])
        with contextlib.redirect_stderr(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):  # the strict kind
            complain(error.value)


# ---- video ----


def test_what_is_a_video(here: Path) -> None:
    touch(here / "clip.MP4", here / "holiday.mov/a.jpg")
    assert is_video(Path("clip.MP4")) and is_video(Path("gone.webm"))
    assert not is_video(Path("holiday.mov")) and not is_video(Path("a.jpg"))
    assert goes_alone(["camera:0"], [Path("out")]) and goes_alone(["clip.MP4"], [Path("d.mp4")])
    assert not goes_alone(["clip.MP4"], [Path("out")]) and not goes_alone(["clip.MP4", "a.jpg"], [Path("d.mp4")])


VIDEO_SUFFIXES = {suffix for form in kinds.FORMATS if form.medium == kinds.VIDEO for suffix in form.suffixes}


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES - kinds.SHARED_SUFFIXES))
def test_videos_of_a_folder_are_sources_where_videos_are_wanted(here: Path, suffix: str) -> None:
    touch(here / "in/a.jpg", here / f"in/clip{suffix}")
    assert [place for _, place in found("in")] == ["a.jpg"]
    photo, clip = find_sources(["in"], with_videos=True)
    assert (photo.is_video, clip.is_video, clip.path) == (False, True, Path(f"in/clip{suffix}"))
    assert find_sources([f"in/clip{suffix}"])[0].is_video


# ---- what is left out ----


def left_out(*arguments: str, **options) -> dict[str, int]:
    counted = LeftOut()
    find_sources(arguments, left_out=counted, **options)
    return dict(counted.counts)


@pytest.mark.usefixtures("without_heif")
def test_whatever_is_left_out_is_counted_by_reason(here: Path) -> None:
    touch(
        *(
            here / "in" / name
            for name in ("a.jpg", "b.HEIC", "c.nef", "d.txt", "e.txt", "README", ".f.jpg", "out/g.png")
        )
    )
    touch(here / "in/.thumbs/h.jpg", here / "other/i.jpg", here / "in/j.png", here / "in/clip.mp4")
    (here / "in/linked").symlink_to(here / "other")
    counts = left_out(
        "in",
        "in/a.jpg",
        leave_out=[Path("in/out")],
        is_result={here.resolve() / "in/j.png"}.__contains__,
        with_videos=True,
    )
    assert counts == {
        ".heic (a photo in HEIC; to read it, pip install pillow-heif)": 1,
        ".nef (a camera's raw photo, which hqmd does not read; develop it to JPEG or TIFF first)": 1,
        ".txt": 2,
        "without a suffix": 1,
        "hidden": 1,
        "hidden folders": 1,
        "linked folders": 1,
        "folders of results": 1,
        "results of an earlier run": 1,
        "named twice": 1,
    }


def test_what_a_pattern_leaves_out_is_counted(here: Path) -> None:
    touch(here / "in/a.jpg", here / "in/.b.jpg", here / "in/day/c.jpg", here / "in/day/d.txt")
    assert left_out("in/*") == {"hidden": 1, ".txt": 1} or left_out("in/*") == {".txt": 1}


def test_a_link_to_itself_is_named_and_ends_nothing(here: Path) -> None:
    touch(here / "in/a.jpg")
    (here / "in/loop.jpg").symlink_to("loop.jpg")
    (here / "round").symlink_to("round")
    assert [place for _, place in found("in", leave_out=(Path("round"),))] == ["a.jpg", "loop.jpg"]
    with pytest.raises(HqmdError, match=r"in/loop\.jpg"):
        images.read_photo(Path("in/loop.jpg"))


# ---- addresses ----


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://box/out", "s3://box/out"),
        ("s3://box", "s3://box"),
        ("s3://", "s3://"),  # names no bucket, which is refused later
        ("file:///tmp/out", "file://tmp/out"),
        ("out/depth", "out/depth"),
        ("s3", "s3"),
    ],
)
def test_an_option_s_path_was_an_address(text: str, address: str) -> None:
    assert address_of(Path(text)) == address
    assert goes_in_shards([], [Path(text)]) == ("://" in text)
