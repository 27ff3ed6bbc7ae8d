"""Sources: files, folders, patterns and stdin on the command line, as the photos to read."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files import kinds
from hqmd_cli.files.regular import is_pipe
from hqmd_cli.files.web_address import is_web_address, name_of, without_secrets

STDIN = "-"
CAMERA = "camera:"
BUCKETS = ("s3", "gs", "az")  # schemes
PATTERN_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """One photo or video to read."""

    path: Path | None  # None: stdin, or a photo on the web
    place: Path  # of its results below an output folder, with the photo's suffix
    is_named: bool = field(default=False, compare=False)  # by the user
    is_pipe: bool = field(default=False, compare=False)  # that the user named; one in a folder is refused
    is_video: bool = field(default=False, compare=False)
    url: str = ""  # of a photo on the web

    @cached_property
    def name(self) -> str:
        """The name for messages: printable, and on one line, whatever bytes the file's name holds."""
        if self.url:
            return printable(without_secrets(self.url))
        return printable("stdin" if self.path is None else str(self.path))


def goes_alone(sources: Sequence[str], destinations: Sequence[Path]) -> bool:
    """True for a camera, and for a single video, or animation to an .mp4, whose depth goes to a file, not a folder."""
    if any(source.startswith(CAMERA) for source in sources):
        return True
    if len(sources) > 1 or is_web_address(sources[0]):
        return False
    to_file = any(path.suffix and not path.is_dir() for path in destinations)
    to_video = any(path.suffix.lower() == ".mp4" and not path.is_dir() for path in destinations)
    return (to_file and kinds.is_video(Path(sources[0]))) or (to_video and kinds.can_move(Path(sources[0])))


def goes_in_shards(sources: Sequence[str], destinations: Sequence[Path]) -> bool:
    """True for tars, Parquet files and buckets, and for names in braces, which hqmd_cli/scale reads."""

    def is_packed(source: str) -> bool:
        if is_web_address(source):
            return False
        in_braces = "{" in source and not os.path.lexists(source)
        return (
            in_braces
            or "://" in source
            or (source.lower().endswith((".tar", ".parquet")) and not os.path.isdir(source))
        )

    return any(map(is_packed, sources)) or any("://" in address_of(path) for path in destinations)


def address_of(path: Path) -> str:
    """Return the address that an option of type Path was given as; of its // a Path keeps one slash at most."""
    text = path.as_posix()
    scheme, colon, place = (f"{text}/" if text[:-1] in BUCKETS else text).partition(":/")
    return f"{scheme}://{place.strip('/')}" if colon and len(scheme) > 1 else str(path)


def refuse_for_video(photo_options: Mapping[str, object]) -> None:
    """Raise HqmdError naming the options that are given (not None), since they are for photos only."""
    if given := [flag for flag, value in photo_options.items() if value is not None]:
        raise HqmdError(f"{' and '.join(given)}: for photos only, not for video")


def find_video(sources: Sequence[str]) -> Path | int:
    """Return the path of the only video, or the number of the only camera. Raises HqmdError for several sources."""
    if len(sources) > 1:
        raise HqmdError(f"{sources[0]}: a camera must be the only source; run the others separately")
    (source,) = sources
    if not source.startswith(CAMERA):
        return Path(source)
    number = source.removeprefix(CAMERA)
    if not number.isdecimal():
        raise HqmdError(f"{source}: name a camera camera:0, camera:1 and so on")
    return int(number)


