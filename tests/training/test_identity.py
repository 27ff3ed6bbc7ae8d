"""Which run is continued, with which settings, and that its data and teacher are still the same."""

import json
import os
import shutil
from pathlib import Path

import pytest

from hqmd_cli.checkpoints.run_folder import can_resume, saved_states
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.data.sample import sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.locks import claim
from hqmd_cli.training.identity import DATA_FILE, FileState, differences
from hqmd_cli.training.loop import EpochReport, Note, fit
from hqmd_cli.training.record import RECORD_FILE, changes, is_unfinished, read_record
from hqmd_cli.training.resume import Asked, plan_run
from kill_harness import MODEL, TRAIN, Slopes

TINY, ONCE = TRAIN.with_settings(epochs=2), TRAIN.with_settings(epochs=1)
FLAGS = ("--backbone", "test_efficientnet", "--backbone-weights", "none", "--size", "32x48", "--batch-size", 2)
FLAGS += ("--workers", 0, "--device", "cpu")


def train(pairs: Path, folder: Path, **options):
    return list(fit(MODEL, TINY, *open_training_data(pairs), folder, backbone_weights="none", **options))


def stopped(pairs: Path, folder: Path) -> Path:
    """A run that was stopped after its first step."""
    train(pairs, folder, time_limit=0)
    return folder


def notes(reports) -> list[str]:
    return [report.text for report in reports if isinstance(report, Note)]


def exchange(pairs: Path) -> None:
    """Exchange the depth maps of two training pictures."""
    one, other = (pairs / "depth" / f"{name}.png" for name in ("a1", "a2"))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


# ---- the data


@pytest.mark.slow
def test_other_content_under_the_same_names_is_refused(pairs: Path, tmp_path: Path) -> None:
    run = stopped(pairs, tmp_path / "run")
    exchange(pairs)
    with pytest.raises(HqmdError, match=r"train: 2 of 8 files have other content, such as depth/a1\.png.*--accept-ch"):
        train(pairs, run, resume=True)
    said = notes(train(pairs, run, resume=True, accept_changes=True))
    assert said == [
        "going on with other data: train: 2 of 8 files have other content, such as depth/a1.png, depth/a2.png"
    ]
    assert notes(train(pairs, run, resume=True)) == []  # what is there now is noted


@pytest.mark.slow
def test_a_copy_elsewhere_and_touched_files_are_the_same_data(pairs: Path, tmp_path: Path) -> None:
    run = stopped(pairs, tmp_path / "run")
    copy = tmp_path / "elsewhere" / "pairs"
    shutil.copytree(pairs, copy, copy_function=shutil.copyfile)
    for file in copy.rglob("*.png"):
        os.utime(file, (1, 1))
    assert notes(train(copy, run, resume=True)) == []


@pytest.mark.slow
def test_verify_reads_what_size_and_time_hide(pairs: Path, tmp_path: Path) -> None:
    run = stopped(pairs, tmp_path / "run")
    photo = pairs / "rgb" / "a3.jpg"
    before, content = photo.stat(), bytearray(photo.read_bytes())
    content[15] ^= 1  # the density in its header
    photo.write_bytes(content)
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    train(pairs, copy, resume=True)
    with pytest.raises(HqmdError, match=r"1 of 8 files have other content, such as rgb/a3\.jpg"):
        train(pairs, run, resume=True, verify=True)


def test_a_changed_list_is_a_changed_order(pairs: Path, tmp_path: Path) -> None:
    run = stopped(pairs, tmp_path / "run")
    (pairs / "train.txt").write_text("a4\na2\na3\na1\n")
    with pytest.raises(HqmdError, match="another order or in other pairs"):
        train(pairs, run, resume=True)


@pytest.mark.slow
def test_a_run_of_an_earlier_hqmd_goes_on_and_says_what_it_lacks(pairs: Path, tmp_path: Path) -> None:
    run = stopped(pairs, tmp_path / "run")
    for name in (RECORD_FILE, DATA_FILE):
        (run / name).unlink()
    (said,) = notes(train(pairs, run, resume=True))
    assert "did not record its files" in said and (run / DATA_FILE).exists()


