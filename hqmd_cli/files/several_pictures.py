"""Which of several pictures in a file is read: pages of a TIFF, frames of an animation, sizes of an icon."""

from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from hqmd_cli.files.open_picture import checked, first_bytes, open_picture

GONE_THROUGH = frozenset({"GIF", "TIFF"})  # formats that do not say how many pictures follow
ONE_PICTURE = frozenset({"JPEG", "BMP", "PSD"})  # a Photoshop file's frames are layers, and it is opened as all of them
ICONS = frozenset({"ICO", "ICNS"})  # of which Pillow opens the size that it is asked for
CURSOR_COUNT = slice(4, 6)  # bytes of a .cur, of which Pillow opens the largest picture only
USED = "is used"  # what a remark on a choice ends with


def choose(picture: Image.Image, file: Path | BytesIO, number: int | None = None) -> str:
    """Turn an opened picture, before it is decoded, to picture `number` of its file; return what to say about it.

    Without a number it stays as it is: the first, the primary one of a HEIC file, or an icon's largest. Numbers begin
    at 1; an icon's go from the largest size down. Raises ValueError for a number that the file does not have.
    """
    if number is None:
        return said_of_default(picture, file)
    sizes = icon_sizes(picture)
    count = len(sizes) if sizes else count_pictures(picture, file)
    if count is not None and not 1 <= number <= count:
        holds = "one picture" if count == 1 else f"{count} pictures"
        raise ValueError(f"the file holds {holds}, and no picture {number}")
    if sizes:
        turn_icon(picture, sizes[number - 1])
    elif number - 1 != picture.tell():
        picture.seek(number - 1)
    checked(picture)
    return f"picture {number} of {count or 'several'} in the file" if count != 1 else ""


def said_of_default(picture: Image.Image, file: Path | BytesIO) -> str:
    """Say which picture of several is used without a number; empty if there is one."""
    if picture.format == "CUR":
        cursors = int.from_bytes(first_bytes(file)[CURSOR_COUNT], "little")
        return f"{cursors} pictures in the file; the largest is used, as no other can be read" if cursors > 1 else ""
    if sizes := icon_sizes(picture):
        return f"{len(sizes)} pictures in the file; the largest {USED}" if len(sizes) > 1 else ""
    count = count_pictures(picture, file)
    if count is None:
        return f"more pictures follow in the file, which cannot be read; the first {USED}"
    place = picture.tell() + 1 if count > 1 else 1
    which = "the first" if place == 1 else f"the primary one, number {place},"
    return f"{count} pictures in the file; {which} {USED}" if count - large_thumbnails(picture) > 1 else ""


def with_remedy(remark: str, how: str) -> str:
    """Add to a remark how another picture of the file is taken, if it is about that."""
    return f"{remark}; {how} takes another" if remark.endswith(USED) else remark


def count_pictures(picture: Image.Image, file: Path | BytesIO) -> int | None:
    """Count the pictures of a file that is no icon; None if some cannot be read.

    Formats that have to be gone through are opened once more: damage behind a picture is no reason to lose that one.
    """
    if picture.format in ONE_PICTURE:
        return 1
    try:
        if picture.format not in GONE_THROUGH:
            return int(getattr(picture, "n_frames", 1))
        with open_picture(file if isinstance(file, Path) else BytesIO(file.getvalue())) as another:
            return int(getattr(another, "n_frames", 1))
    except Exception:  # Pillow raises all sorts
        return None


def icon_sizes(picture: Image.Image) -> list[tuple[int, int]]:
    """Return the sizes (width, height) that an icon holds, the largest first; none for other files."""
    if picture.format not in ICONS:
        return []
    sizes = {in_pixels(entry) for entry in picture.info["sizes"]}
    return sorted(sizes, key=lambda size: (size[0] * size[1], size), reverse=True)


def in_pixels(entry: tuple[int, ...]) -> tuple[int, int]:
    """Return width and height of an icon's entry; an ICNS file's has a scale as well."""
    width, height, scale = (*entry, 1)[:3]
    return width * scale, height * scale


def turn_icon(picture: Any, size: tuple[int, int]) -> None:
    """Let an opened icon decode another one of its sizes."""
    if picture.format == "ICNS":
        picture.best_size = next(entry for entry in picture.info["sizes"] if in_pixels(entry) == size)
    picture.size = size


def large_thumbnails(picture: Image.Image) -> int:
    """Count the previews of the photo itself among the pictures of an MPO, as cameras append them."""
    entries = (getattr(picture, "mpinfo", None) or {}).get(0xB002, ())
    kinds = [str(entry.get("Attribute", {}).get("MPType", "")) for entry in entries]
    return sum("Large Thumbnail" in kind for kind in kinds)
