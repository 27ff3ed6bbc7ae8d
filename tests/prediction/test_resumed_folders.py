"""What a killed run leaves behind, and what the next one makes of it; several runs in one folder."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import hqmd_cli
from conftest import scene
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import RUN
from hqmd_cli.files.locks import claim
from hqmd_cli.prediction import intention
from hqmd_cli.prediction.intention import Intentions
from hqmd_cli.prediction.manifest import Manifest, read_record
from hqmd_cli.prediction.photo_job import PhotoWork
from hqmd_cli.prediction.sources import LeftOut
from hqmd_cli.scale.shards import Part, find_shards
from hqmd_cli.training.unlabelled import find_photos

MODEL = """import numpy as np
def predict(rgb):
    h, w = rgb.shape[:2]
    return np.linspace(1, 2, h * w, dtype=np.float32).reshape(h, w) + rgb.mean() / 255
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a quick model and four photos, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "quick", raising=False)
    (tmp_path / "quick.py").write_text(MODEL)
    (tmp_path / "in").mkdir()
    for number in range(4):
        pixels = np.full((30, 40, 3), 60 * number, np.uint8)
        pixels[:, :20] += 40
        Image.fromarray(pixels).save(tmp_path / "in" / f"p{number}.png")
    return tmp_path


@pytest.fixture
def predict(hqmd):
    """`predict(*arguments)`: `hqmd predict in -o out` with npy and mm, by the quick model."""
    formats = ("--format", "npy,mm", "--model", "py:quick:predict", "--model-kind", "depth")
    return lambda *more: hqmd("predict", "in", "-o", "out", *formats, *more)


def rows(folder="out"):
    return {row["place"]: row for row in map(json.loads, Path(folder, "manifest.jsonl").read_text().splitlines())}


def names(folder="out"):
    return sorted(path.name for path in Path(folder).iterdir())


def leave_intention(run, targets, settings=None):
    """What a run that was killed left: it began when nothing was there."""
    outputs = dict.fromkeys(targets)
    Path(f"out/.hqmd-run-{run}.json").write_text(json.dumps({"settings": settings or {}, "outputs": outputs}))


def test_what_a_killed_run_did_not_record_is_made_anew(here, predict):
    assert predict().returncode == 0
    before = {name: Path("out", name).read_bytes() for name in names()}
    lines = Path("out/manifest.jsonl").read_text().splitlines(keepends=True)
    Path("out/manifest.jsonl").write_text("".join(lines[:2]))
    Path("out/p3.npy").unlink()  # killed between two files of a photo
    refused = predict("--skip-existing")
    assert refused.returncode == 1 and "no record says" in refused.stderr  # for all we know, they are the user's
    leave_intention("0badf00d", [f"p{number}{suffix}" for number in range(4) for suffix in (".npy", ".mm.png")])
    Path("out/.hqmd-0badf00d-00000001.part").write_text("half")
    Path("out/.hqmd-12345678-00000001.part").write_text("of a living run, for all we know")
    Path("out/.mine.part").write_text("the user's")
    result = predict("--skip-existing")
    assert result.returncode == 0 and "4 given: 2 written, 0 failed, 2 left as they are" in result.stderr
    assert names() == sorted([*before, ".hqmd-12345678-00000001.part", ".mine.part"])
    assert all(Path("out", name).read_bytes() == content for name, content in before.items())


def test_a_file_that_lay_there_before_a_killed_run_is_not_taken_for_its_result(here, predict):
    Path("out").mkdir()
    Path("out/p1.npy").write_bytes(b"mine")
    before = intention.state_of(Path("out/p1.npy"))
    leave_intention("0badf00d", ["p0.npy", "p1.npy"])
    content = json.loads(Path("out/.hqmd-run-0badf00d.json").read_text())
    content["outputs"]["p1.npy"] = before
    Path("out/.hqmd-run-0badf00d.json").write_text(json.dumps(content))
    Path("out/p0.npy").write_bytes(b"half a result")
    result = predict("--skip-existing")
    assert result.returncode == 1 and "3 written, 1 failed" in result.stderr
    assert Path("out/p1.npy").read_bytes() == b"mine" and np.load("out/p0.npy").min() > 0
    assert ".hqmd-run-0badf00d.json" not in names()
    assert "no record says" in rows()["p1.png"]["failed"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"outputs": []}', "[" * 100_000, '{"outputs": {"a": 1}}'])
