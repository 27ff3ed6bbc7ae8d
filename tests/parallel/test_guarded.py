"""A function in a process of its own: what ends it twice is an error, and everything else goes on."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel.guarded import Guarded

pytestmark = pytest.mark.unix

MODULE = """
import os, signal, sys
from pathlib import Path
from hqmd_cli.errors import HqmdError

def make(folder):
    print("made", os.getpid())  # stdout is not for prints
    (folder / f"{os.getpid()}.pid").touch()
    def do(item):
        if item == "deadly" or item == "once" and not (folder / "once").exists():
            (folder / item).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "bad":
            raise HqmdError("a bad photo")
        return item * 2
    return do

def refusing():
    raise HqmdError("no such model")
"""


def test_what_ends_its_process_twice_is_an_error_and_the_rest_goes_on(tmp_path, monkeypatch):
    (tmp_path / "deadly_work.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    from deadly_work import make, refusing

    guarded = Guarded(partial(make, tmp_path))
    assert guarded("a") == "aa" and guarded("b" * 10**6) == "b" * 2 * 10**6  # more than a pipe holds
    assert len(list(tmp_path.glob("*.pid"))) == 1
    with pytest.raises(HqmdError, match=r"2 times \(SIGKILL, as when the memory runs out\)"):
        guarded("deadly")
    assert guarded("once") == "onceonce" and len(list(tmp_path.glob("*.pid"))) == 4
    with pytest.raises(HqmdError, match="a bad photo"):
        guarded("bad")
    last = guarded.process
    guarded.close()
    assert last and last.returncode == 0
    with pytest.raises(HqmdError, match="no such model"):
        Guarded(refusing)("a")


@pytest.mark.slow
def test_no_process_outlives_one_that_is_killed(tmp_path):
    (tmp_path / "deadly_work.py").write_text(MODULE)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from functools import partial; from deadly_work import make\n"
        "from hqmd_cli.parallel.guarded import Guarded\n"
        "guarded = Guarded(partial(make, Path(sys.argv[1]))); guarded('a'); print(guarded.process.pid, flush=True)\n"
        "import time; time.sleep(60)"
    )
    import subprocess

    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
