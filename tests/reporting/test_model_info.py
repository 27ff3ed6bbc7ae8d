"""`hqmd info`, and what a run leaves for people: curves, pictures of its epochs, the command that made a model."""

import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import VAL_NAMES
from hqmd_cli.checkpoints.checkpoint import load_checkpoint, read_info, write_info
from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.checkpoints.merge import merge_checkpoints
from hqmd_cli.checkpoints.run_folder import HISTORY_FILE, best_row, read_history
from hqmd_cli.checkpoints.settings import paper_of, shown
from hqmd_cli.checkpoints.weights import count_parameters
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_dataset
from hqmd_cli.data.sample import evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import SYSTEMS
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.terminal.command_line import command_line
from hqmd_cli.training.curves import CURVES_FILE, curves, write_curves
from hqmd_cli.training.samples import PICTURES, sample_row, write_samples
from hqmd_cli.training.tracking import parse_trackers, settings_to_log, start_tracking, track_epoch

COMMAND = "hqmd train --data pairs -o mine"


def rows_of(count: int) -> list[dict]:
    """A history whose best epoch is the last but one."""
    values = [{"loss": 2.0 / (n + 1), "lr": 1e-4, "RMSE": abs(count - 2 - n) + 0.5} for n in range(count)]
    return [{"epoch": n, "step": 10 * (n + 1), **v, "AbsRel": 0.2, "delta1": 0.7} for n, v in enumerate(values)]