def test_a_file_that_only_has_the_name_of_an_intention_is_left_alone(here, predict, content):
    Path("out").mkdir()
    Path("out/.hqmd-run-0badf00d.json").write_text(content)
    Path("out/.hqmd-run-notes.json").write_text("mine")
    assert predict("--skip-existing").returncode == 0
    assert Path("out/.hqmd-run-0badf00d.json").read_text() == content
    assert Path("out/.hqmd-run-notes.json").read_text() == "mine"


def test_a_run_that_cannot_record_a_file_is_gone_on_with(here, predict, monkeypatch):
    def full(*_):
        raise HqmdError("out/manifest.jsonl: cannot be written: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hqmd_cli.prediction.photo_job.write_record", full)
        broken = predict()
    assert broken.returncode == 1 and "0 written, 4 failed" in broken.stderr
    assert "No space left" in rows()["p0.png"]["failed"] and f".hqmd-run-{RUN}.json" in names()
    Path(f"out/.hqmd-run-{RUN}.json").rename("out/.hqmd-run-0badf00d.json")  # the next run is another process
    result = predict("--skip-existing")
    assert result.returncode == 0 and "4 written" in result.stderr
    assert not any(name.startswith(".") for name in names()) and "failed" not in rows()["p0.png"]


def test_one_format_that_fails_leaves_the_others_with_their_record(here, predict, hqmd):
    Path("quick.py").write_text(MODEL.replace("1, 2, h", "66, 70, h"))
    broken = predict()
    assert broken.returncode == 1 and "does not fit into 16 bits" in broken.stderr and "4 failed" in broken.stderr
    assert names() == ["manifest.jsonl", *(f"p{number}.npy" for number in range(4))]
    row = rows()["p0.png"]
    assert "16 bits" in row["failed"] and row["outputs"].keys() == row["outputs_sha256"].keys() == {"p0.npy"}
    flags = ("--model", "py:quick:predict", "--model-kind", "depth", "--skip-existing")
    assert "4 left as they are" in hqmd("predict", "in", "-o", "out", "--format", "npy", *flags).stderr
    assert "4 failed" in predict("--skip-existing").stderr  # neither refused as a stranger's, nor silently kept


def test_the_record_beside_a_single_result_is_completed(here, hqmd):
    flags = ("--model", "py:quick:predict", "--model-kind", "depth", "--skip-existing")
    assert hqmd("predict", "in/p0.png", "-o", "d.npy", *flags).returncode == 0
    Path("d.json").unlink()
    assert hqmd("predict", "in/p0.png", "-o", "d.npy", *flags).returncode == 1
    Path(".hqmd-run-0badf00d.json").write_text(json.dumps({"settings": {}, "outputs": {"d.npy": None}}))
    assert hqmd("predict", "in/p0.png", "-o", "d.npy", *flags).returncode == 0
    assert Path("d.json").is_file() and not list(here.glob(".*"))


@pytest.mark.parametrize("wrong", [None, [1], "x"])
def test_records_with_settings_of_another_kind_describe_nothing(here, predict, wrong):
    assert predict().returncode == 0
    changed = [json.dumps({**row, "settings": wrong}) for row in rows().values()]
    Path("out/manifest.jsonl").write_text("\n".join(changed) + "\n")
    again = predict("--skip-existing")
    assert again.returncode == 0 and "4 written, 0 failed" in again.stderr
    assert "redone, since they differ from the records (model, the model's files," in again.stderr
    assert all(isinstance(row["settings"], dict) for row in rows().values())


def test_a_living_run_is_left_alone(here, predict):
    Path("out").mkdir()
    leave_intention("0badf00d", ["p0.npy"], {"model": "another"})
    Path("out/p0.npy").write_bytes(b"being made by another run, with other settings")
    Path("out/.hqmd-0badf00d-00000001.part").write_text("half")
    with claim(Path("out/.hqmd-run-0badf00d.json")):
        result = predict("--skip-existing")
    assert result.returncode == 1 and "3 written, 1 failed" in result.stderr
    assert {".hqmd-run-0badf00d.json", ".hqmd-0badf00d-00000001.part"} <= set(names())


