"""Sources: files, folders, patterns and stdin on the command line, as the photos to read."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.kinds import BY_NAME, HEIC_REMEDY, photo_suffixes
from hqmd_cli.files.kinds import is_video as is_video_file

STDIN = "-"
CAMERA = "camera:"
HEIC_SUFFIXES = frozenset(BY_NAME["HEIC"].suffixes)
PATTERN_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """One photo to read."""

    path: Path | None  # None: stdin
    place: Path  # of its results below an output folder, with the photo's suffix

    @cached_property
    def name(self) -> str:
        """The name for messages: printable, and on one line, whatever bytes the file's name holds."""
        return "stdin" if self.path is None else printable(str(self.path))


def is_video(path: str | Path) -> bool:
    """True for a video by its content, or else by its name."""
    return is_video_file(Path(path))


def has_video(sources: Sequence[str]) -> bool:
    """True if a source is a video or a camera."""
    return any(is_video(source) or source.startswith(CAMERA) for source in sources)


def refuse_for_video(photo_options: Mapping[str, object]) -> None:
    """Raise HqmdError naming the options that are given (not None), since they are for photos only."""
    if given := [flag for flag, value in photo_options.items() if value is not None]:
        raise HqmdError(f"{' and '.join(given)}: for photos only, not for video")


def find_video(sources: Sequence[str]) -> Path | int:
    """Return the path of the only video, or the number of the only camera. Raises HqmdError for several sources."""
    if len(sources) > 1:
        raise HqmdError(f"{sources[0]}: a video or a camera goes alone; run the other sources separately")
    (source,) = sources
    if not source.startswith(CAMERA):
        return Path(source)
    number = source.removeprefix(CAMERA)
    if not number.isdecimal():
        raise HqmdError(f"{source}: name a camera camera:0, camera:1 and so on")
    return int(number)


def find_sources(
    arguments: Sequence[str | Path],
    leave_out: Collection[Path] = (),
    on_nothing: Callable[[HqmdError], object] | None = None,
) -> list[Source]:
    """Find the photos that arguments name, in order, each once.

    A file       counts whatever its suffix, even if it cannot be read, which fails later. Its place is its name.
    A folder     gives every file with a photo's suffix, in it and in all folders below, sorted, at its place in the
                 tree. Includes broken links and unreadable files, which fail when they are read. Excludes videos,
                 hidden files and folders, and linked folders.
    A pattern    that the shell did not expand (*, ?, [], and ** for folders of any depth) gives its matches as if each
                 were named, at their place below the fixed part of the pattern. Hidden files match only if the pattern
                 has the dot. A file or folder of that very name wins over the pattern.
    -            is stdin. Name a file called "-" as the text "./-"; a Path loses the dot.

    A photo that is named or found twice counts once; links to one photo count separately. Files in `leave_out` (results
    of an earlier run) below a folder or a pattern don't count. If an argument gives no photo, or a folder cannot be
    listed, `on_nothing` gets an HqmdError that names it. The error is raised if there is no `on_nothing`, or no photo
    at all.
    """
    real = cache(Path.resolve)  # only for folders, which are few
    found: dict[Path | None, Source] = {}
    faults = []
    for argument in arguments:
        try:
            for source in sources_of(argument, leave_out):
                same = None if source.path is None else real(source.path.parent) / source.path.name
                found.setdefault(same, source)
        except HqmdError as error:
            faults.append(error)
    if faults and (on_nothing is None or not found):
        raise faults[0]
    for fault in faults:
        on_nothing(fault)  # type: ignore[misc]
    return list(found.values())


def sources_of(argument: str | Path, leave_out: Collection[Path]) -> Iterator[Source]:
    """Find the photos that one argument names."""
    text = os.fspath(argument)
    if text == STDIN:
        yield Source(None, Path("stdin"))
    elif os.path.isdir(text):
        yield from photos_below(Path(text), leave_out)
    elif os.path.lexists(text):
        yield Source(Path(text), Path(Path(text).name))
    elif PATTERN_CHARACTERS & set(text):
        yield from photos_like(text, leave_out)
    else:
        raise HqmdError(f"{printable(text) or repr(text)}: no such file or folder")


def photos_below(folder: Path, leave_out: Collection[Path]) -> list[Source]:
    """Find the photos below a folder. Raises HqmdError if there are none."""
    files = files_below(folder, leave_out)
    suffixes = photo_suffixes()
    photos = [file for file in files if file.suffix.lower() in suffixes]
    if not photos:
        heic = any(file.suffix.lower() in HEIC_SUFFIXES - suffixes for file in files)
        remedy = f"; for those in HEIC: {HEIC_REMEDY}" if heic else ""
        raise HqmdError(f"{printable(str(folder))}: no photos in this folder ({', '.join(sorted(suffixes))}){remedy}")
    return [Source(photo, photo.relative_to(folder)) for photo in photos]


def files_below(folder: Path, leave_out: Collection[Path]) -> list[Path]:
    """List all files below a folder that are not hidden, sorted."""

    def fail(error: OSError) -> None:  # os.walk ignores errors by default
        place = printable(str(error.filename))
        raise HqmdError(f"{place}: cannot be listed: {error.strerror}; make it readable, or move it away") from error

    elsewhere = set(earlier_results(folder, leave_out))
    files = []
    for here, folders, names in os.walk(folder, onerror=fail):
        real = Path(here).resolve()
        folders[:] = [name for name in folders if not name.startswith(".") and real / name not in elsewhere]
        files += [Path(here, name) for name in names if not name.startswith(".") and real / name not in elsewhere]
    return sorted(files)


def earlier_results(top: Path, leave_out: Collection[Path]) -> list[Path]:
    """Return the real paths of `leave_out` below `top`; never `top` itself, which the user named."""
    real_top = top.resolve()
    return [path for path in (p.resolve() for p in leave_out) if path != real_top and path.is_relative_to(real_top)]


def photos_like(pattern: str, leave_out: Collection[Path]) -> list[Source]:
    """Find the photos that match a pattern. Raises HqmdError if there are none."""
    top, below = split_pattern(pattern)
    try:
        matches = sorted(top.glob(str(below)))
    except ValueError as error:
        raise HqmdError(f"{printable(pattern)}: {error}") from error
    elsewhere = earlier_results(top, leave_out)
    sources = []
    for match in matches:
        place = match.relative_to(top)
        real = match.parent.resolve() / match.name
        if (is_hidden(place) and not is_hidden(below)) or any(real.is_relative_to(path) for path in elsewhere):
            continue
        if os.path.isdir(match):
            photos = (file for file in files_below(match, leave_out) if file.suffix.lower() in photo_suffixes())
            sources += [Source(photo, photo.relative_to(top)) for photo in photos]
        elif below.name != "**":  # ** means folders; from Python 3.13 on it matches files, too
            sources.append(Source(match, place))
    if not sources:
        raise HqmdError(f"{printable(pattern)}: no file matches this pattern")
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