def write_rows(folder: Path, rows: list[dict], torn: str = "") -> Path:
    """A run's folder with such a history."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HISTORY_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows) + torn)
    return folder


# info


@pytest.mark.slow
def test_info_tells_what_the_checkpoint_says(trained_run, tmp_path, hqmd):
    folder = shutil.copytree(trained_run / "best", tmp_path / "mine")
    info = replace(read_info(folder), command=COMMAND, teacher="hqmd-indoor", note="for rooms")
    write_info(folder, info)
    (folder / "model.onnx").write_bytes(b"a graph")
    told = json.loads(hqmd("info", folder, "--json").stdout)
    assert (told["command"], told["teacher"], told["note"]) == (COMMAND, "hqmd-indoor", "for rooms")
    assert (told["data"], told["step"], told["backbone_weights"]) == (info.data, 2, "none")
    assert told["engines"] == ["torch", "onnx"] and told["files"]["model.onnx"] == 7
    assert told["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    assert told["figures"] == info.figures
    network, training = told["settings"]["network"], told["settings"]["training"]
    assert network["backbone"] == {"value": "test_efficientnet", "paper": "resnet50", "differs": True}
    assert {n for n, s in training.items() if s["differs"]} == {"batch_size", "epochs", "lr"}
    assert set(network) == set(ModelConfig().to_flat()) - {"also"} and set(training) == set(TrainConfig().to_flat())
    text = hqmd("info", folder).stdout
    for line in (f"command           {COMMAND}", "teacher           hqmd-indoor", "engines           torch, onnx\n"):
        assert line in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "* backbone test_efficientnet (resnet50)" in lines and "decoder baseline+" in lines
    low, high = info.figures["intervals"]["RMSE"]
    assert f"RMSE {info.figures['metrics']['RMSE']:.4f} {low:.4f} to {high:.4f}" in lines
    assert f"protocol hqmd: {info.figures['recipe']}" in lines


def test_parameters_are_those_of_the_network(trained_run):
    network, _ = load_checkpoint(trained_run / "best", __import__("torch").device("cpu"))
    assert count_parameters(trained_run / "best") == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_models_need_no_torch(name, run_hqmd, tmp_path):
    for package in ("torch", "timm", "onnxruntime"):
        (tmp_path / f"{package}.py").write_text("raise ImportError('not for info')\n")
    result = run_hqmd("info", name, "--json", env={"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"})
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["parameters"] > 5e6 and "onnx" in told["engines"] and told["command"] == ""
    assert [s for s in told["settings"] if s.startswith("network")] == (
        ["network", "network 2"] if name == "hqmd-indoor" else ["network"]
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_paper_s_settings_are_the_recipe_s(system):
    assert paper_of(system) == from_paper(system, {})


def test_info_of_a_run(trained_run, tmp_path, hqmd):
    run = shutil.copytree(trained_run, tmp_path / "mine")
    (history,) = read_history(run)
    told = json.loads(hqmd("info", run, "--json").stdout)
    assert (told["run"], told["epochs"], told["best_epoch"], told["history"]) == ("mine", 1, 0, [history])
    assert told["best"]["step"] == told["last"]["step"] == 2 and told["best"]["model"] == "best"
    text = hqmd("info", run).stdout
    assert text.startswith("mine: a run of 1 epoch and 2 steps so far\n")
    assert "last is from step 2, best from step 2" in text and "test_efficientnet" in text


def test_info_of_a_long_run_shows_the_best_and_the_newest_epochs(tmp_path, hqmd):
    rows = rows_of(20)
    rows[3]["RMSE"], rows[5]["RMSE"], rows[19]["loss"] = 0.1, None, float("nan")
    run = write_rows(tmp_path / "long", rows, torn='{"epoch": 20, "st')
    assert json.loads(hqmd("info", run, "--json").stdout, parse_constant=pytest.fail)["history"][19]["loss"] is None
    text = hqmd("info", run).stdout
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("long: a run of 20 epochs and 200 steps so far\n")
    assert lines[3][:3] == ["*", "4", "40"] and [line[0] for line in lines[4:]] == [str(n) for n in range(11, 21)]
    assert lines[1] == ["epoch", "step", "loss", "RMSE", "AbsRel", "delta1", "lr"] and lines[3][-1] == "0.0001"


def test_info_of_a_run_that_has_just_begun(tmp_path, hqmd):
    (tmp_path / "young" / "state").mkdir(parents=True)
    assert hqmd("info", tmp_path / "young").stdout == "young: a run before the end of its first epoch\n"
    told = json.loads(hqmd("info", tmp_path / "young", "--json").stdout)
    assert told["best"] is None and told["best_epoch"] is None and told["history"] == []


def test_info_of_what_is_no_model(tmp_path, hqmd, trained_run):
    (tmp_path / "empty").mkdir()
    assert "a folder without config.json" in hqmd("info", tmp_path / "empty").stderr
    assert "no model 'nosuch'" in hqmd("info", "nosuch").stderr
    assert "this needs a checkpoint of hqmd's own" in hqmd("info", "py:os:getcwd").stderr
    assert f"{trained_run / 'best'} is one" in hqmd("push", trained_run, "me/rooms").stderr
    odd = shutil.copytree(trained_run / "best", tmp_path / "odd")
    values = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps({**values, "figures": {"RMSE": 0.1}}))
    assert "its figures are incomplete" in hqmd("info", odd).stderr
    broken = shutil.copytree(trained_run / "best", tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"torn")
    result = hqmd("info", broken)
    assert result.returncode == 1 and "model.safetensors: cannot be read" in result.stderr and not result.stdout


def test_a_note_cannot_paint_the_terminal(trained_run, tmp_path, hqmd):
    folder = shutil.copytree(trained_run / "best", tmp_path / "mine")
    write_info(folder, replace(read_info(folder), note="\x1b[2Jgone", figures={}))
    text = hqmd("info", folder).stdout
    assert "\x1b" not in text and "\\x1b[2Jgone" in text and "not measured" in text


def test_values_in_a_line():
    assert [shown(v) for v in ((224, 288), (), None, "", True, 1e-4, 8, 0)] == [
        *("224,288", "none", "none", "none", "yes", "0.0001", "8", "0")
    ]
    assert shown([{"name": "fast", "sides": (224,), "flip": False}]) == "fast sides 224 flip no"


# the command, and the card


def test_the_command_has_no_folders_of_this_machine(monkeypatch):
    given = ["train", "--data", "/home/me/secret/nyu.mat", "-o", "runs/mine", "--start=/home/me/runs/first/best"]
    told = command_line([*given, "--resume", "--size", "224x288", "--teacher", "~/my models/big"])
    assert told == "hqmd train --data nyu.mat -o runs/mine --start=first/best --size 224x288 --teacher big"
    assert command_line(["train", "-o/home/me/mine", "-d=/home/me/nyu.mat"]) == "hqmd train -omine -d=nyu.mat"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/hqmd", "train", "--data", "my pairs", "--val-data", "/"])
    assert shlex.split(command_line()) == ["hqmd", "train", "--data", "my pairs", "--val-data", ""]


def test_a_merged_model_has_the_commands_of_all_or_none(trained_run, tmp_path):
    folders = [shutil.copytree(trained_run / "best", tmp_path / name) for name in "ab"]
    write_info(folders[0], replace(read_info(folders[0]), command=COMMAND))
    merge_checkpoints(folders, tmp_path / "half")
    assert read_info(tmp_path / "half").command == ""
    write_info(folders[1], replace(read_info(folders[1]), command=f"{COMMAND}2"))
    merge_checkpoints(folders, tmp_path / "whole")
    assert read_info(tmp_path / "whole").command == f"{COMMAND} && {COMMAND}2"


def test_older_checkpoints_have_no_command(trained_run, tmp_path):
    folder = shutil.copytree(trained_run / "best", tmp_path / "old")
    values = json.loads((folder / "config.json").read_text())
    del values["command"]
    (folder / "config.json").write_text(json.dumps(values))
    info = read_info(folder)
    assert info.command == ""
    write_info(folder, info)
    assert "Made by\n" not in (folder / "README.md").read_text()


def test_the_card_tells_how_it_was_made(trained_run, tmp_path):
    folder = shutil.copytree(trained_run / "best", tmp_path / "mine")
    info = replace(read_info(folder), command=COMMAND)
    write_info(folder, info)
    assert read_info(folder) == info
    card = (folder / "README.md").read_text()
    assert f"\n    {COMMAND}\n" in card
    assert (
        "- Recipe: the paper's, except (paper's values in brackets) batch_size 2 (8), epochs 1 (20), lr 0.01 (0.0001)\n"
        in card
    )
    assert f"- Trained on: {info.data}; 2 steps" in card and f"Protocol hqmd: {info.figures['recipe']}" in card
    assert f"| RMSE | {info.figures['metrics']['RMSE']:.4f} |" in card


# history and curves


@pytest.mark.parametrize("torn", ["", '{"epoch": 3, "step": 4', "\x00\x00", "17\n", "[]", '{"loss": 1}\n'])
def test_a_torn_last_line_is_no_row(torn, tmp_path):
    rows = rows_of(3)
    assert read_history(write_rows(tmp_path / "run", rows, torn)) == rows
    assert best_row([{**rows[0], "RMSE": float("nan")}, *rows]) == rows[1]
    write_rows(tmp_path / "on", rows[:2], f'{{"epo{json.dumps(rows[0])}\n{json.dumps(rows[2])}\n')
    assert read_history(tmp_path / "on") == rows  # it went on behind the torn line
    assert best_row(rows) == rows[1] and best_row([]) is None and read_history(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 60])
def test_curves(count, tmp_path, real_curves):
    rows = rows_of(count)
    rows[0]["loss"] = float("nan")
    run = write_rows(tmp_path / "my $run$ \x1b", rows, torn='{"ep')
    write_curves(run, read_history(run))
    pixels = np.asarray(Image.open(run / CURVES_FILE).convert("RGB"))
    assert pixels.shape[1] == 1200 and pixels.std() > 5
    figure = curves(rows, "run")
    drawn = {axis.get_title(): axis.lines[0].get_xydata() for axis in figure.axes if axis.lines}
    assert list(drawn["val RMSE, metres"][:, 1]) == [row["RMSE"] for row in rows]
    assert list(drawn["learning rate"][:, 0]) == [row["step"] for row in rows]
    assert ("training loss" in drawn) == (count > 1) and "matplotlib.pyplot" not in sys.modules


def test_a_run_leaves_its_curves(trained_run):
    with Image.open(trained_run / CURVES_FILE) as picture:
        assert picture.size[0] == 1200 and np.asarray(picture.convert("RGB")).std() > 5


def test_without_an_epoch_or_a_learning_rate(tmp_path):
    for run in (tmp_path, write_rows(tmp_path / "run", [], torn='{"ep')):
        write_curves(run, read_history(run))
    assert not list(tmp_path.rglob("*.png"))
    rows = [{k: v for k, v in row.items() if k != "lr"} for row in rows_of(2)]
    assert [axis.get_title() for axis in curves(rows, "r").axes][-1] == "val delta1"


# pictures of the epochs


def test_the_same_pictures_in_the_same_colours_every_epoch(pairs, tmp_path):
    data = open_dataset(pairs, "val", None)
    paths = [draw_samples(data, depth_m, tmp_path, n) for n, depth_m in ((2, 2), (3, 9))]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "samples/epoch-003.png",
        "samples/epoch-004.png",
    ]
    first, second = (np.asarray(Image.open(path).convert("RGB")) for path in paths)
    assert first.shape == second.shape
    same = (first == second).all(axis=(0, 2))
    width = 400  # of a panel: 64 x 48 at a height of 300
    assert same[width : 2 * width].all()  # the truth, and so the range of colours, does not follow the prediction
    assert not same[2 * width : 4 * width].any()
    row = 18 + 18 + 150
    assert first[row, 3 * width + 200, 2] > first[row, 3 * width + 200, 0]  # 2 m is too near: blue
    assert second[row, 3 * width + 200, 0] > second[row, 3 * width + 200, 2]  # 9 m too far: red


def draw_samples(data, depth_m: float, folder: Path, epoch: int) -> Path:
    """An epoch's picture of a network that predicts one depth everywhere."""
    samples = [data[index] for index in evenly(len(data), PICTURES)]
    rows = [sample_row(sample, np.full(sample.depth_m.shape, depth_m, np.float32)) for sample in samples]
    return write_samples(folder, epoch, rows)