@dataclass
class LeftOut:
    """What folders and patterns hold besides the sources, counted by reason."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, number: int = 1) -> None:
        """Count files or folders; the reason reads well after a number."""
        if number:
            self.counts[reason] += number

    def add_file(self, file: Path, form: kinds.Format | None) -> None:
        """Count a file that is no source, by what it is."""
        suffix = printable(file.suffix.lower()) or "without a suffix"
        if form is None:
            self.add(suffix)
        else:
            self.add(f"{suffix} ({kinds.why_unreadable(form) or 'a video, of which only colours are written'})")

    @property
    def in_words(self) -> str:
        """All counts in one line."""
        return ", ".join(f"{number} {reason}" for reason, number in self.counts.most_common())

    def since(self, before: Counter[str], beginning: str) -> str:
        """Return what was counted since the counts were `before`, after a beginning; empty for nothing."""
        others = LeftOut(self.counts - before).in_words
        return beginning + others if others else ""


def find_sources(
    arguments: Sequence[str | Path],
    leave_out: Collection[Path] = (),
    on_nothing: Callable[[HqmdError], object] | None = None,
    is_result: Callable[[Path], bool] = lambda place: False,
    left_out: LeftOut | None = None,
    with_videos: bool = False,
) -> list[Source]:
    """Find the photos that arguments name, in order, each once.

    A file       counts whatever its suffix, even if it cannot be read, which fails later. Its place is its name.
    A folder     gives every file with a photo's suffix, in it and in all folders below, sorted, at its place in the
                 tree; videos, too, `with_videos`. Includes broken links and unreadable files, which fail when they are
                 read. Excludes hidden files and folders, and linked folders.
    A pattern    that the shell did not expand (*, ?, [], and ** for folders of any depth) gives its matches as if each
                 were named, at their place below the fixed part of the pattern. Hidden files match only if the pattern
                 has the dot. A file or folder of that very name wins over the pattern.
    http(s)://   is a photo on the web. Its place is the last part of the address.
    -            is stdin. Name a file called "-" as the text "./-"; a Path loses the dot.

    A photo that is named or found twice counts once; links to one photo count separately. Files in `leave_out` (results
    of an earlier run) below a folder or a pattern don't count, nor do those for whose `real_place` `is_result` is true.
    If an argument gives no photo, or a folder cannot be listed, `on_nothing` gets an HqmdError that names it. The error
    is raised if there is no `on_nothing`, or no photo at all. `left_out` gets whatever a folder or pattern holds
    besides.
    """
    left_out = LeftOut() if left_out is None else left_out
    search = Search(leave_out, is_result, with_videos, left_out)
    real = cache(real_path)  # only for folders, which are few
    found: dict[Path | str, Source] = {}
    faults = []
    for argument in arguments:
        try:
            for source in sources_of(argument, search):
                same = real(source.path.parent) / source.path.name if source.path else source.url or STDIN
                if same in found:
                    search.left_out.add("named twice")
                found.setdefault(same, source)
        except HqmdError as error:
            faults.append(error)
    if faults and (on_nothing is None or not found):
        raise faults[0]
    for fault in faults:
        on_nothing(fault)  # type: ignore[misc]
    return list(found.values())


class Search(NamedTuple):  # as files/kinds.py
    """What counts as a source below a folder or a pattern."""

    leave_out: Collection[Path]  # files and folders of results
    is_result: Callable[[Path], bool]  # of a file's real_place: True for a single result
    with_videos: bool
    left_out: LeftOut

    def sources_among(self, files: Iterable[Path], top: Path) -> list[Source]:
        """Keep the files that can be read, at their place below `top`, and count the others."""
        kept = []
        for file in files:
            form = kinds.kind_in_folder(file)
            if form and form.readable and (form.medium == kinds.PHOTO or self.with_videos):
                kept.append(Source(file, file.relative_to(top), is_video=form.medium == kinds.VIDEO))
            else:
                self.left_out.add_file(file, form)
        return kept


def sources_of(argument: str | Path, search: Search) -> Iterator[Source]:
    """Find the photos that one argument names."""
    text = os.fspath(argument)
    if text == STDIN:
        yield Source(None, Path("stdin"), is_named=True)
    elif is_web_address(text):
        yield Source(None, Path(name_of(text)), is_named=True, url=text)
    elif os.path.isdir(text):
        yield from sources_below(Path(text), search)
    elif os.path.lexists(text):
        path = Path(text)
        yield Source(path, Path(path.name), True, is_pipe(path), kinds.is_video(path))
    elif PATTERN_CHARACTERS & set(text):
        yield from sources_like(text, search)
    else:
        raise HqmdError(f"{printable(text) or repr(text)}: no such file or folder")


def sources_below(folder: Path, search: Search) -> list[Source]:
    """Find the photos below a folder. Raises HqmdError if there are none."""
    before = search.left_out.counts.copy()
    sources = search.sources_among(files_below(folder, search), folder)
    if not sources:
        holds = search.left_out.since(before, "; it holds ")
        raise HqmdError(f"{printable(str(folder))}: no photos in this folder ({kinds.READABLE}){holds}")
    return sources


def files_below(folder: Path, search: Search) -> list[Path]:
    """List all files below a folder that are neither hidden nor results, sorted; count the others."""

    def fail(error: OSError) -> None:  # os.walk ignores errors by default
        place = printable(str(error.filename))
        raise HqmdError(f"{place}: cannot be listed: {error.strerror}; make it readable, or move it away") from error

    elsewhere = set(earlier_results(folder, search.leave_out))
    files = []
    for here, folders, names in os.walk(folder, onerror=fail):
        real = real_path(Path(here))
        hidden = [name for name in folders if name.startswith(".")]
        linked = [name for name in folders if name not in hidden and os.path.islink(os.path.join(here, name))]
        search.left_out.add("hidden folders", len(hidden))
        search.left_out.add("linked folders", len(linked))
        results = [name for name in folders if real / name in elsewhere]
        search.left_out.add("folders of results", len(results))
        folders[:] = [name for name in folders if name not in hidden and name not in results]
        for name in names:
            if name.startswith("."):
                search.left_out.add("hidden")
            elif real / name in elsewhere or search.is_result(real / name):
                search.left_out.add("results of an earlier run")
            else:
                files.append(Path(here, name))
    return sorted(files)


def earlier_results(top: Path, leave_out: Collection[Path]) -> list[Path]:
    """Return the real paths of `leave_out` below `top`; never `top` itself, which the user named."""
    real_top = real_path(top)
    return [path for path in map(real_path, leave_out) if path != real_top and path.is_relative_to(real_top)]


def real_path(path: Path) -> Path:
    """Resolve links; Path.resolve would raise RuntimeError for a link to itself."""
    return Path(os.path.realpath(path))


def real_place(path: Path) -> Path:
    """Resolve the links in a file's folder, but not the file, which counts by its own name."""
    return real_path(path.parent) / path.name


