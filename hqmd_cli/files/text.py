"""Text files of other programs, such as lists of photos, in whatever Unicode encoding they were saved."""

import codecs
import re
from pathlib import Path

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.limits import LARGEST_TEXT_BYTES, read_bounded
from hqmd_cli.files.regular import open_regular

# Longest first: the mark of UTF-32 begins with that of UTF-16. The decoders remove it.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
LINE_ENDS = re.compile("\r\n|\r|\n")  # not str.splitlines, which also splits at letters that file names may have


def read_lines(path: Path, what: str) -> list[str]:
    """Read the lines of a text file, without their ends; `what` it is, such as "list of names", for errors.

    Bytes that are not UTF-8 become lone surrogates, which lead to files whose names have these bytes. Raises HqmdError
    if it cannot be read, is no text, or is too large.
    """
    try:
        with open_regular(path) as file:
            text = decoded(read_bounded(file, LARGEST_TEXT_BYTES))
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable {what}: {first_line(error)}; save it as text in UTF-8") from error
    lines = LINE_ENDS.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def decoded(content: bytes) -> str:
    """Decode text by its byte order mark, or else as UTF-8. Raises ValueError if it is not text."""
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    if content[1::2][:500].count(0) > len(content[:1000]) / 4:  # Latin letters in two bytes each
        return content.decode("utf-16-le")
    if content[::2][:500].count(0) > len(content[:1000]) / 4:
        return content.decode("utf-16-be")
    if b"\0" in content:
        raise ValueError("it is not text")
    return content.decode("utf-8", "surrogateescape")