def test_a_user_s_copies_of_the_manifest_are_neither_merged_nor_removed(here, predict):
    assert predict().returncode == 0
    copies = ("manifest.backup.jsonl", "manifest.2024-11.jsonl", "manifest.2024.jsonl", "manifest.01.jsonl")
    for copy in copies:
        shutil.copy("out/manifest.jsonl", f"out/{copy}")
    Path("out/manifest.7.jsonl").write_text('{"place": "mine"}\n')  # named like ours, but no record
    assert predict("--skip-existing").returncode == 0
    assert {*copies, "manifest.7.jsonl"} <= set(names()) and set(rows()) == {f"p{number}.png" for number in range(4)}


def test_results_beside_their_photos_are_no_photos(here, hqmd):
    flags = ("--format", "mm,npy", "--model", "py:quick:predict", "--model-kind", "depth")
    assert hqmd("predict", "in", "-o", "in", *flags, "--json").returncode == 0
    for sources in (["in"], ["in/*"]):
        again = hqmd("predict", *sources, "-o", "in", *flags, "--skip-existing")
        assert again.returncode == 0 and "0 written, 0 failed, 4 left as they are" in again.stderr
        assert "results of an earlier run" in again.stderr
    Path("in/manifest.jsonl").unlink()  # killed before the first record
    outputs = {f"p{number}{suffix}": None for number in range(4) for suffix in (".npy", ".mm.png")}
    Path("in/.hqmd-run-0badf00d.json").write_text(json.dumps({"settings": {}, "outputs": outputs}))
    again = hqmd("predict", "in", "-o", "in", *flags, "--skip-existing")
    assert again.returncode == 0 and "4 given: 4 written, 0 failed" in again.stderr


def test_an_intention_is_on_the_disk_before_the_first_result(here, predict, monkeypatch):
    synced, finish = [], PhotoWork.finish
    monkeypatch.setattr(intention, "sync", lambda path: synced.append(path.name))

    def checked(*job):
        assert synced[:2] == [f".hqmd-run-{RUN}.json", "out"] and names()[0].startswith(".")
        return finish(*job)

    monkeypatch.setattr(PhotoWork, "finish", checked)
    assert predict().returncode == 0 and len(synced) == 2


def test_what_is_made_anew_is_told_with_what_has_changed(here, predict):
    assert "redone" not in predict().stderr
    shutil.copy("in/p1.png", "in/p2.png")
    assert "redone, since they differ from the records (photo): 1" in predict("--skip-existing").stderr
    assert "redone, since they differ from the records (fx): 4" in predict("--skip-existing", "--fx", "90").stderr
    Path("quick.py").write_text(MODEL + "\n")
    assert (
        "redone, since they differ from the records (the model's files): 4"
        in predict("--skip-existing", "--fx", "90").stderr
    )


def test_the_lock_of_a_run_killed_before_its_intention_is_removed(here, predict):
    Path("out").mkdir()
    for name in ("..hqmd-run-0badf00d.json.lock", "..hqmd-run-mine.json.lock"):
        Path("out", name).write_text("process 1")
    with claim(Path("out/.hqmd-run-0badcafe.json")):
        assert predict().returncode == 0
        assert [name for name in names() if name[0] == "."] == [
            "..hqmd-run-0badcafe.json.lock",
            "..hqmd-run-mine.json.lock",
        ]


@pytest.mark.unix
def test_a_link_in_place_of_a_lock_is_refused_before_anything_is_written(here, predict):
    Path("out").mkdir()
    Path("victim").write_text("mine")
    Path("out/.manifest.jsonl.lock").symlink_to(here / "victim")
    result = predict()
    assert result.returncode == 1 and "hqmd: out/.manifest.jsonl.lock: a link;" in result.stderr
    assert names() == [".manifest.jsonl.lock"] and Path("victim").read_text() == "mine"


def test_a_folder_in_place_of_a_lock_is_named(here, predict):
    Path("out/.manifest.jsonl.lock").mkdir(parents=True)
    result = predict()
    assert result.returncode == 1 and "hqmd: out/.manifest.jsonl.lock: cannot be written: Is a dir" in result.stderr