def sources_like(pattern: str, search: Search) -> list[Source]:
    """Find the photos that match a pattern. Raises HqmdError if there are none."""
    top, below = split_pattern(pattern)
    try:
        matches = sorted(top.glob(str(below)))
    except ValueError as error:
        raise HqmdError(f"{printable(pattern)}: {error}") from error
    elsewhere = earlier_results(top, search.leave_out)
    before = search.left_out.counts.copy()
    sources = []
    for match in matches:
        place = match.relative_to(top)
        real = real_place(match)
        if is_hidden(place) and not is_hidden(below):
            search.left_out.add("hidden")
        elif search.is_result(real) or any(real.is_relative_to(path) for path in elsewhere):
            search.left_out.add("results of an earlier run")
        elif os.path.isdir(match):
            sources += search.sources_among(files_below(match, search), top)
        elif below.name != "**":  # ** means folders; from Python 3.13 on it matches files, too
            sources.append(Source(match, place, is_video=kinds.is_video(match)))
    if not sources:
        others = search.left_out.since(before, "; it matches ")
        raise HqmdError(f"{printable(pattern)}: no {'photo' if others else 'file'} matches this pattern{others}")
    return sources


def split_pattern(pattern: str) -> tuple[Path, Path]:
    """ "photos/2024/*/a?.jpg" -> the folder photos/2024 and the pattern */a?.jpg below it.

    An existing folder called "[2024]" belongs to the first part.
    """
    parts = Path(pattern).parts
    for known in range(len(parts)):
        if PATTERN_CHARACTERS & set(parts[known]) and not os.path.lexists(Path(*parts[: known + 1])):
            return Path(*parts[:known]), Path(*parts[known:])
    raise AssertionError(f"{pattern!r} exists as it is")


def is_hidden(place: Path) -> bool:
    """True if a part of a relative path begins with a dot."""
    return any(part.startswith(".") and part != ".." for part in place.parts)