class Many:
    """A dataset of large frames of unlike sizes, the last without depth, that notes which were read."""

    ground_truth, description = "filled", "many"

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int):
        from hqmd_cli.data.sample import sample_from

        self.read.append(index)
        depth_m = np.full((90, 120 + 300 * (index == 0)), 0 if index == 999 else 3, np.float32)
        return sample_from(f"n{index}\x1b", np.zeros((*depth_m.shape, 3), np.uint8), depth_m)


def test_only_a_few_pictures_are_read(tmp_path):
    data = Many()
    for epoch in range(2):
        draw_samples(data, 3, tmp_path, epoch)
    assert len(data.read) == 2 * PICTURES and data.read[:PICTURES] == data.read[PICTURES:] == [0, 333, 666, 999]
    assert (tmp_path / "samples/epoch-001.png").read_bytes() == (tmp_path / "samples/epoch-002.png").read_bytes()
    assert len(VAL_NAMES) < PICTURES  # which the test above has


# trackers


def test_trackers_by_name(monkeypatch):
    there = {"tensorboard"}
    monkeypatch.setattr("hqmd_cli.installed.find_spec", lambda name: name if name in there else None)
    assert parse_trackers("tensorboard, tensorboard") == ("tensorboard",)
    with pytest.raises(HqmdError, match=r"--track wandb needs wandb; pip install .*\[wandb\]"):
        parse_trackers("tensorboard,wandb")
    with pytest.raises(HqmdError, match="no tracker named 'excel'; there are: tensorboard, wandb"):
        parse_trackers("excel")
    with pytest.raises(HqmdError, match="no tracker named ''"):
        parse_trackers("")


