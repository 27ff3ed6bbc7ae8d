"""A reader who follows a job through the code makes few trips between files; benchmarks/trips.py counts them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "trips.py"
MOST = {"photo": 30, "picture": 30, "detail": 51, "validation": 130}  # switches between files


IN_CI = ("photo",)  # the others take a minute, as each call of a Python function is traced


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("job", [pytest.param(job, marks=() if job in IN_CI else pytest.mark.long) for job in MOST])
def test_jobs_switch_seldom_between_files(job: str) -> None:
    run = subprocess.run([sys.executable, SCRIPT, job], capture_output=True, text=True, timeout=900, check=True)
    ((found, switches),) = re.findall(r"^(\w+) .* (\d+) switches", run.stdout, re.MULTILINE)
    assert found == job and int(switches) <= MOST[job], run.stdout
