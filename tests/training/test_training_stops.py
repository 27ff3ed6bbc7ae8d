"""Nothing lost: kills, signals, full disks, broken states, and losses that are no numbers."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.checkpoints.run_folder import read_history, saved_states
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import name_beside, replaced_folder
from hqmd_cli.training.interruption import StopSignals, Terminated, parse_duration
from hqmd_cli.training.loop import EpochReport, Note, StepReport, fit
from hqmd_cli.training.state import read_state
from kill_harness import MODEL, TRAIN, Slopes, ends_alike

HARNESS = Path(__file__).parents[1] / "kill_harness.py"
SHORT = TRAIN.with_settings(epochs=2)


class Poisoned(Slopes):
    """One of its pictures has a depth that no loss survives."""

    def __init__(self, number: int, poisoned: int) -> None:
        super().__init__(number)
        self.poisoned = poisoned

    def __getitem__(self, index: int):
        sample = super().__getitem__(index)
        return replace(sample, depth_m=np.full_like(sample.depth_m, np.inf)) if index == self.poisoned else sample


def run(folder: Path, train=SHORT, data=None, **options):
    return fit(MODEL, train, data or Slopes(10), Slopes(2), folder, backbone_weights="none", **options)


def weights(folder: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / name, torch.device("cpu"))[0].state_dict()


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def harness(folder: Path, kills: int) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HARNESS), str(folder), "--kills", str(kills)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_a_run_that_is_killed_twice_ends_as_the_unbroken_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hqmd_cli.training.loop.SAVE_SECONDS", -1)  # after every step
    assert ends_alike(tmp_path, kills=2) and "kill 2" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.long
def test_a_run_that_is_killed_thirty_times_ends_as_the_unbroken_one(tmp_path):
    log = harness(tmp_path, 30)
    assert "kill 30" in log
    assert int(re.search(r"30 kills, (\d+) while a file was written", log)[1]) > 0


@pytest.mark.slow
def test_the_newest_state_is_broken_and_the_one_before_is_taken(tmp_path):
    list(run(tmp_path / "unbroken"))
    stopped = run(tmp_path / "stopped", keep=3)
    while not isinstance(next(stopped), EpochReport):
        pass
    stopped.close()
    newest, *older = saved_states(tmp_path / "stopped")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one bit in the middle, which torch.load alone would not notice
    newest.write_bytes(content)
    reports = list(run(tmp_path / "stopped", resume=True))
    assert Note(f"{newest}: cannot be read; resuming from an older state") in reports and older
    assert same_weights(tmp_path / "stopped", tmp_path / "unbroken")
    assert read_history(tmp_path / "stopped") == read_history(tmp_path / "unbroken")


@pytest.mark.unix
def test_a_pipe_in_place_of_a_state_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "1.pt")
    with pytest.raises(HqmdError, match=r"1\.pt: cannot be read: .*a pipe or device"):
        read_state(tmp_path / "1.pt")


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1, 3])
def test_the_newest_states_are_kept(tmp_path, monkeypatch, keep):
    monkeypatch.setattr("hqmd_cli.training.loop.SAVE_SECONDS", -1)
    list(run(tmp_path, keep=keep))
    states = [read_state(path)["step"] for path in saved_states(tmp_path)]
    assert len(states) == keep and states[0] == 10 and states == sorted(states, reverse=True)


STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (getattr(signal, "SIGHUP", None), 129)]


@pytest.mark.slow
@pytest.mark.unix
@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_signal_after_the_first_epoch_saves_and_says_so(hqmd, pairs, tmp_path, monkeypatch, number, code):
    monkeypatch.setattr("hqmd_cli.training.loop.track_epoch", lambda *told: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    result = hqmd(
        "train", "--data", pairs, "-o", tmp_path / "run", "--backbone", "test_efficientnet",
        "--backbone-weights", "none", "--size", "32x48", "--batch-size", 2, "--epochs", 9, "--workers", 0,
    )  # fmt: skip
    assert result.returncode == code and "--resume goes on" in result.stderr
    assert read_state(saved_states(tmp_path / "run")[0])["step"] == 2 and signal.getsignal(number) is before


@pytest.mark.unix
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), STOPS)
def test_ctrl_c_and_sigterm_save_and_say_so(pairs, tmp_path, number, code):
    command = [
        sys.executable, "-m", "hqmd_cli", "train", "--data", str(pairs), "-o", str(tmp_path / "run"),
        "--backbone", "test_efficientnet", "--backbone-weights", "none", "--size", "32x48", "--batch-size", "2",
        "--epochs", "100000", "--workers", "1",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        for line in process.stderr:
            if line.startswith("epoch 2:"):
                os.killpg(process.pid, number)  # to the workers, too, as a terminal does
                break
        rest = process.stderr.read()
    assert process.returncode == code, rest
    assert "--resume goes on" in rest and "Traceback" not in rest
    state = read_state(saved_states(tmp_path / "run")[0])
    assert state["step"] >= 4 and not list((tmp_path / "run").rglob("*.part"))


@pytest.mark.unix
def test_a_signal_waits_for_the_end_of_the_step_and_a_second_one_does_not():
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt), signals.held():
            os.kill(os.getpid(), signal.SIGINT)
            finished = True
        assert finished
    with StopSignals() as signals, pytest.raises(Terminated) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 143
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals():  # under nohup
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    with StopSignals() as signals, pytest.raises(KeyboardInterrupt), signals.held():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one did not stop it")


@pytest.mark.slow
def test_time_is_up_after_a_step_and_the_run_can_go_on(tmp_path):
    list(run(tmp_path / "unbroken"))
    reports = list(run(tmp_path / "run", time_limit=0))
    assert isinstance(reports[-1], Note) and reports[-1].text.startswith("stopped after step 1: the time is up")
    list(run(tmp_path / "run", resume=True, time_limit=1000))
    assert same_weights(tmp_path / "run", tmp_path / "unbroken")


def test_durations():
    assert [parse_duration(text) for text in ("90s", "45m", "8h", "1h30m", "2d", "0.5h")] == [
        90, 2700, 28800, 5400, 172800, 1800,
    ]  # fmt: skip
    for nonsense in ("", "90", "h", "5 m", "-3m", "1h30", "1x"):
        with pytest.raises(HqmdError, match="not a duration"):
            parse_duration(nonsense)


@pytest.mark.unix
@pytest.mark.slow
def test_a_full_disk_leaves_the_last_state_as_it_was(tmp_path):
    """By a limit of the system's on the size of files, which stands for a full disk."""
    import resource

    stopped = run(tmp_path)
    next(stopped)
    stopped.close()
    before = saved_states(tmp_path)[0].read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(HqmdError, match="cannot be written"):
            list(run(tmp_path, resume=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved_states(tmp_path)[0].read_bytes() == before
    assert isinstance(list(run(tmp_path, resume=True))[-1], EpochReport)


def test_a_loss_that_is_no_number_names_step_pictures_and_the_last_good_state(tmp_path, monkeypatch):
    monkeypatch.setattr("hqmd_cli.training.loop.SAVE_SECONDS", -1)
    with pytest.raises(HqmdError) as refusal:
        list(run(tmp_path, data=Poisoned(10, 3)))
    text = str(refusal.value)
    assert "the loss is" in text and "at step" in text and "--skip-bad-batches" in text
    assert " 3" in text.split("for ")[1].split(";")[0].replace(",", " ").join(" ,")
    good = saved_states(tmp_path)
    assert (str(good[0]) in text) if good else ("no state has been saved yet" in text)


@pytest.mark.slow
def test_tolerated_bad_batches_are_counted_and_leave_no_trace(tmp_path):
    """Two epochs meet the picture twice: one too many for 1. The statistics of batch norm stay finite."""
    reports = list(run(tmp_path / "two", SHORT.with_settings(skip_bad_batches=2), Poisoned(10, 3)))
    said = [report.text.partition(":")[0] for report in reports if isinstance(report, Note)]
    assert [line for line in said if "tolerated" in line] == [f"left out ({n} of 2 tolerated)" for n in (1, 2)]
    assert sum(math.isnan(r.loss) for r in reports if isinstance(r, StepReport)) == 2
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "two").values())
    with pytest.raises(HqmdError, match="the loss is"):
        list(run(tmp_path / "one", SHORT.with_settings(skip_bad_batches=1), Poisoned(10, 3)))


