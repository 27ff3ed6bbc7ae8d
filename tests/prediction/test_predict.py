"""predict over folders: what is written, recorded, left alone, and what survives bad files and Ctrl-C."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import hqmd_cli
from hqmd_cli.api import load
from hqmd_cli.checkpoints.hub import DEFAULT_MODEL, find_checkpoint
from hqmd_cli.errors import HqmdError
from hqmd_cli.prediction.photo_job import PhotoWork


@pytest.fixture
def checkpoint(trained_run):
    return trained_run / "best"


@pytest.fixture
def folder(photo, tmp_path):
    """Three photos, one of them a folder deeper."""
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("a.png", "b.png", "deep/c.png"):
        shutil.copy(photo, tmp_path / "photos" / name)
    return tmp_path / "photos"


def written_at(results):
    return {path.name: path.stat().st_mtime_ns for path in results.rglob("*.npy")}


def rows(results):
    return [json.loads(line) for line in (results / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_results_that_exist_are_not_replaced_unasked(hqmd, checkpoint, photo, tmp_path):
    (tmp_path / "d.npy").write_bytes(b"mine")
    flags = ("predict", photo, "-o", tmp_path / "d.npy", "--model", checkpoint)
    result = hqmd(*flags)
    assert result.returncode == 1 and "--overwrite" in result.stderr and str(tmp_path / "d.npy") in result.stderr
    assert (tmp_path / "d.npy").read_bytes() == b"mine"
    assert hqmd(*flags, "--overwrite").returncode == 0
    assert np.load(tmp_path / "d.npy").min() > 0


@pytest.mark.slow
def test_a_folders_manifest_has_a_row_a_photo(hqmd, checkpoint, folder, tmp_path):
    results = tmp_path / "out"
    result = hqmd("predict", folder, "-o", results, "--format", "npy,mm", "--model", checkpoint)
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == sorted(map(str, [*results.rglob("*.npy"), *results.rglob("*.mm.png")]))
    assert "3 written, 0 failed" in result.stderr
    first, *_ = written = rows(results)
    assert [row["place"] for row in written] == ["a.png", "b.png", "deep/c.png"]
    depth_m = np.load(results / "a.npy")
    assert first["unit"] == "metre" and first["size"] == list(depth_m.shape)
    assert (first["near_m"], first["far_m"]) == pytest.approx((depth_m.min(), depth_m.max()))
    assert set(first["outputs"]) == {"a.npy", "a.mm.png"}
    assert len(first["settings"]["model_sha256"]) == 64


def test_a_folder_says_where_its_cameras_are_from(hqmd, checkpoint, folder, tmp_path):
    result = hqmd("predict", folder, "-o", tmp_path / "out", "--model", checkpoint, "--format", "normals")
    assert f"camera of {len(list(folder.rglob('*.*')))}: the camera of NYU Depth V2, assumed" in result.stderr
    result = hqmd("predict", folder, "-o", tmp_path / "plain", "--model", checkpoint)
    assert "camera of 3: the camera of NYU Depth V2, assumed" in result.stderr  # metres depend on it, too
    assert {row["camera_factor"] for row in rows(tmp_path / "plain")} == {1}
    result = hqmd("predict", folder, "-o", tmp_path / "long", "--model", checkpoint, "--fx", "5000")
    assert result.stderr.splitlines()[-1].endswith("camera: focal length of 5000 pixels, as given")
    for before, after in zip(rows(tmp_path / "plain"), rows(tmp_path / "long"), strict=True):
        assert after["near_m"] / before["near_m"] == pytest.approx(after["camera_factor"], rel=1e-5)
        assert after["camera_factor"] > 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"fx": 90, "fy": 90, "cx": 47.5, "cy": 39.5, "width": 96, "height": 80}', ""),
        ('{"fx": 90, "fy": 90, "cx": 47.5, "cy": 39.5, "k1": 0.2}', "lens distortion ignored"),
        ('{"fx": 90, "fy": 90, "cx": 47.5, "cy": 39.5, "width": 97, "height": 80}', "--camera is for 97 x 80"),
        ('{"fx": 90, "fy": 90, "cx": 47.5}', "cy is missing"),
        ('{"fx": 0, "fy": 90, "cx": 47.5, "cy": 1}', "0.01 to 1e+07 pixels"),
        ('{"fx": 1e300, "fy": 90, "cx": 47.5, "cy": 1}', "0.01 to 1e+07 pixels"),
        ('{"fx": 90, "fy": 90, "cx": 1e300, "cy": 1}', "far outside any photo"),
        ("[90]", "not a camera in JSON"),
    ],
)
def test_a_camera_in_a_file(hqmd, checkpoint, photo, tmp_path, content, said):
    (tmp_path / "K.json").write_text(content)
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "-m", checkpoint, "--camera", tmp_path / "K.json")
    assert said in result.stderr and (result.returncode == 0) == (said in ("", "lens distortion ignored"))
    if not result.returncode:
        same = tmp_path / "same.npy"
        assert hqmd("predict", photo, "-o", same, "-m", checkpoint, "--fx", 90).returncode == 0
        np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), np.load(same))


@pytest.mark.slow
def test_skip_existing_leaves_what_the_same_question_gave(hqmd, checkpoint, folder, tmp_path):
    results = tmp_path / "out"
    flags = ("predict", folder, "-o", results, "--format", "npy", "--model", checkpoint, "--skip-existing")
    assert hqmd(*flags).returncode == 0
    before = written_at(results)
    again = hqmd(*flags)
    assert "0 written, 0 failed, 3 left as they are" in again.stderr and again.stdout == ""
    assert written_at(results) == before
    (results / "a.npy").unlink()  # lost
    with Image.open(folder / "b.png") as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "b.png")  # another photo
    assert "2 written, 0 failed, 1 left" in hqmd(*flags).stderr
    assert len(rows(results)) == 3
    assert "3 written" in hqmd(*flags, "--flip").stderr  # other settings
    assert "3 written" in hqmd(*flags).stderr


@pytest.mark.slow
def test_skip_existing_is_not_deceived_by_times_and_sizes(hqmd, checkpoint, photo, tmp_path):
    """Two BMPs out of one archive share both."""
    with Image.open(photo) as picture:
        for place, seen in (("A", picture), ("B", picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))):
            (tmp_path / place).mkdir()
            seen.convert("RGB").save(tmp_path / place / "f.bmp")
            os.utime(tmp_path / place / "f.bmp", (1, 1))
    flags = ("-o", tmp_path / "out", "--format", "npy", "--skip-existing", "--model", checkpoint)
    assert hqmd("predict", tmp_path / "A", *flags).returncode == 0
    before = np.load(tmp_path / "out" / "f.npy")
    assert "1 written" not in hqmd("predict", tmp_path / "A", *flags).stderr
    assert hqmd("predict", tmp_path / "B", *flags).returncode == 0
    assert np.abs(np.load(tmp_path / "out" / "f.npy") - before).max() > 1e-3


def test_skip_existing_makes_anew_what_another_call_replaced(hqmd, checkpoint, folder, tmp_path):
    results = tmp_path / "out"
    flags = ("predict", folder, "-o", results, "--model", checkpoint)
    assert hqmd(*flags).returncode == 0
    before = (results / "a.png").read_bytes()
    turbo = ("--colormap", "turbo", "--overwrite", "--model", checkpoint)
    assert hqmd("predict", folder / "a.png", "-o", results / "a.png", *turbo).returncode == 0
    assert (results / "a.png").read_bytes() != before
    again = hqmd(*flags, "--skip-existing")
    assert again.returncode == 1 and "0 written, 1 failed, 2 left" in again.stderr and "--overwrite" in again.stderr
    assert hqmd(*flags, "--overwrite").returncode == 0
    assert (results / "a.png").read_bytes() == before


def test_skip_existing_replaces_no_file_that_is_not_its_own(hqmd, checkpoint, photo, tmp_path):
    (tmp_path / "precious.npy").write_bytes(b"mine")
    flags = ("predict", photo, "-o", tmp_path / "precious.npy", "--skip-existing", "--model", checkpoint)
    result = hqmd(*flags)
    assert result.returncode == 1 and "precious.npy" in result.stderr and "--overwrite" in result.stderr
    assert (tmp_path / "precious.npy").read_bytes() == b"mine"


def test_one_photo_is_left_as_it_is_the_second_time(hqmd, checkpoint, photo, tmp_path):
    flags = ("predict", photo, "-o", tmp_path / "d.npy", "--skip-existing", "--model", checkpoint)
    assert hqmd(*flags).returncode == 0
    before = written_at(tmp_path)
    again = hqmd(*flags)
    assert again.returncode == 0 and again.stdout == "" and written_at(tmp_path) == before


@pytest.mark.parametrize("flags", [("--json",), ("--json", "--skip-existing")])
def test_a_sidecar_replaces_nobodys_json(hqmd, checkpoint, photo, tmp_path, flags):
    (tmp_path / "d.json").write_text('{"labels": []}')
    result = hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", checkpoint, *flags)
    assert result.returncode == 1 and "d.json" in result.stderr
    assert (tmp_path / "d.json").read_text() == '{"labels": []}' and not (tmp_path / "d.npy").exists()


def test_a_torn_manifest_is_mended_and_a_foreign_one_refused(hqmd, checkpoint, folder, tmp_path):
    """A process that was killed while it wrote leaves half a line."""
    results = tmp_path / "out"
    flags = ("predict", folder, "-o", results, "--format", "npy", "--model", checkpoint, "--skip-existing")
    assert hqmd(*flags).returncode == 0
    whole = (results / "manifest.jsonl").read_text()
    (results / "manifest.jsonl").write_text(whole[:-40])
    (results / "deep" / "c.npy").unlink()
    again = hqmd(*flags)
    assert again.returncode == 0 and "1 written, 0 failed, 2 left" in again.stderr
    assert (results / "manifest.jsonl").read_text() == whole
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.jsonl").write_text("my own\n")
    result = hqmd("predict", folder, "-o", tmp_path / "mine", "--model", checkpoint)
    assert result.returncode == 1 and "manifest.jsonl" in result.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["manifest.jsonl"]
    assert (tmp_path / "mine" / "manifest.jsonl").read_text() == "my own\n"


def test_what_is_left_of_another_process_does_not_outlive_newer_results(hqmd, checkpoint, folder, tmp_path):
    results = tmp_path / "out"
    flags = ("predict", folder, "-o", results, "--format", "npy", "--model", checkpoint)
    assert hqmd(*flags, "--side", "32").returncode == 0
    (results / "manifest.jsonl").rename(results / "manifest.1.jsonl")  # as if the first process had died
    assert hqmd(*flags, "--overwrite").returncode == 0
    assert {tuple(row["settings"]["sides"]) for row in rows(results)} == {(48,)}


def test_a_photo_that_is_gone_does_not_end_the_run(hqmd, checkpoint, folder, tmp_path):
    (folder / "link.png").symlink_to(folder / "a.png")
    flags = ("predict", folder, "-o", tmp_path / "out", "--format", "npy", "--model", checkpoint, "--skip-existing")
    assert hqmd(*flags).returncode == 0
    (folder / "a.png").unlink()
    result = hqmd(*flags)
    assert result.returncode == 1 and "0 written, 1 failed, 2 left" in result.stderr and "link.png" in result.stderr


def test_no_memory_for_one_photo_does_not_end_the_run(hqmd, checkpoint, folder, tmp_path, monkeypatch):
    def exhausted(self, photo, name):
        if name.endswith("b.png"):
            raise MemoryError("Unable to allocate")
        return answer(self, photo, name)

    answer = PhotoWork.result_of
    monkeypatch.setattr(PhotoWork, "result_of", exhausted)
    result = hqmd("predict", folder, "-o", tmp_path / "out", "--format", "npy", "--model", checkpoint)
    assert result.returncode == 1 and "2 written, 1 failed" in result.stderr
    assert "b.png" in result.stderr and "memory" in result.stderr and "Traceback" not in result.stderr


def test_a_source_that_gives_nothing_counts_as_failed(hqmd, checkpoint, photo, tmp_path):
    flags = ("-o", tmp_path / "out", "--format", "npy", "--model", checkpoint)
    result = hqmd("predict", photo, tmp_path / "none*.jpg", tmp_path / "gone.jpg", *flags)
    assert result.returncode == 1 and "1 written, 2 failed" in result.stderr
    assert "none*.jpg" in result.stderr and "gone.jpg" in result.stderr
    assert (tmp_path / "out" / photo.with_suffix(".npy").name).is_file()


def test_one_distance_is_for_one_photo(hqmd, checkpoint, folder, tmp_path):
    result = hqmd("predict", folder, "-o", tmp_path / "out", "--scale-from", "3,4,2", "--model", checkpoint)
    assert result.returncode == 1 and "--scale-from" in result.stderr and not (tmp_path / "out").exists()


def test_a_name_as_long_as_the_system_takes(hqmd, checkpoint, photo, tmp_path):
    name = "n" * 245
    shutil.copy(photo, tmp_path / f"{name}.png")
    result = hqmd("predict", tmp_path / f"{name}.png", "-o", tmp_path / f"{name}.npy", "--model", checkpoint)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_terminal_without_the_letters_of_a_name(run_hqmd, photo, tmp_path):
    shutil.copy(photo, tmp_path / "é.png")
    flags = ("-o", tmp_path / "out", "--format", "npy", "--side", 64)  # with the default model, which needs no torch
    result = run_hqmd("predict", tmp_path / "é.png", photo, *flags, env={"PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0 and "2 written" in result.stderr and "\\xe9.npy" in result.stdout


def test_skip_existing_notices_another_model_of_the_same_name(hqmd, checkpoint, photo, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(checkpoint, model)
    flags = ("predict", photo, "-o", tmp_path / "d.npy", "--json", "--skip-existing", "--model", model)
    assert hqmd(*flags).returncode == 0
    before = written_at(tmp_path)
    assert hqmd(*flags).returncode == 0 and written_at(tmp_path) == before
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "step": 99}))
    assert hqmd(*flags).returncode == 0 and written_at(tmp_path) != before


def test_the_sidecar_says_what_the_numbers_are(hqmd, checkpoint, photo, tmp_path):
    assert (
        hqmd("predict", photo, "-o", tmp_path / "d.mm.png", "--json", "--model", checkpoint, "--fov", "60").returncode
        == 0
    )
    record = json.loads((tmp_path / "d.json").read_text())
    with Image.open(photo) as picture:
        width, height = picture.size
    assert record["size"] == [height, width]
    assert record["intrinsics"]["fx"] == pytest.approx(width / 2 / np.tan(np.radians(30)))
    assert record["settings"]["model"] == str(checkpoint) and record["settings"]["hqmd_version"]


def test_bad_files_are_named_and_the_others_are_done(hqmd, checkpoint, folder, tmp_path):
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    results = tmp_path / "out"
    result = hqmd("predict", folder, "-o", results, "--format", "npy", "--model", checkpoint)
    assert result.returncode == 1 and "3 written, 2 failed" in result.stderr
    complaints = [line for line in result.stderr.splitlines() if line.startswith("hqmd:")]
    assert len(complaints) == 2
    for name in ("empty.jpg", "text.jpg"):
        assert any(str(folder / name) in line for line in complaints)
    written = {row["place"]: row for row in rows(results)}
    assert len(written) == 5 and "an empty file" in written["empty.jpg"]["failed"] and "failed" not in written["a.png"]
    Image.open(folder / "a.png").convert("RGB").save(folder / "empty.jpg")
    again = hqmd("predict", folder, "-o", results, "--format", "npy", "--model", checkpoint, "--skip-existing")
    assert "5 given: 1 written, 1 failed, 3 left as they are" in again.stderr
    assert "failed" not in {row["place"]: row for row in rows(results)}["empty.jpg"]


def test_one_measured_distance_sets_the_scale(hqmd, checkpoint, photo, tmp_path):
    flags = ("predict", photo, "--model", checkpoint, "--fx", "50")
    assert hqmd(*flags, "-o", tmp_path / "plain.npy").returncode == 0
    assert hqmd(*flags, "-o", tmp_path / "scaled.npy", "--scale-from", "10,20,1.85").returncode == 0
    plain, scaled = (np.load(tmp_path / name) for name in ("plain.npy", "scaled.npy"))
    np.testing.assert_allclose(scaled / plain, (scaled / plain).mean(), rtol=1e-5)
    height, width = plain.shape
    straight = scaled[20, 10] * np.hypot(1, np.hypot((10 - (width - 1) / 2) / 50, (20 - (height - 1) / 2) / 50))
    assert straight == pytest.approx(1.85, rel=1e-5)


def test_a_photo_from_stdin(hqmd, checkpoint, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
    assert hqmd("predict", "-", "-o", tmp_path / "piped.npy", "--model", checkpoint).returncode == 0
    assert hqmd("predict", photo, "-o", tmp_path / "named.npy", "--model", checkpoint).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "piped.npy"), np.load(tmp_path / "named.npy"))


@pytest.mark.slow
def test_ctrl_c_finishes_what_is_in_hand_and_a_second_call_goes_on(photo, tmp_path):
    """A bundled model over 300 links to one photo, interrupted as soon as some results are there."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number:03d}.png").symlink_to(photo)
    results = tmp_path / "out"
    command = [sys.executable, "-m", "hqmd_cli", "predict", many, "-o", results, "--format", "npy", "--skip-existing"]
    command += ["--model", "hqmd-indoor-small"]
    run = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while len(list(results.glob("*.npy"))) < 5 and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, complaint = run.communicate(timeout=60)
    assert run.returncode == 130, complaint
    assert "Traceback" not in complaint and "--skip-existing goes on" in complaint
    done = {path.name for path in results.glob("*.npy")}
    assert 5 <= len(done) < 300
    assert not list(results.glob(".*"))  # nothing half-written
    assert {row["place"].replace(".png", ".npy") for row in rows(results)} == done
    for name in done:
        assert np.load(results / name).min() > 0
    for number in range(300):  # a second call has little left to do
        if f"{number:03d}.npy" not in done and number > 10:
            (many / f"{number:03d}.png").unlink()
    second = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    assert "0 failed" in second.stderr and "left as they are" in second.stderr


