"""The pictures that evaluate and compare leave out, and what they say of it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import scene
from hqmd_cli.files.locks import claim


def write_many(folder: Path, number: int) -> Path:
    """A folder of pairs without splits."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    for i in range(number):
        image, depth_m = scene(i % 5, (32, 48))
        Image.fromarray(image).save(folder / "rgb" / f"{i:03}.png")
        Image.fromarray(np.round(depth_m * 1000).astype(np.uint16)).save(folder / "depth" / f"{i:03}.png")
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write_many(tmp_path / "many", 100)


def evaluated(hqmd, run: Path, data: Path, *flags: object):
    return hqmd("evaluate", "--model", run / "best", "--data", data, "--no-detail", *flags)


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_data_without_splits_is_taken_whole_and_said(hqmd, trained_run, tmp_path, command: str) -> None:
    data = write_many(tmp_path / "few", 3)
    model = ("--model",) if command == "evaluate" else ()
    told = hqmd(command, *model, trained_run / "best", "--data", data)
    assert told.returncode == 0, told.stderr
    assert "has no splits, so all of its pictures are taken" in told.stderr and "few, all" in told.stdout
    refused = hqmd(command, *model, trained_run / "best", "--data", data, "--split", "test")
    assert refused.returncode == 1 and "no split 'test'" in refused.stderr
    (data / "val.txt").write_text("000\n")  # one split: which pictures are meant is no longer clear
    refused = hqmd(command, *model, trained_run / "best", "--data", data)
    assert refused.returncode == 1 and "no split 'test'" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["no depth", "cut off"])
def test_one_of_a_hundred_is_left_out_and_said(hqmd, trained_run, many: Path, tmp_path, fault: str) -> None:
    spoil(many, "042", fault)
    told = evaluated(hqmd, trained_run, many, "--json", "--per-picture", tmp_path / "each.csv", "--depth-scale", 1000)
    assert told.returncode == 0, told.stderr
    assert "data: left out: " in told.stderr and "042" in told.stderr
    figures = json.loads(told.stdout)
    assert figures["n"] == 99 and "1 of 100 pictures left out" in figures["remark"]
    rows = (tmp_path / "each.csv").read_text().splitlines()
    assert not any(row.startswith("042,") for row in rows) and any(row.startswith("043,") for row in rows)
    spoil(many, "077", fault)
    refused = evaluated(hqmd, trained_run, many, "--depth-scale", 1000)
    assert refused.returncode == 1 and "2 of 100 pictures cannot be scored, more than 1%" in refused.stderr


def spoil(data: Path, name: str, fault: str) -> None:
    depth = data / "depth" / f"{name}.png"
    if fault == "no depth":
        Image.fromarray(np.zeros((32, 48), np.uint16)).save(depth)
    else:
        depth.write_bytes(depth.read_bytes()[:-60])


@pytest.mark.slow
def test_a_report_shows_the_right_pictures_without_the_one_left_out(hqmd, trained_run, many: Path, tmp_path) -> None:
    spoil(many, "000", "cut off")
    told = evaluated(
        hqmd, trained_run, many, "--depth-scale", 1000, "--report", tmp_path / "report", "--report-pictures", 3
    )
    assert told.returncode == 0, told.stderr


def test_masked_pixels_are_said(hqmd, trained_run, tmp_path) -> None:
    data = write_many(tmp_path / "few", 2)
    values = np.asarray(Image.open(data / "depth" / "000.png")).copy()
    values[0, :7] = 65535
    Image.fromarray(values).save(data / "depth" / "000.png")
    told = evaluated(hqmd, trained_run, data)
    assert told.returncode == 0 and "7 pixels of 1 pictures hold a number that stands for no depth" in told.stderr


def test_photos_of_several_pictures_are_said(hqmd, trained_run, tmp_path) -> None:
    data = write_many(tmp_path / "few", 3)
    photos = sorted((data / "rgb").glob("*.png"))
    for photo, more in zip(photos, (2, 1, 0), strict=True):
        with Image.open(photo) as picture:
            first = picture.convert("RGB")
        others = [Image.new("RGB", first.size, colour) for colour in ("red", "blue")[:more]]
        first.save(photo, save_all=True, append_images=others)
    said = f"2 photos, such as {photos[0].stem}: 3 pictures in the file; the first is used"
    assert said in evaluated(hqmd, trained_run, data).stderr
    checked = hqmd("check", data)
    assert said in checked.stdout + checked.stderr


def test_a_score_log_in_use_is_refused(hqmd, trained_run, tmp_path) -> None:
    data, log = write_many(tmp_path / "few", 2), tmp_path / "log.jsonl"
    with claim(log):
        told = evaluated(hqmd, trained_run, data, "--resume", log)
    assert told.returncode == 1 and f"in use by process {os.getpid()}" in told.stderr and not log.exists()


@pytest.mark.parametrize(
    "command", [("calibrate", "--split", "all"), ("evaluate", "--record", "--model"), ("export", "-o", None)]
)
@pytest.mark.parametrize("whole_run", [False, True])  # held by its training, which replaces best/
def test_a_model_that_another_process_changes_is_refused(hqmd, trained_run, tmp_path, command, whole_run) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    model = run / "best"
    given = [*(model if part is None else part for part in command), model]
    if command[0] != "export":
        given += ["--data", write_many(tmp_path / "few", 2)]
    with claim(run if whole_run else model):
        told = hqmd(*given)
    assert told.returncode == 1 and f"in use by process {os.getpid()}" in told.stderr
    assert not list(run.rglob("*.lock"))


# ---- photos that EXIF turns


def turn(data: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for photo in (data / "rgb").iterdir():
        Image.open(photo).convert("RGB").save(photo.with_suffix(".jpg"), exif=exif, quality=95)
        photo.unlink()


@pytest.mark.parametrize("orientation", [3, 4])
def test_photos_turned_against_their_depth_are_refused_everywhere(hqmd, trained_run, tmp_path, orientation) -> None:
    data = write_many(tmp_path / "few", 5)
    turn(data, orientation)
    (data / "train.txt").write_text("000\n001\n002\n")
    (data / "val.txt").write_text("003\n004\n")
    said = "are turned by their EXIF orientation, such as 00"
    checked = hqmd("check", data)
    assert checked.returncode == 1 and f"error: train: 3 photos {said}" in checked.stdout
    for command in (("train", "-o", tmp_path / "run", "--backbone-weights", "none"), ("evaluate", "--split", "val")):
        refused = hqmd(*command, "--data", data, *(("--model", trained_run / "best") if "evaluate" in command else ()))
        assert refused.returncode == 1 and said in refused.stderr, refused.stderr


def test_depth_that_was_turned_with_its_photo_is_fine(hqmd, tmp_path) -> None:
    data = write_many(tmp_path / "few", 5)
    for photo in (data / "rgb").iterdir():
        Image.open(photo).rotate(180).save(photo)  # stored upside down; EXIF turns it to where its depth is
    turn(data, 3)
    assert hqmd("check", data).returncode == 0


def test_photos_on_their_side_name_the_cause(hqmd, tmp_path) -> None:
    data = write_many(tmp_path / "few", 3)
    turn(data, 6)
    told = hqmd("check", data)
    assert told.returncode == 1
    assert "photo is 32 x 48, depth 48 x 32; its EXIF orientation turns the photo, not the depth" in told.stdout