@pytest.mark.slow
def test_a_batch_in_parts_learns_nearly_the_same(tmp_path):
    """Batch norm sees smaller batches, so frozen here; BerHu's threshold is that of each part, so a plain loss."""
    train = TRAIN.with_settings(
        batch_size=4, epochs=1, ema_decay=0, freeze_bn=True, optimizer="sgd", lr=0.01, loss="hu"
    )
    list(run(tmp_path / "whole", train))
    list(run(tmp_path / "parts", train.with_settings(accumulate=2)))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_frozen_batch_norm_keeps_its_statistics(tmp_path):
    list(run(tmp_path, SHORT.with_settings(freeze_bn=True, ema_decay=0)))
    running = {n: t for n, t in weights(tmp_path).items() if n.endswith("running_mean")}
    assert running and all((tensor == 0).all() for tensor in running.values())  # as a new network has them


def test_gradients_are_scaled_down_to_the_norm(tmp_path):
    free = list(run(tmp_path / "free", SHORT.with_settings(optimizer="sgd", lr=0.1, max_steps=2, ema_decay=0)))
    held = list(
        run(tmp_path / "held", SHORT.with_settings(optimizer="sgd", lr=0.1, max_steps=2, ema_decay=0, clip_norm=1e-9))
    )
    assert free[0].loss == held[0].loss and free[1].loss != held[1].loss