@pytest.fixture
def clip(tmp_path):
    """Five frames of 64 x 48, growing brighter."""
    path = tmp_path / "clip.mp4"
    frames = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for shade in range(5):
        frames.write(np.full((48, 64, 3), 40 + 40 * shade, np.uint8))
    frames.release()
    return path


def test_a_video_and_what_it_shows(hqmd, checkpoint, clip, tmp_path):
    flags = ("predict", clip, "-o", tmp_path / "depth.mp4", "--model", checkpoint, "--side-by-side")
    result = hqmd(*flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'depth.mp4'}\n"
    assert "5 frames, 10 a second" in result.stderr and "metres" in result.stderr and "without sound" in result.stderr
    written = cv2.VideoCapture(str(tmp_path / "depth.mp4"))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 5 and written.get(cv2.CAP_PROP_FRAME_WIDTH) >= 128
    assert "--overwrite" in hqmd(*flags).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["CLIP", "CLIP", "-o", "d.mp4"], "holds one video"),
        (["CLIP", "camera:0", "-o", "d.mp4"], "must be the only source"),
        (["CLIP", "-o", "d.png"], ".mp4"),
        (["CLIP", "-o", "d.mp4", "-o", "e.mp4"], "one .mp4"),
        (["camera:x", "-o", "d.mp4"], "camera:0"),
        (["missing.mp4", "-o", "d.mp4"], "missing.mp4"),
        (["CLIP", "-o", "d.mp4", "--vmin", "3", "--vmax", "2"], "--vmin"),
        (["CLIP", "-o", "d.mp4", "--scale-from", "1,2,3", "--json"], "--scale-from and --json"),
        (["CLIP", "-o", "d.mp4", "--fov", "60"], "--fov"),
    ],
)
def test_what_a_video_cannot_be(hqmd, checkpoint, clip, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    result = hqmd("predict", *(clip if a == "CLIP" else a for a in arguments), "--model", checkpoint)
    assert result.returncode == 1 and said in result.stderr and "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.slow
def test_photos_and_videos_in_one_call(hqmd, checkpoint, clip, folder, photo, tmp_path):
    (folder / "deep" / "clip.MP4").write_bytes(clip.read_bytes())
    (folder / "deep" / "broken.mov").write_bytes(b"no video")
    (folder / "notes.txt").write_text("")
    results = tmp_path / "out"
    flags = ("-o", results, "--model", checkpoint)
    result = hqmd("predict", folder, clip, photo, *flags)
    assert result.returncode == 1 and "7 given: 6 written, 1 failed" in result.stderr
    assert "left out: 1 .txt" in result.stderr and "broken.mov" in result.stderr
    written = sorted(path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file())
    assert written == ["a.png", "b.png", "clip.mp4", "deep/c.png", "deep/clip.mp4", "manifest.jsonl", "photo.png"]
    by_place = {row["place"]: row for row in rows(results)}
    assert by_place["clip.mp4"]["frames"] == 5 and by_place["deep/broken.mov"]["failed"]
    again = hqmd("predict", folder, clip, photo, *flags, "--skip-existing")
    assert "7 given: 0 written, 1 failed, 6 left as they are" in again.stderr
    assert "exists already" in hqmd("predict", clip, *flags).stderr


def test_videos_that_would_overwrite_themselves(hqmd, checkpoint, clip, tmp_path):
    before = clip.read_bytes()
    for more in ((), ("--overwrite",)):
        result = hqmd("predict", tmp_path, "-o", tmp_path, "--model", checkpoint, *more)
        assert result.returncode == 1 and "would overwrite" in result.stderr and clip.read_bytes() == before


@pytest.mark.unix
def test_a_named_pipe_gives_a_photo(hqmd, checkpoint, photo, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(photo.read_bytes()))
    writer.start()
    result = hqmd("predict", tmp_path / "pipe", "-o", tmp_path / "d.npy", "--json", "--model", checkpoint)
    writer.join()
    assert result.returncode == 0 and json.loads((tmp_path / "d.json").read_text())["photo_sha256"] is None


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_up_in_no_result(photo, tmp_path, stream):
    model = "import numpy as np\ndef predict(rgb):\n    return 1 + rgb[..., 0] / np.float32(255)\n"
    (tmp_path / "quick.py").write_text(model)
    command = f"{sys.executable} -m hqmd_cli predict {photo} {photo} -o out --format npy -m py:quick:predict"
    env = {**os.environ, "PYTHONPATH": str(Path(hqmd_cli.__file__).parents[1])}
    code = subprocess.call(f"{command} --model-kind depth {stream}", shell=True, cwd=tmp_path, env=env)
    assert code == 0 and np.load(tmp_path / "out" / "photo.npy").min() >= 1


@pytest.mark.slow
def test_without_a_home(run_hqmd, photo, tmp_path):
    env = {"HOME": "/nowhere"}
    result = run_hqmd("predict", photo, "-o", tmp_path / "d.npy", "--model", DEFAULT_MODEL, "--side", 64, env=env)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_load_takes_pil_and_numpy(photo):
    depth_of = load("hqmd-indoor-small", size="fast")
    with Image.open(photo) as picture:
        from_pil, from_numpy = depth_of(picture), depth_of(np.asarray(picture.convert("RGB")))
        assert from_pil.shape == picture.size[::-1] and from_pil.dtype == np.float32 and from_pil.min() > 0
        grey, opaque = np.asarray(picture.convert("L")), np.asarray(picture.convert("RGBA"))
        grey_in_rgb = np.asarray(picture.convert("L").convert("RGB"))
    for other in (depth_of(photo), depth_of(str(photo)), depth_of(opaque), from_numpy):
        np.testing.assert_array_equal(from_pil, other)
    for other in (grey, grey[..., None]):
        np.testing.assert_array_equal(depth_of(other), depth_of(grey_in_rgb))
    nyu_focal = 518.86 * min(from_pil.shape) / 480
    np.testing.assert_allclose(depth_of(photo, fx=2 * nyu_focal), 2 * from_pil, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), r"not an array of \(4, 4, 3\) float32"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\) uint8"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\) uint8"),
        (None, "not NoneType"),
        ([1, 2], "not list"),
    ],
)
def test_load_says_what_it_got_in_place_of_a_photo(wrong, said):
    with pytest.raises(HqmdError, match=said):
        load("hqmd-indoor-small")(wrong)