def test_settings_are_plain_for_trackers():
    flat_settings = settings_to_log(ModelConfig(), TrainConfig().with_settings(max_steps=None), {"data": "pairs"})
    assert flat_settings["model.size"] == "(289, 385)" and flat_settings["training.max_steps"] == "None"
    assert flat_settings["training.lr"] == 1e-4 and flat_settings["about.data"] == "pairs"
    assert all(isinstance(value, (bool, int, float, str)) for value in flat_settings.values())


def test_tensorboard_has_the_figures(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accelerator = accelerate.Accelerator(cpu=True, log_with=list(parse_trackers("tensorboard")), project_dir=tmp_path)
    start_tracking(accelerator, tmp_path, ModelConfig(), TrainConfig(), {"data": "pairs"})
    for row in rows_of(3):
        track_epoch(accelerator, {**row, "edgeF1": None, "bias": float("nan")})
    accelerator.end_training()
    events = EventAccumulator(str(tmp_path / "hqmd")).Reload()
    assert [(event.step, round(event.value, 3)) for event in events.Scalars("val/RMSE")] == [
        (10, 1.5),
        (20, 0.5),
        (30, 1.5),
    ]
    assert {"train/loss", "train/lr", "val/delta1"} <= set(events.Tags()["scalars"])
    assert not {"val/bias", "val/edgeF1"} & set(events.Tags()["scalars"])


def test_a_tracker_that_cannot_begin(tmp_path):
    class NoAccount:
        def init_trackers(self, *args: object, **more: object) -> None:
            raise RuntimeError("api_key not configured\nrun wandb login")

    with pytest.raises(HqmdError, match=r"--track: api_key not configured$"):
        start_tracking(NoAccount(), tmp_path, ModelConfig(), TrainConfig(), {})