def test_a_folder_is_replaced_whole_whatever_moment_it_is_killed_at(tmp_path):
    folder = tmp_path / "best"
    for text in ("old", "new"):
        with replaced_folder(folder) as aside:
            (aside / "file").write_text(text)
    assert (folder / "file").read_text() == "new" and os.listdir(tmp_path) == ["best"]
    with pytest.raises(RuntimeError), replaced_folder(folder) as aside:
        raise RuntimeError("killed while it is filled")
    assert (folder / "file").read_text() == "new"
    folder.rename(name_beside(folder, ".best"))  # killed between the two renames
    for users in (".best.old", ".best.new"):
        (tmp_path / users).mkdir()
    with replaced_folder(folder) as aside:
        assert (folder / "file").read_text() == "new"
        (aside / "file").write_text("newest")
    assert (folder / "file").read_text() == "newest"
    assert sorted(os.listdir(tmp_path)) == [".best.new", ".best.old", "best"]


RECIPE = """[model]
backbone = "test_efficientnet"
size = [48, 64]
output_stride = 32
aspp_channels = 8
fuse_channels = 8
[training]
batch_size = 4
epochs = 6
optimizer = "sgd"
lr = 1e-3
"""


@pytest.mark.slow
@pytest.mark.long
def test_two_processes_learn_what_one_does(pairs, tmp_path):
    """The same batches of four, each process two of them; BerHu's threshold and batch norm are those of all four."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    arguments = ["-m", "hqmd_cli", "train", "--data", str(pairs), "--recipe", str(tmp_path / "recipe.toml")]
    arguments += ["--backbone-weights", "none", "--workers", "0"]
    port = str(20_000 + time.time_ns() % 10_000)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, start in (("one", [sys.executable]), ("two", torchrun)):
        command = [*start, *arguments, "-o", str(tmp_path / name)]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert result.returncode == 0, result.stderr
    one, two = read_history(tmp_path / "one"), read_history(tmp_path / "two")
    assert len(one) == 6 and one[-1]["loss"] < one[0]["loss"]
    for ours, theirs in zip(two, one, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)  # rounding grows from step to step
        assert ours["RMSE"] == pytest.approx(theirs["RMSE"], rel=1e-5)
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-6)


@pytest.mark.slow
def test_a_worker_that_is_left_over_ends_with_its_process(tmp_path):
    """One whose loader is still held at the end: Python sends it SIGTERM, then waits for it."""
    code = f"""
import sys; sys.path.insert(0, {str(HARNESS.parent)!r})
from dataclasses import replace
from kill_harness import MODEL, TRAIN, Slopes
from hqmd_cli.training.batches import batches, plain_errors
loader = batches(Slopes(10), None, [MODEL.network.size], TRAIN.batching, 0, 0, 5, 1)
kept = plain_errors(loader)
next(kept)
import builtins; builtins.kept = kept
"""
    result = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and not result.stderr, result.stderr