def test_load_turns_a_photo_upright_as_predict_does(hqmd, photo, tmp_path):
    with Image.open(photo) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.convert("RGB").save(tmp_path / "turned.png", exif=exif)
        size = picture.size
    model = "hqmd-indoor-small"
    assert (
        hqmd("predict", tmp_path / "turned.png", "-o", tmp_path / "d.npy", "-m", model, "--size", "fast").returncode
        == 0
    )
    with Image.open(tmp_path / "turned.png") as picture:
        depth_m = load(model, size="fast")(picture)
    assert depth_m.shape == size
    np.testing.assert_array_equal(depth_m, np.load(tmp_path / "d.npy"))


@pytest.mark.slow
def test_load_refuses_what_is_no_photo_in_one_kind_of_error(tmp_path, photo):
    depth_of = load()
    with pytest.raises(HqmdError, match="fractional"):
        depth_of(Image.fromarray(np.ones((4, 4), np.float32)))
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:-200])
    with Image.open(tmp_path / "cut.png") as picture, pytest.raises(HqmdError, match=r"cut\.png"):
        depth_of(picture)


def test_load_imports_no_torch(photo):
    code = (
        "import sys; from PIL import Image; from hqmd_cli import load\n"
        f"load({str(find_checkpoint(DEFAULT_MODEL))!r})(Image.open({str(photo)!r}))\n"
        "heavy = ('torch', 'timm', 'torchvision', 'transformers', 'hqmd_cli.inference.foreign.adapter')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.slow
def test_processes_of_torchrun_share_a_folder_and_join_their_manifests(checkpoint, folder, tmp_path):
    results = tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "hqmd_cli", "predict", folder, "-o", results, "--format", "npy"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert [row["place"] for row in rows(results)] == ["a.png", "b.png", "deep/c.png"]
    assert [path.name for path in results.glob("manifest*")] == ["manifest.jsonl"]
