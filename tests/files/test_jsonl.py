"""JSON Lines that were edited by hand, or cut off by a process that was killed."""

from pathlib import Path

import pytest

from hqmd_cli.files.jsonl import append_line, complete_lines

ROW, OTHER = '{"a": 1}', '{"b": 2}'


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (f"{ROW}\n{OTHER}\n", [ROW, OTHER]),
        (f"{ROW}\n{OTHER[:-3]}", [ROW]),  # cut off
        (f"{ROW}\n{OTHER}", [ROW, OTHER]),  # an editor took the last line's end
        (f"\ufeff{ROW}\n\n \n{OTHER}\n", [ROW, OTHER]),  # an editor's byte order mark, and empty lines
        (f"{ROW}\n\0\0\0", [ROW]),  # a block that never reached the disk
        ("", []),
    ],
)
def test_whole_lines_are_kept(tmp_path: Path, content: str, lines: list[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content.encode())
    assert complete_lines(path) == lines
    append_line(path, '{"c": 3}')
    assert complete_lines(path) == [*lines, '{"c": 3}']