@pytest.mark.parametrize(
    "fault",
    ['{"place": ' + "[" * 60 + "1" + "]" * 60 + "}", f'{{"place": "a", "near_m": {"9" * 40}}}', '{"place": 1}', "[1]"],
)
def test_a_manifest_is_read_within_bounds(tmp_path, fault):
    manifest = Manifest(tmp_path)
    of_old = '{"place": "a.png", "near_m": NaN}'  # which an earlier hqmd could write
    manifest.path.write_text(f"{of_old}\n")
    assert list(manifest.read()) == ["a.png"]
    manifest.path.write_text(f"{of_old}\n{fault}\n")
    with pytest.raises(HqmdError, match=r"manifest\.jsonl: line 2 is not a record"):
        manifest.read()


@pytest.mark.parametrize("content", ["[1]", "[" * 100_000, "{}", f'{{"outputs": {"9" * 5000}}}'])
def test_a_file_in_the_place_of_a_record(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(HqmdError, match=r"a\.json: is not a record of a result"):
        read_record(tmp_path / "a.json")


def test_a_manifest_holds_no_number_that_json_lacks(tmp_path):
    with pytest.raises(HqmdError, match="infinite or NaN"):
        Manifest(tmp_path).append({"place": "a.jpg", "far_m": float("inf")})
    assert not list(tmp_path.iterdir())


def test_a_constant_map_is_an_error_unless_the_photo_is_uniform(here, predict):
    Path("quick.py").write_text(
        "import numpy as np\ndef predict(rgb):\n    return np.full(rgb.shape[:2], 0.95, np.float32)\n"
    )
    Image.new("RGB", (40, 30), "white").save("in/white.png")
    result = predict()
    assert result.returncode == 1 and "1 written, 4 failed" in result.stderr
    assert "0.95 at every pixel" in rows()["p0.png"]["failed"]
    assert "one value everywhere" in rows()["white.png"]["remarks"]["white.npy"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--scale-from", "1,1,1e39"], "0.001 to 100000"),
        (["--scale-from", "1,1,1e-45"], "0.001 to 100000"),
        (["--fx", "1e-300"], "--fx 1e-300"),
        (["--fx", "nan"], "--fx nan"),
        (["--fx", "inf"], "--fx inf"),
        (["--fov", "180"], "--fov 180"),
        (["--vmax", "1e39"], "--vmax 1e+39"),
        (["--edge-rtol", "inf"], "--edge-rtol"),
    ],
)
def test_numbers_out_of_range_are_refused(here, hqmd, flags, said):
    common = ("--model", "py:quick:predict", "--model-kind", "depth", *flags)
    result = hqmd("predict", "in/p0.png", "-o", "d.npy", "--json", *common)
    assert result.returncode == 1 and said in result.stderr and not Path("d.npy").exists()


def command(*arguments):
    flags = ["--format", "npy,mm", "--model", "py:quick:predict", "--model-kind", "depth"]
    return [sys.executable, "-m", "hqmd_cli", "predict", *arguments, *flags]


