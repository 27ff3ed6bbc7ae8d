"""Runs in actors of Ray: the bytes of one machine, also when actors, nodes or the driver are lost on the way.

Needs Ray, which is no requirement of the tests: `pip install ray`, 80 MB and 240 MB unpacked. Each test starts
a cluster of its own on this machine.
"""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

import hqmd_cli
from shards import jpeg, write_tar

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.unix, pytest.mark.timeout(900)]

MODEL = """import os, signal, time
import numpy as np
def predict(rgb):
    if rgb.max() < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("PAUSE", 0)) * (10 if rgb.min() > 250 else 1))
    h, w = rgb.shape[:2]
    return np.linspace(1, 2, h * w, dtype=np.float32).reshape(h, w) + rgb.mean() / 255
"""
SIZES = """from functools import partial
from hqmd_cli.parallel import ray_actors
ray_actors.STORE_BYTES = 80 * 2**20  # the least that Ray takes is 75 MB
sizes = [3_000_000, 0, 10, 200_000] * 30
made = ray_actors.outcomes(partial(partial, bytes), sizes, ray_actors.Actors(number=2))
assert [len(each) for each in made] == sizes
print(len(sizes), "outcomes")
"""
QUICK = ("--model", "py:killer:predict", "--model-kind", "depth", "--format", "mm,npy")
RAY = ("--engine", "ray", "--actors", "2")


