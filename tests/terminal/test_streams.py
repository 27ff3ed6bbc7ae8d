"""What reaches the terminal: escapes for what others wrote, and one line of ours for what libraries say."""

import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError, complain, first_line
from hqmd_cli.files.waiting import within
from hqmd_cli.reporting.table_formats import Table, for_screen
from hqmd_cli.terminal.streams import OneLine, PrintableStream, for_drawing

CODES = "\x1b]0;pwn\x07\x1b[2J\r\x9b1m"


def test_a_stream_escapes_codes_and_keeps_lines() -> None:
    raw = io.BytesIO()
    stream = PrintableStream(raw, "utf-8", "backslashreplace", line_buffering=True)
    print(f"a{CODES}", "tab\there", "räum", sep="\n", file=stream)
    assert raw.getvalue().decode() == "a\\x1b]0;pwn\\x07\\x1b[2J\\r\\x9b1m\ntab\there\nräum\n"
    print("\x1b[1mbar", file=for_drawing(stream))
    assert raw.getvalue().endswith(b"\x1b[1mbar\n")


def test_errors_and_tables_escape_codes(capsys: pytest.CaptureFixture[str]) -> None:
    complain(HqmdError(f"a{CODES}\nb"))
    OneLine().emit(logging.LogRecord("lib.part", logging.WARNING, "", 0, "first %s\nsecond", ("x\x1b",), None))
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\x9b" not in said and said.count("\n") == 2
    assert said.endswith("hqmd: lib: first x\\x1b\n")
    assert first_line(ValueError(f"{CODES}\nb")).isprintable()
    assert first_line(ValueError("a\u202egpj.b\u2066")) == "a\\u202egpj.b\\u2066"  # would be shown from right to left
    table = for_screen(Table([f"h{CODES}"], [[f"c{CODES}"]], f"one{CODES}\ntwo"))
    assert "\x1b" not in str(table.caption) + str(table.columns[0].header) + "".join(map(str, table.columns[0].cells))
    assert str(table.caption).count("\n") == 1


SCRIPT = r"""
import os, sys, warnings
from hqmd_cli.files.native_lines import native_lines
from hqmd_cli.terminal.streams import say_in_one_line, use_printable_streams
use_printable_streams(); say_in_one_line()
said = []
with native_lines(said):
    os.write(2, b"library: \x1b[2J bad\n\nsecond\n")
    print("ours meanwhile", file=sys.stderr)
os.write(2, b"not caught\n")
warnings.warn("two\nlines")
print(said)
"""


def test_lines_of_libraries_are_caught_and_ours_are_not() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "['library: \\\\x1b[2J bad', 'second']\n"
    assert run.stderr.splitlines() == ["ours meanwhile", "not caught", "hqmd: two"]


def test_a_limit_for_what_takes_for_ever() -> None:
    assert within(5, lambda: 3, "too long") == 3
    with pytest.raises(HqmdError, match="too long"):
        within(0.05, lambda: time.sleep(3), "too long")
    with pytest.raises(KeyError):
        within(5, lambda: {}[1], "too long")


AT_THE_END = """
import sys
from hqmd_cli import app
app.main = lambda: (print("said"), print("told", file=sys.stderr), open({path!r}, "w").close(), sys.exit(0))
app.run()
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_or_closed_stream_is_told_once_and_loses_nothing(tmp_path: Path) -> None:
    def run(redirection: str) -> tuple[int, str]:
        done = tmp_path / "done"
        done.unlink(missing_ok=True)
        script = AT_THE_END.format(path=str(done))
        shell = f'"$1" -c "$2" {redirection}'
        run = subprocess.run(["bash", "-c", shell, "bash", sys.executable, script], capture_output=True, text=True)
        assert done.exists()
        return run.returncode, run.stderr

    assert run("> /dev/full") == (1, "told\nhqmd: stdout: cannot be written: No space left on device\n")
    assert run("2> /dev/full") == (0, "") and run("2< /dev/null") == (0, "")
    assert run('| true; exit "${PIPESTATUS[0]}"') == (0, "told\n")