def environment():
    return os.environ | {"PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("factor", ["1e-10", "1e36", "1e5"])
def test_metres_that_no_photo_has_are_not_written(here, predict, factor):
    Path("quick.py").write_text(MODEL.replace("return ", f"return np.float32({factor}) * (").rstrip() + ")\n")
    result = predict()
    assert result.returncode == 1 and "metres are written from 1e-06 to 100000" in result.stderr
    assert not [name for name in names() if name.endswith(".npy")]


def test_a_record_that_another_run_adds_meanwhile_counts(here, predict, monkeypatch):
    assert predict().returncode == 0
    lines = Path("out/manifest.jsonl").read_text()
    Path("out/manifest.jsonl").write_text(lines.splitlines(keepends=True)[0])
    begin = Intentions.begin

    def begin_and_wait(self, targets, settings):
        begin(self, targets, settings)
        Path("out/manifest.jsonl").write_text(lines)

    monkeypatch.setattr(Intentions, "begin", begin_and_wait)
    monkeypatch.setattr("hqmd_cli.prediction.photo_run.known_results", lambda jobs, manifest: {})
    result = predict("--skip-existing")
    assert result.returncode == 0 and "4 left as they are" in result.stderr


def test_a_record_beside_a_result_never_replaces_what_is_read(here, hqmd):
    Path("K.json").write_text('{"fx": 40, "fy": 40, "cx": 20, "cy": 15}')
    shutil.copy("in/p1.png", "p.json")
    flags = ("--model", "py:quick:predict", "--model-kind", "depth", "--json", "--overwrite")
    for source, name, more in (("in/p1.png", "K.npy", ("--camera", "K.json")), ("p.json", "p.npy", ())):
        result = hqmd("predict", source, "-o", name, *flags, *more)
        assert result.returncode == 1 and "would overwrite what this command reads" in result.stderr
        assert not Path(name).exists()


@pytest.mark.slow
def test_two_runs_share_a_folder_and_lose_nothing(here):
    for folder in ("one", "two"):
        Path(folder).mkdir()
        for number in range(150):
            shutil.copy("in/p1.png", f"{folder}/{folder}{number}.png")
    runs = [subprocess.Popen(command(folder, "-o", "out"), env=environment()) for folder in ("one", "two")]
    assert [run.wait() for run in runs] == [0, 0]
    assert len(rows()) == 300 and len(names()) == 601


@pytest.mark.unix
@pytest.mark.slow
def test_the_same_command_three_times_at_once(here):
    for number in range(60):
        shutil.copy(f"in/p{number % 4}.png", f"in/q{number}.png")
    for more in (["--skip-existing"], []):  # without it, they have to begin before the first result
        shutil.rmtree("out", ignore_errors=True)
        runs = [subprocess.Popen(command("in", "-o", "out", *more), env=environment()) for _ in range(3)]
        ended = [run.wait() for run in runs]
        assert ended == [0, 0, 0] if more else 0 in ended
        assert len(rows()) == 64 and len(names()) == 129


@pytest.mark.slow
def test_a_run_that_began_meanwhile_is_no_stranger(here, predict, monkeypatch):
    Path("out").mkdir()
    begin = Intentions.begin

    def begin_and_wait(self, targets, settings):
        begin(self, targets, settings)
        leave_intention("0badf00d", [f"p{number}.npy" for number in range(3)], self.settings)
        for number in range(4):
            Path(f"out/p{number}.npy").write_bytes(b"half")  # p3 by somebody else

    monkeypatch.setattr(Intentions, "begin", begin_and_wait)
    with claim(Path("out/.hqmd-run-0badf00d.json")):
        result = predict("--skip-existing")
    assert result.returncode == 1 and "3 written, 1 failed" in result.stderr and "out/p3.npy: exists" in result.stderr


@pytest.mark.unix
@pytest.mark.slow
def test_killed_at_any_moment_a_folder_is_completed(here):
    many = random.Random(4)
    for number in range(60):
        shutil.copy(f"in/p{number % 4}.png", f"in/q{number}.png")
    subprocess.run(command("in", "-o", "whole"), env=environment(), check=True, capture_output=True)
    for _ in range(3):
        shutil.rmtree("out", ignore_errors=True)
        run = subprocess.Popen(command("in", "-o", "out"), env=environment(), stdout=subprocess.DEVNULL)
        while run.poll() is None and not (Path("out").is_dir() and len(names()) > 2):
            time.sleep(0.01)
        time.sleep(many.uniform(0, 0.2))
        run.send_signal(signal.SIGKILL)
        run.wait()
        again = subprocess.run(
            command("in", "-o", "out", "--skip-existing"), env=environment(), capture_output=True, text=True
        )
        assert again.returncode == 0, again.stderr
        assert names() == names("whole") and len(rows()) == 64
        assert all(
            Path("out", n).read_bytes() == Path("whole", n).read_bytes() for n in names() if n != "manifest.jsonl"
        )


@pytest.mark.unix
@pytest.mark.slow
@pytest.mark.parametrize("target", ["v.mp4", "frames"])
def test_a_video_that_was_killed_leaves_nothing_once_it_is_done(here, target):
    """Another run in the same folder, which goes on meanwhile, loses nothing."""
    Path("quick.py").write_text(MODEL.replace("    h, w", "    import time; time.sleep(0.05)\n    h, w"))
    clip = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for shade in range(40):
        clip.write(np.full((48, 64, 3), 40 + 5 * shade, np.uint8))
    clip.release()
    formats = [] if target == "v.mp4" else ["--format", "npy"]
    flags = ["--model", "py:quick:predict", "--model-kind", "depth", *formats]

    def begin(*more):
        """Begin a run, and wait until it has begun to write."""
        before = set(Path("out").rglob(".hqmd-*"))
        run = [sys.executable, "-m", "hqmd_cli", "predict", "clip.mp4", *more, *flags]
        running = subprocess.Popen(run, env=environment(), stderr=subprocess.PIPE, text=True)
        while running.poll() is None and not set(Path("out").rglob(".hqmd-*")) - before:
            time.sleep(0.001)
        return running

    killed = begin("-o", f"out/{target}")
    time.sleep(0.3)
    killed.kill()
    killed.communicate()
    Path("out/.hqmd-mine.part.mp4").write_text("mine")
    other = begin("-o", f"out/other-{target}")
    again = begin("-o", f"out/{target}", *(["--skip-existing"] if formats else []))
    for run in (again, other):
        said = run.communicate()[1]
        assert run.returncode == 0 and "frames" in said, said
    assert {path.name for path in Path("out").rglob(".*")} == {".hqmd-mine.part.mp4"}
    for name in (target, f"other-{target}"):
        if formats:
            assert len(names(f"out/{name}/clip")) == 40
        else:
            assert cv2.VideoCapture(f"out/{name}").get(cv2.CAP_PROP_FRAME_COUNT) == 40


@pytest.mark.slow
def test_sigterm_ends_a_folder_as_ctrl_c_does(here):
    for number in range(400):
        shutil.copy("in/p1.png", f"in/q{number}.png")
    run = subprocess.Popen(command("in", "-o", "out"), env=environment(), stderr=subprocess.PIPE, text=True)
    while run.poll() is None and not Path("out/manifest.jsonl").exists():
        time.sleep(0.01)
    run.terminate()
    _, said = run.communicate()
    assert run.returncode == 143 and "--skip-existing goes on" in said and "not begun" in said
    assert not [name for name in names() if name.startswith(".")]


@pytest.mark.slow
def test_one_result_goes_to_stdout(here):
    photo = Path("in/p1.png").read_bytes()
    flags = ["--model", "py:quick:predict", "--model-kind", "depth"]
    whole = [sys.executable, "-m", "hqmd_cli", "predict", "-", "-o", "-", "--format", "npy", *flags]
    run = subprocess.run(whole, input=photo, env=environment(), capture_output=True, check=True)
    assert run.stdout.startswith(b"\x93NUMPY") and b"float32 metres" in run.stderr
    for more in (["--json"], ["-o", "d.npy"], ["--format", "npy,mm"]):
        refused = subprocess.run([*whole, *more], input=photo, env=environment(), capture_output=True)
        assert refused.returncode == 1 and refused.stdout == b"" and refused.stderr.startswith(b"hqmd: ")
    whole[4:5] = ["in"]
    refused = subprocess.run(whole, env=environment(), capture_output=True)
    assert refused.stderr.startswith(b"hqmd: stdout: one file cannot hold")


def test_results_of_a_run_into_another_folder_below_the_photos_are_no_photos(hqmd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ramp.py").write_text("def depth(rgb):\n    return 1 + rgb[..., 0] / 255\n")
    Path("in").mkdir()
    Image.fromarray(scene(1, (24, 32))[0]).save("in/a.jpg")
    for folder in ("in/one", "in/two", "three"):
        result = hqmd("predict", "in", "-o", folder, "-m", "py:ramp:depth")
        assert result.returncode == 0 and result.stdout == f"{folder}/a.png\n"
    assert "left out: 4 results of an earlier run" in result.stderr  # two maps and two manifests
    (shard,) = find_shards(["in"], "four", Part(), LeftOut())
    assert [entry.name for entry in shard.entries] == ["a.jpg"]
    assert [photo.path.name for photo in find_photos("in", print)] == ["a.jpg"]
    refused = hqmd("predict", "in/*/*.png", "-o", "four", "-m", "py:ramp:depth")
    assert refused.returncode == 1 and "no photo matches this pattern; it matches 2 results of" in refused.stderr
    Path("in/one/manifest.jsonl").write_text('{"of": "another program"}\n')
    assert len(hqmd("predict", "in", "-o", "four", "-m", "py:ramp:depth").stdout.splitlines()) == 2
