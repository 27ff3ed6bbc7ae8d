"""The progress bar: on a terminal's stderr only, with a piped stdout untouched."""

import os
import subprocess
import sys

import pytest

from hqmd_cli.terminal.progress import progress_bar, with_progress

SCRIPT = """
from hqmd_cli.terminal.progress import progress_bar, with_progress
for name in with_progress(["a", "b"], "some [photos]", 2):
    print(name)
with progress_bar("frames") as update:
    update(3, 7, "loss 0.5")
"""


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture) -> None:
    assert list(with_progress(iter("abc"), "letters", 3)) == ["a", "b", "c"]
    with progress_bar("frames") as update:
        update(1, total=3, label="frames of a clip")
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_on_a_terminal_a_bar_counts_and_stdout_stays_in_its_pipe() -> None:
    ours, theirs = os.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=theirs, env=env, timeout=60)
    os.close(theirs)
    screen = os.read(ours, 100_000).decode()
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, b"a\nb\n")
    assert "some [photos]" in screen and "2/2" in screen and "loss 0.5" in screen and "3/7" in screen
