"""A reader who follows a job through the code makes few trips between files; benchmarks/trips.py counts them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "trips.py"
MOST = {"photo": 30, "picture": 30, "detail": 51, "validation": 130}  # switches between files


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_jobs_switch_seldom_between_files() -> None:
    run = subprocess.run([sys.executable, SCRIPT, *MOST], capture_output=True, text=True, timeout=900, check=True)
    found = {job: int(switches) for job, switches in re.findall(r"^(\w+) .* (\d+) switches", run.stdout, re.MULTILINE)}
    assert found.keys() == MOST.keys()
    assert not {job: switches for job, switches in found.items() if switches > MOST[job]}, run.stdout
