"""Tars, Parquet files and parts on a local disk: complete, each once, and to the byte what a folder gives."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from docs_pages import PAGES
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.locks import claim
from hqmd_cli.prediction.sources import LeftOut
from hqmd_cli.scale.shards import Keys, Part, expanded, find_shards
from shards import MODEL, QUICK, jpeg, read_tar, write_tar

# Slurm sets the number of tasks that were submitted now, not of the first time.
SBATCH = """#!{python}
import os, subprocess, sys
first, _, last = sys.argv[1].removeprefix("--array=").partition("-")
tasks = range(int(first), int(last or first) + 1)
for task in tasks:
    if str(task) != os.environ["KILLED"]:
        more = {{"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(len(tasks))}}
        subprocess.run(["sh", "-c", sys.argv[-1]], env=os.environ | more, check=True)
"""
LONG = "ü" * 60 + "/" + "写真" * 30


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a quick model and three tars of two photos, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quick", raising=False)
    Path("quick.py").write_text(MODEL)
    for number in range(3):
        write_tar(
            Path(f"in/{number:03}.tar"),
            [(f"{number}/{name}.jpg", jpeg(10 * number + i)) for i, name in enumerate("ab")],
        )
    return tmp_path


@pytest.fixture
def predict(hqmd):
    """`predict(source, ..., "-o", out)` by the quick model."""
    return lambda *arguments: hqmd("predict", *arguments, *QUICK)


def rows(output, name="manifest"):
    return parquet.read_table(Path(output, f"{name}.parquet")).to_pylist()


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path(folder).rglob("*.tar"))}


def test_a_tar_gives_what_a_folder_gives(here, predict):
    photos = {"v1.2/a.jpg": 1, "1.1.jpg": 2, "k.left.jpg": 3, "k.right.jpg": 4, "j.jpg": 5, f"{LONG}.jpg": 6}
    members = [(f"./{name}", jpeg(seed)) for name, seed in photos.items()]
    for name, content in members:
        Path("photos", name).parent.mkdir(parents=True, exist_ok=True)
        Path("photos", name).write_bytes(content)
    twin = [("j.png", jpeg(7, form="PNG"))]
    others = [("._a.jpg", b"hidden"), ("a.json", b"{}")]
    write_tar(Path("in.tar"), [*members, *twin, *others])
    with tarfile.open("in.tar", "a") as archive:
        for name, kind in (("folder.jpg", tarfile.DIRTYPE), ("link.jpg", tarfile.SYMTYPE)):
            head = tarfile.TarInfo(name)
            head.type, head.linkname = kind, "v1.2/a.jpg"
            archive.addfile(head)
    assert predict("photos", "-o", "loose").returncode == 0
    done = predict("in.tar", "-o", "packed")
    assert done.returncode == 0, done.stderr
    assert "1 shards: 7 written, 0 failed" in done.stderr
    for said in ("2 folders, links and devices in tars", "1 hidden in tars", "1 .json in tars"):
        assert said in done.stderr
    made = read_tar(Path("packed/in.tar"))
    assert len(made) == 7 * 3
    for name in photos:
        for suffix in (".mm.png", ".npy"):
            stem = name.removesuffix(".jpg")
            assert made[f"{stem}.depth{suffix}"] == Path(f"loose/{stem}{suffix}").read_bytes()
    record = json.loads(made["j.png.json"])
    assert record["photo"] == "j.png" and record["outputs_sha256"]["j.png.depth.npy"]
    assert [row["photo"] for row in rows("packed")] == [*(name.removeprefix("./") for name in photos), "j.png"]


def test_equal_bytes_whoever_makes_them_and_a_part_for_each_position(here, predict, hqmd):
    assert predict("in/{000..002}.tar", "-o", "whole").returncode == 0
    first = predict("in/*.tar", "-o", "parts", "--shard", "0/2")
    assert first.stdout.split() == [str(Path("parts/000.tar")), str(Path("parts/002.tar"))]
    half = hqmd("merge-manifests", "parts")
    assert half.returncode == 1 and "of 2 parts 1 have not run" in half.stderr
    for other in ("1/3", None):
        refused = predict("in/*.tar", "-o", "parts", *(["--shard", other] if other else []))
        assert refused.returncode == 1 and "was begun in 2 parts" in refused.stderr
    again = predict("in/*.tar", "-o", "parts", "--shard", "0/2")
    assert again.returncode == 1 and "--skip-existing" in again.stderr
    assert predict("in", "-o", "parts", "--shard", "1/2").returncode == 0
    merged = hqmd("merge-manifests", "parts")
    assert merged.returncode == 0 and "6 photos done, 0 failed" in merged.stderr
    assert hashes("whole") == hashes("parts") and len(hashes("whole")) == 3
    assert Path("whole/manifest.parquet").read_bytes() == Path("parts/manifest.parquet").read_bytes()
    plan = json.loads(Path("parts/manifests/part-00001-of-00002.json").read_text())
    Path("parts/manifests/part-00001-of-00002.json").write_text(json.dumps(plan | {"shards": ["000.tar", "001.tar"]}))
    Path("parts/manifests/002.tar.parquet").unlink()
    merged = hqmd("merge-manifests", "parts")
    assert merged.returncode == 1 and "shards not done: 002.tar" in merged.stderr
    assert "there twice: 000.tar" in merged.stderr and len(rows("parts")) == 4
    with tarfile.open("whole/000.tar") as archive:
        assert {(head.mtime, head.uid, head.gid, head.uname, head.gname) for head in archive} == {(0, 0, 0, "", "")}


@pytest.mark.parametrize("cut", ["in a member", "before the end block"])
def test_a_tar_that_ends_early_is_an_error_row(here, predict, cut):
    whole = Path("in/001.tar").read_bytes()
    with tarfile.open("in/001.tar") as archive:
        last = archive.getmembers()[-1]
    end = last.offset_data + (100 if cut == "in a member" else -(-last.size // 512) * 512)
    Path("in/001.tar").write_bytes(whole[:end])
    write_tar(Path("in/002.tar"), [("good.jpg", jpeg(1)), ("bad.jpg", jpeg(2)[:200]), ("../out.jpg", jpeg(3))])
    done = predict("in/*.tar", "-o", "out")
    assert done.returncode == 1
    assert "001.tar: cut off or damaged" in done.stderr and "bad.jpg: " in done.stderr
    wrong = rows("out", "errors")
    assert [row["photo"] for row in wrong] == ["001.tar", "bad.jpg", "../out.jpg"]
    assert len(rows("out")) == 2 + (1 if cut == "in a member" else 2) + 1
    later = predict("in/*.tar", "-o", "out", "--skip-existing")
    assert later.returncode == 1 and "3 of these failed in an earlier run" in later.stderr


def test_goes_on_with_what_is_missing_or_changed(here, predict, hqmd):
    arguments = ("in/*.tar", "-o", "out", "--skip-existing")
    predict(*arguments)
    before = hashes("out")
    Path("out/manifests/000.tar.parquet").unlink()  # as after a kill between a tar and its manifest
    Path("out/002.tar").write_bytes(b"cut off")
    planned = json.loads(Path("out/manifests/part-00000-of-00001.json").read_text())
    left = Path(f"out/.hqmd-{planned['run']}-01234567.part")
    left.write_bytes(b"unfinished")
    assert predict(*arguments).stdout.split() == [str(Path("out/000.tar")), str(Path("out/002.tar"))]
    assert hashes("out") == before and not left.exists()
    write_tar(Path("in/001.tar"), [("new.jpg", jpeg(99))])
    assert predict(*arguments).stdout.split() == [str(Path("out/001.tar"))]
    assert len(rows("out")) == 5
    assert "2 left as they are" in predict("in/000.tar", "-o", "out", "--skip-existing").stderr  # fewer sources
    assert len(rows("out")) == 5
    assert "1 written, 0 failed, 2 shards not begun" in predict("in/*.tar", "-o", "few", "--limit", "1").stderr
    assert predict("in/*.tar", "-o", "few", "--skip-existing").stdout.count(".tar") == 3
    assert hqmd("predict", "in/*.tar", "-o", "out", "--skip-existing", *QUICK[:-1], "mm").stdout.count(".tar") == 3


def test_loose_photos_by_a_hash_of_their_name(here, predict, hqmd):
    for number in range(12):
        Path(f"photos/{number % 2}").mkdir(parents=True, exist_ok=True)
        Path(f"photos/{number % 2}/{number}.jpg").write_bytes(jpeg(number))
    predict("photos", "-o", "whole")

    def mine(part):
        return {entry.name for shard in find_shards(["photos"], "out", part, LeftOut()) for entry in shard.entries}

    parts = [mine(Part(index, 3)) for index in range(3)]
    assert sum(map(len, parts)) == 12 == len(set.union(*parts))
    Path("photos/0/100.jpg").write_bytes(jpeg(100))
    assert [mine(Part(index, 3)) - {"0/100.jpg"} for index in range(3)] == parts
    Path("photos/0/100.jpg").unlink()
    for index in range(3):
        assert predict("photos", "-o", "out", "--shard", f"{index}/3").returncode == 0
    assert hqmd("merge-manifests", "out").returncode == 0
    loose = {
        path.relative_to("whole"): path.read_bytes() for path in Path("whole").rglob("*.*") if path.suffix != ".jsonl"
    }
    assert loose == {path: Path("out", path).read_bytes() for path in loose}
    assert len(rows("out")) == 12
    changed = min(parts[0])
    Path("photos", changed).write_bytes(jpeg(200))
    Path("out", min(parts[0] - {changed})).with_suffix(".npy").unlink()
    gone = max(parts[0])
    Path("photos", gone).unlink()
    again = predict("photos", "-o", "out", "--shard", "0/3", "--skip-existing")
    assert f"2 written, 0 failed, {len(parts[0]) - 3} left as they are" in again.stderr
    assert hqmd("merge-manifests", "out").returncode == 0 and len(rows("out")) == 12


def test_parquet_of_bytes(here, predict):
    images = [{"bytes": jpeg(1), "path": "x/a.jpg"}, {"bytes": None, "path": "b.jpg"}, {"bytes": jpeg(2), "path": None}]
    parquet.write_table(pyarrow.table({"image": images, "label": [1, 2, 3]}), "data.parquet")
    done = predict("data.parquet", "-o", "out")
    assert done.returncode == 1 and "data.parquet: b.jpg: a row without bytes" in done.stderr
    names = read_tar(Path("out/data.tar"))
    assert [name for name in names if name.endswith(".json")] == ["x/a.json", "00000002.json"]
    Path("cut.parquet").write_bytes(Path("data.parquet").read_bytes()[:-50])
    assert "hqmd: cut.parquet: cut off or damaged" in predict("cut.parquet", "-o", "cut").stderr


def test_dry_run_counts_and_writes_nothing(here, predict):
    done = predict("in/*.tar", "-o", "out", "--dry-run")
    size = sum(path.stat().st_size for path in Path("in").iterdir())
    assert done.returncode == 0 and not Path("out").exists()
    assert f"{size:,} bytes to read" in done.stderr and "6 photos took" in done.stderr
    photos = int(done.stderr.split("about ")[1].split(" photos")[0])
    assert photos == 6


@pytest.mark.unix
@pytest.mark.slow
def test_the_slurm_lines_of_the_docs_with_one_task_submitted_again(here, tmp_path, run_hqmd, monkeypatch):
    """A stub of sbatch runs each task as Slurm would; the first time, task 1 is killed before it begins."""
    lines = [line for line in PAGES["scale"].splitlines() if line.startswith("sbatch ")]
    assert len(lines) == 2 and all("/10 " in line and "--array=" in line for line in lines)
    Path("in").rename("tars")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    flags = " ".join(QUICK[:4])
    (bin_folder / "hqmd").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hqmd_cli "$@" {flags}\n')
    (bin_folder / "sbatch").write_text(SBATCH.format(python=sys.executable))
    for tool in bin_folder.iterdir():
        tool.chmod(0o755)
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "KILLED": "1", "OMP_NUM_THREADS": "1"}
    three = [line.replace("0-9", "0-2").replace("/10 ", "/3 ").replace("array=3", "array=1") for line in lines]
    first = subprocess.run(three[0], shell=True, env=environment, capture_output=True, text=True, check=False)
    assert [path.name for path in sorted(Path("depths").glob("*.tar"))] == ["000.tar", "002.tar"], first.stderr
    assert "of 3 parts 1 have not run" in run_hqmd("merge-manifests", "depths").stderr
    subprocess.run(three[1], shell=True, env=environment | {"KILLED": ""}, check=True, capture_output=True)
    merged = run_hqmd("merge-manifests", "depths")
    assert merged.returncode == 0 and "6 photos done, 0 failed" in merged.stderr


def test_refusals_before_anything_is_written(here, predict):
    shutil.copytree("in", "in/more")
    Path("busy").mkdir()
    Path("busy/000.tar").write_bytes(b"mine")
    for arguments, said in (
        (("in/000.tar", "in/more/000.tar", "-o", "out"), "two sources would both be written"),
        (("in/*.tar", "-o", "in"), "lies in the output"),
        (("in/*.tar", "-o", "busy"), "no record says that this run made it"),
        (("in/*.tar", "-o", "out", "--shard", "2/2"), "--shard 2/2"),
        (("in/*.tar", "-o", "out", "--smooth"), "--smooth"),
        (("in/*.tar", "-o", "out.mm.png"), "take one -o"),
        (("s3://AKIA:sEcReT@host/in.tar", "-o", "out"), "must hold no secrets"),
        (("az://box/in.tar?sv=1&sig=sEcReT", "-o", "out"), "must hold no secrets"),
        (("ftp://box/in.tar", "-o", "out"), "no such scheme"),
        (("in", "-o", "s3://"), "s3://: names no bucket; write s3://BUCKET/FOLDER"),
    ):
        done = predict(*arguments)
        assert done.returncode == 1 and said in done.stderr and "sEcReT" not in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert not Path("out").exists() and Path("busy/000.tar").read_bytes() == b"mine"
    with claim(Path("held/manifests/part-00000-of-00001.json")):
        assert "in use by process" in predict("in/*.tar", "-o", "held").stderr


def test_a_signed_address_leaves_no_secret_behind(here, predict):
    signed = "http://127.0.0.1:9/a.jpg?X-Amz-Signature=sEcReT&X-Amz-Credential=AKIAsEcReT"
    done = predict("in/000.tar", signed, "-o", "out")
    assert done.returncode == 1 and "2 written, 1 failed" in done.stderr and "sEcReT" not in done.stderr
    (wrong,) = rows("out", "errors")
    assert wrong["key"] == "a" and "X-Amz-Signature=***" in wrong["error"]
    assert not [path for path in Path("out").rglob("*") if path.is_file() and b"sEcReT" in path.read_bytes()]


@pytest.mark.unix
@pytest.mark.slow
@pytest.mark.parametrize("end", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
def test_goes_on_after_it_was_ended_and_does_each_photo_once(here, predict, end):
    pause = "    import os, time; time.sleep(0.05 * os.path.exists('slow'))\n"
    Path("quick.py").write_text(MODEL.replace("    h, w", f"{pause}    h, w", 1))
    Path("slow").touch()
    for number in range(4):
        write_tar(Path(f"in/{number:03}.tar"), [(f"{name}.jpg", jpeg(100 * number + name)) for name in range(30)])
    Path("photos").mkdir()
    for number in range(30):
        Path(f"photos/{number}.jpg").write_bytes(jpeg(1000 + number))
    arguments = ("in/*.tar", "photos", "-o", "out", *QUICK)
    command = [sys.executable, "-m", "hqmd_cli", "predict", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while not Path("out/manifests/001.tar.parquet").exists():
            assert run.poll() is None
            time.sleep(0.02)
        run.send_signal(end)
        said = run.communicate()[1]
    assert run.returncode == (143 if end == signal.SIGTERM else -end), said
    assert ("--skip-existing goes on from here" in said) is (end == signal.SIGTERM)
    Path("slow").unlink()
    whole = {path.name for path in Path("out").glob("*.tar")}
    assert {"000.tar", "001.tar"} <= whole < {f"{number:03}.tar" for number in range(4)}
    done = predict(*arguments[: -len(QUICK)], "--skip-existing")
    assert done.returncode == 0, done.stderr
    assert predict("in/*.tar", "photos", "-o", "straight").returncode == 0
    assert hashes("out") == hashes("straight") and len(rows("out")) == 150
    assert len({row["photo_sha256"] for row in rows("out")}) == 150
    assert not list(Path("out").rglob(".hqmd-*"))


def test_braces_and_keys():
    assert expanded("a/{08..10}.{x,y}") == [f"a/{number}.{end}" for number in ("08", "09", "10") for end in "xy"]
    assert expanded("a/{b}") == ["a/{b}"]
    keys = Keys()
    given = ("k.jpg", "k.png", "k.jpg", "1.1.jpg", "v1.2/a", "k.jpg.png")
    assert [keys.of(name) for name in given] == ["k", "k.png", "k.jpg", "1.1", "v1.2/a", "k.jpg.png"]
    with pytest.raises(HqmdError, match="I/N"):
        Part.parse("1")