def test_another_teacher_of_the_same_name_is_refused(pairs: Path, trained_run: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(trained_run / "best", teacher)
    train(pairs, tmp_path / "run", teacher=teacher, time_limit=0)
    config = json.loads((teacher / "config.json").read_text())
    (teacher / "config.json").write_text(json.dumps(config | {"step": 99}))
    with pytest.raises(HqmdError, match="the teacher is another model than the run began with"):
        train(pairs, tmp_path / "run", teacher=teacher, resume=True)


def test_differences_by_hand() -> None:
    old = [FileState("a", 1, 1, "x"), FileState("b", 2, 1, None)]
    assert list(differences(old, old)) == []
    assert list(differences(old, [FileState("c", 1, 9, "x"), FileState("d", 2, 9, None)])) != []  # b may be another
    assert list(differences(old[:1], [FileState("c", 1, 9, "x")])) == []  # renamed
    assert list(differences(old, [old[0], FileState("b", 2, 9, None)])) == [
        "1 of 2 files have other content, such as b"
    ]
    assert list(differences(old, old[::-1])) == ["the same files are listed in another order or in other pairs"]


# ---- the folder


@pytest.mark.parametrize("kept", ["best", "last", "history.jsonl"])
def test_nothing_of_a_run_is_overwritten(pairs: Path, tmp_path: Path, trained_run: Path, kept: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    source = trained_run / kept
    shutil.copytree(source, run / kept) if source.is_dir() else shutil.copy(source, run / kept)
    with pytest.raises(HqmdError, match="holds a run already, which cannot continue without its state/"):
        train(pairs, run)


def test_a_folder_that_died_before_its_first_state_is_taken(pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "state").mkdir(parents=True)
    (run / RECORD_FILE).write_text("{}")
    (run / "state" / "best-so-far.pt").write_text("the user's")
    train(pairs, run, time_limit=0, resume=can_resume(run))
    assert saved_states(run) and (run / "state" / "best-so-far.pt").read_text() == "the user's"


def test_a_second_trainer_is_told_who_holds_the_folder(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with claim(tmp_path / "run"), pytest.raises(HqmdError, match=rf"in use by process {os.getpid()} on"):
        train(pairs, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.pt"))


def test_a_refused_run_leaves_no_folder(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match="lower --batch-size"):
        list(fit(MODEL, TINY.with_settings(batch_size=9), *open_training_data(pairs), tmp_path / "a" / "run"))
    assert not (tmp_path / "a" / "run").exists()


# ---- the command


@pytest.mark.slow
def test_resume_alone_takes_everything_from_the_newest_unfinished_run(hqmd, pairs: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    flags = ("train", "--data", "pairs", *FLAGS, "--lr", 0.003, "--epochs", 2)
    first = hqmd(*flags, "--time-limit", "0s")
    (run,) = Path("runs").iterdir()
    lines = first.stderr.splitlines()
    assert lines[0] == lines[-1] == f"run folder: {run}" and run.name.startswith("hqmd-20")
    resumed = hqmd("train", "--resume", "--workers", 0, "--device", "cpu")
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming {run}, hqmd on pairs, train" in resumed.stderr
    assert json.loads((run / "last" / "config.json").read_text())["training"]["lr"] == 0.003
    again = hqmd(*flags, "--resume", "--time-limit", "0s")  # it is finished: another one is started, and this is said
    assert "there is no unfinished run of hqmd on this data to resume" in again.stderr
    assert len(list(Path("runs").iterdir())) == 2


def test_other_settings_are_refused_with_both_values(hqmd, pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert hqmd("train", "--data", pairs, *FLAGS, "-o", run, "--time-limit", "0s").returncode == 0
    refused = hqmd("train", "--resume", "-o", run, "--batch-size", 1, "--loss", "l1")
    assert refused.returncode == 1
    assert "loss was full and is l1 now; batch_size was 2 and is 1 now" in refused.stderr
    assert f"--start {run / 'best'} -o ANOTHER" in refused.stderr
    refused = hqmd("train", "--resume", "-o", run, "--model", "fcrn")
    assert "system was hqmd and is fcrn now" in refused.stderr


def test_resume_on_a_folder_without_a_run_starts_one_and_says_so(hqmd, pairs: Path, tmp_path: Path) -> None:
    told = hqmd("train", "--data", pairs, *FLAGS, "-o", tmp_path / "run", "--resume", "--time-limit", "0s")
    assert told.returncode == 0 and "there is no run to resume, so one is started" in told.stderr


@pytest.mark.slow
def test_a_run_of_an_earlier_hqmd_resumes_without_flags_but_data(hqmd, pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert hqmd("train", "--data", pairs, *FLAGS, "-o", run, "--epochs", 1, "--time-limit", "0s").returncode == 0
    for name in (RECORD_FILE, DATA_FILE):
        (run / name).unlink()
    told = hqmd("train", "--data", pairs, "--resume", "-o", run, "--workers", 0, "--device", "cpu")
    assert told.returncode == 0, told.stderr
    assert "did not record its files" in told.stderr


def test_a_damaged_record_is_refused_by_name(hqmd, pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert hqmd("train", "--data", pairs, *FLAGS, "-o", run, "--time-limit", "0s").returncode == 0
    for content in ("[]", "{", '{"settings": 3, "about": {}}'):
        (run / RECORD_FILE).write_text(content)
        told = hqmd("train", "--data", pairs, "--resume", "-o", run)
        assert told.returncode == 1 and "run.json: not the record of a run" in told.stderr


@pytest.mark.slow
def test_a_finished_run_is_not_unfinished_even_without_a_record(pairs: Path, tmp_path: Path) -> None:
    run = stopped(pairs, tmp_path / "run")
    assert is_unfinished(run, None) and is_unfinished(run, read_record(run))
    train(pairs, run, resume=True)
    assert not is_unfinished(run, None) and not is_unfinished(run, read_record(run))


def test_changes_by_hand() -> None:
    assert changes({"size": [32, 48], "lr": 1.0}, {"size": (32, 48), "lr": 1.0}) == []
    assert changes({}, {"lr": TrainConfig().optimization.lr}) == []  # as if an earlier hqmd had no such setting
    assert changes({"lr": 1.0}, {"lr": 2.0, "new": 1}) == ["lr was 1 and is 2 now", "new was not known and is 1 now"]


# ---- pictures that cannot be validated on


class Holes(Slopes):
    """Some pictures have no depth, some cannot be read."""

    def __init__(self, number: int, holes: tuple[int, ...] = (), broken: tuple[int, ...] = ()) -> None:
        super().__init__(number)
        self.holes, self.broken = holes, broken

    def __getitem__(self, index: int):
        if index in self.broken:
            raise HqmdError(f"{index}.jpg: cannot be read")
        sample = super().__getitem__(index)
        return sample_from(sample.name, sample.image, 0 * sample.depth_m) if index in self.holes else sample


def validated(folder: Path, val: Slopes, data: Slopes | None = None, settings=ONCE):
    return list(fit(MODEL, settings, data or Slopes(2), val, folder, backbone_weights="none"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["holes", "broken"])
def test_one_val_picture_of_a_hundred_is_left_out_and_said(tmp_path: Path, how: str) -> None:
    reports = validated(tmp_path / "run", Holes(100, **{how: (7,)}))
    (said,) = notes(reports)
    assert said.startswith("val: left out: 7") and len(reports[-1].val.names) == 99


def test_more_are_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"2 of 100 pictures cannot be scored, more than 1%, such as"):
        validated(tmp_path / "run", Holes(100, holes=(7,), broken=(9,)))
    assert not saved_states(tmp_path / "run")


def test_a_batch_without_depth_is_left_out_and_said(tmp_path: Path) -> None:
    reports = validated(tmp_path, Slopes(2), Holes(4, holes=(1,)), TRAIN.with_settings(epochs=1, batch_size=1))
    (empty,) = [note for note in notes(reports) if "no valid depth pixel" in note]
    assert empty.startswith("left out: ") and empty.endswith(": 1")
    assert isinstance(reports[-1], EpochReport)


def test_no_run_among_the_files_of_data_or_a_model(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "link").symlink_to(pairs)
    (tmp_path / "file").write_text("mine")
    for output, said in (
        (pairs, "is what --data reads"),
        (tmp_path / "link", "is what --data reads"),
        (tmp_path / "model", "holds a model"),
        (tmp_path / "file", "exists and is not a folder"),
    ):
        with pytest.raises(HqmdError, match=said):
            plan_run(Asked(output, sources={"data": pairs}), print)
    assert plan_run(Asked(tmp_path / "run", sources={"data": pairs}), print).run_dir == tmp_path / "run"