def plain(grey):
    """A photo of one grey, with noise of 2: black ones kill, white ones take ten times as long."""
    pixels = np.clip(np.random.default_rng(grey).integers(grey - 1, grey + 2, (30, 40, 3)), 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model and five tars of six photos, the first of them slow; it is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("killer.py").write_text(MODEL)
    for number in range(5):
        members = [(f"{number}/{i}.jpg", jpeg(10 * number + i)) for i in range(5)]
        last = (f"{number}/z.png", plain(254) if number == 0 else plain(100 + number))
        write_tar(Path(f"in/{number:05}.tar"), [*members, last])
    return tmp_path


def start(*arguments, program=("-m", "hqmd_cli"), **environment):
    paths = [str(Path(hqmd_cli.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process):
    out, said = process.communicate()
    return process.returncode, out.split(), said


def predict(*arguments, **environment):
    return finished(start("predict", *arguments, *QUICK, **environment))


def hashes(folder):
    """All that a run leaves but the list of its shards, which names the run."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def workers(name="answering"):
    """The processes that see photos, by what started them."""
    found = subprocess.run(["pgrep", "-f", "hqmd_cli.parallel.guarded"], capture_output=True, text=True).stdout.split()
    here = os.getcwd()
    return [int(pid) for pid in found if os.path.exists(f"/proc/{pid}/cwd") and os.readlink(f"/proc/{pid}/cwd") == here]


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return value


def test_bytes_of_one_machine_in_its_order_and_what_kills_is_a_row(here, monkeypatch):
    sizes = [("b.jpg", jpeg(3, (90, 200))), ("c.jpg", jpeg(4, (900, 1200)))]  # 1 MB
    members = [("a.jpg", jpeg(1)), ("black.png", plain(0)), ("cut.jpg", jpeg(2)[:300]), *sizes]
    write_tar(Path("deadly/x.tar"), members)
    Path(".env").write_text("SECRET=1")
    temporary = here / "t" / ("x" * 90)
    temporary.mkdir(parents=True)
    assert predict("in/*.tar", "-o", "local")[0] == 0
    arguments = ("predict", "in/*.tar", "deadly/x.tar", "-o", "ray", *QUICK, *RAY)
    others = set(Path("/tmp").glob("hqmd-*/session_2*"))
    run = start(*arguments, RAY_ADDRESS="10.1.2.3:6379", TMPDIR=str(temporary), PAUSE="0.2")
    until(workers)
    (session,) = set(Path("/tmp").glob("hqmd-*/session_2*")) - others
    assert not list(session.rglob("working_dir_files/*"))
    code, names, said = finished(run)
    assert code == 1 and "RAY_ADDRESS is not used" in said and "TMPDIR is too long" in said, said
    assert names == [f"ray/{number:05}.tar" for number in range(5)] + ["ray/x.tar"]  # the slow one first
    assert "x.tar: black.png: ended the process that worked on it, 2 times (SIGKILL" in said
    assert {row["photo"] for row in parquet.read_table("ray/errors.parquet").to_pylist()} == {"black.png", "cut.jpg"}
    assert "6 shards: 33 written, 2 failed" in said
    local, by_ray = hashes("local"), hashes("ray")
    assert all(by_ray[name] == local[name] for name in local if "/" in name or name[0] == "0")
    assert not [name for name in by_ray if ".part" in name]


def test_outcomes_of_any_size_arrive_in_order_and_more_of_them_than_the_store_holds(here):
    Path("sizes.py").write_text(SIZES)
    code, out, said = finished(start(program=("sizes.py",)))
    assert code == 0 and out == ["120", "outcomes"], said


def test_too_many_actors_are_refused_within_seconds(here):
    began = time.monotonic()
    code, _, said = predict("in/*.tar", "-o", "ray", "--engine", "ray", "--actors", "99")
    assert code == 1 and "fit, with --cpus-per-actor 1" in said and "give --actors " in said, said
    assert time.monotonic() - began < 10


def test_a_driver_that_is_killed_leaves_no_process_and_its_run_goes_on(here):
    assert predict("in/*.tar", "-o", "local")[0] == 0
    driver = start("predict", "in/*.tar", "-o", "ray", *QUICK, *RAY, PAUSE="1")
    until(lambda: list(Path("ray/manifests").glob("*.tar.parquet")) if Path("ray").exists() else [])
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    until(lambda: not workers())
    assert hashes("ray") != hashes("local")
    code, _, said = predict("in/*.tar", "-o", "ray", *RAY, "--skip-existing")
    assert code == 0 and " left as they are" in said, said
    assert hashes("ray") == hashes("local")


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes on this machine, with one CPU each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_a_lost_actor_and_a_lost_node_cost_time_but_no_photo(here, cluster):
    assert predict("in/*.tar", "-o", "local")[0] == 0
    driver = start("predict", "in/*.tar", "-o", "ray", *QUICK, *RAY, "--address", cluster.address, PAUSE="1")
    actor = parent(until(lambda: len(workers()) == 2 and workers())[0])
    os.kill(actor, signal.SIGKILL)
    until(lambda: list(Path("ray/manifests").glob("*.tar.parquet")))
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    code, _, said = finished(driver)
    assert code == 0 and "5 shards: 30 written, 0 failed" in said, said
    assert hashes("ray") == hashes("local")  # of temporary files, too: none is left


def test_figures_of_one_machine_to_the_last_digit_also_of_a_resumed_run(here, pairs):
    model = (
        "--model",
        "py:killer:predict",
        "--model-kind",
        "depth",
        "--data",
        str(pairs),
        "--split",
        "train",
        "--json",
    )
    code, _, said = finished(start("evaluate", *model, "--per-picture", "local.csv"))
    assert code == 0, said
    code, out, said = finished(start("evaluate", *model, *RAY, "--per-picture", "ray.csv", "--resume", "log.jsonl"))
    assert code == 0, said
    assert Path("ray.csv").read_bytes() == Path("local.csv").read_bytes()
    rows = Path("log.jsonl").read_text().splitlines()
    assert len(rows) == 1 + 4
    Path("log.jsonl").write_text("\n".join(rows[:3]) + "\n")
    code, again, said = finished(start("evaluate", *model, *RAY, "--resume", "log.jsonl"))
    assert code == 0 and "2 of 4 pictures are scored already" in said, said
    assert json.loads(" ".join(again)) == json.loads(" ".join(out))
    assert sorted(Path("log.jsonl").read_text().splitlines()) == sorted(rows)
