"""`--start hf:`: a depth network of transformers learns metres, resumes to the bit, and opens in both libraries."""

import json
import os
import signal
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from conftest import scene
from hqmd_cli.checkpoints.checkpoint import load_checkpoint, read_info
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.files.regular import file_hash
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.inference.predictor import DepthPredictor
from hqmd_cli.training import loop
from hqmd_cli.training.fine_tuning import require_trainable
from hqmd_cli.training.loop import EpochReport, Note, StepReport, evaluate_and_sample, fit

if find_spec("transformers") is None:
    pytest.skip("the extra hub is not installed", allow_module_level=True)

import transformers

from tiny_models import save_model

CPU = torch.device("cpu")
SIZE = (32, 44)
TRAIN = TrainConfig().with_settings(
    batch_size=4, epochs=1, lr=1e-3, optimizer="adamw", loss="l1", first_layer_lr_factor=0.5, backbone_lr_factor=0.5
)
LONG = TRAIN.with_settings(epochs=8, lr=1e-2, ema_decay=0.9, schedule="cosine")
MODEL = ModelConfig().with_settings(size=SIZE)


class Rooms:
    """Floors with a box, in memory, `farther` than conftest's."""

    ground_truth, description = "as given", "rooms"

    def __init__(self, seeds, farther=1.0):
        self.seeds, self.farther = list(seeds), farther

    @property
    def names(self):
        return [f"room {seed}" for seed in self.seeds]

    photos = names

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, index):
        image, depth_m = scene(self.seeds[index], (48, 66))
        return sample_from(f"room {self.seeds[index]}", image, depth_m * np.float32(self.farther))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Family -> hf: and its folder, made when it is first asked for."""
    top = tmp_path_factory.mktemp("models")

    def name(family):
        folder = top / family
        return f"hf:{folder if folder.is_dir() else save_model(family, folder)}"

    return name


def tune(start, folder, train=TRAIN, data=None, model=MODEL, **options):
    """All reports of a run on a few rooms."""
    return list(fit(model, train, data or Rooms(range(8)), Rooms((90, 91)), folder, start=start, **options))


def notes_of(reports):
    return [report.text for report in reports if isinstance(report, Note)]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["depth-anything", "depth-anything-metric", "dpt", "glpn", "zoedepth"])
def test_each_family_learns_and_opens_in_both_libraries(models, tmp_path, family):
    """With equal numbers, and the same settings wherever it is opened."""
    tune(models(family), tmp_path / "run", TRAIN.with_settings(max_steps=1))
    best = tmp_path / "run" / "best"
    network, info = load_checkpoint(best, CPU)
    theirs = transformers.AutoModelForDepthEstimation.from_pretrained(best).eval()
    pixels = torch.rand(2, 3, *((32, 32) if family == "dpt" else (64, 96)))
    with torch.no_grad():
        torch.testing.assert_close(
            network.net(pixel_values=pixels).predicted_depth,
            theirs(pixel_values=pixels).predicted_depth,
            rtol=0,
            atol=0,
        )
    assert str(tmp_path) not in (best / "config.json").read_text() + (best / "README.md").read_text()
    before = transformers.AutoImageProcessor.from_pretrained(models(family).removeprefix("hf:"))
    assert transformers.AutoImageProcessor.from_pretrained(best).to_dict() == before.to_dict()
    assert f"Started from: hf:{family}, under its publisher's licence" in (best / "README.md").read_text()
    assert (info.model.network.system, info.step) == ("transformers", 1)


def killed_run(start, folder, steps):
    """Train in a process of its own, which is killed after so many steps; it saves after each."""
    ear, mouth = os.pipe()
    if not (pid := os.fork()):
        try:
            torch.set_num_threads(1)  # a fork does not take threads along
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(loop, "SAVE_SECONDS", 0)
                for report in fit(MODEL, LONG, Rooms(range(40)), Rooms(range(90, 96)), folder, start=start):
                    os.write(mouth, b"." * isinstance(report, StepReport))
        finally:
            os._exit(1)
    os.close(mouth)
    for _ in range(steps):
        os.read(ear, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ear)


@pytest.mark.unix
@pytest.mark.slow
def test_forty_pairs_lower_the_error_and_a_killed_run_ends_with_the_same_bits(models, tmp_path):
    data = Rooms(range(40)), Rooms(range(90, 96))
    unbroken = list(fit(MODEL, LONG, *data, tmp_path / "unbroken", start=models("depth-anything")))
    errors = [report.val.metrics["RMSE"] for report in unbroken if isinstance(report, EpochReport)]
    before, _ = load_checkpoint(tmp_path / "unbroken" / "start", CPU)
    predictor = DepthPredictor(TorchEngine(before, CPU), read_info(tmp_path / "unbroken" / "start").model)
    untrained = evaluate_and_sample(predictor, data[1], find_protocol("hqmd"))[0].metrics["RMSE"]
    assert errors[-1] < 0.8 * untrained and errors[-1] < errors[0]
    killed_run(models("depth-anything"), tmp_path / "killed", steps=13)
    for _ in fit(MODEL, LONG, *data, tmp_path / "killed", start=models("depth-anything"), resume=True):
        pass
    names = [f"{kind}/last/model.safetensors" for kind in ("unbroken", "killed")]
    assert file_hash(tmp_path / names[0]) == file_hash(tmp_path / names[1])


@pytest.mark.slow
def test_what_it_learned_serves_predict_and_another_run(hqmd, models, photo, tmp_path):
    tune(models("glpn"), tmp_path / "run", TRAIN.with_settings(max_steps=1, precision="bf16", ema_decay=0.9))
    best = tmp_path / "run" / "best"
    assert hqmd("info", best).returncode == 0
    result = hqmd("predict", photo, "-o", tmp_path / "depth.npy", "-m", best)
    assert result.returncode == 0, result.stderr
    assert np.load(tmp_path / "depth.npy").shape == (80, 96)
    reports = tune(best, tmp_path / "second", TRAIN.with_settings(max_steps=1), model=ModelConfig())
    assert read_info(tmp_path / "second" / "best").model == read_info(best).model
    assert any(isinstance(report, StepReport) for report in reports)


@pytest.mark.slow
def test_depth_beyond_what_the_network_can_give_is_said_before_the_first_step(models, tmp_path):
    """Row M7: 25 m pairs, a cap of 20 m."""
    reports = tune(
        models("depth-anything-metric"), tmp_path, TRAIN.with_settings(max_steps=1), Rooms(range(8), 25 / 4.5)
    )
    first = next(place for place, report in enumerate(reports) if isinstance(report, StepReport))
    (note,) = [note for note in notes_of(reports[:first]) if "beyond 20 m" in note]
    depths_m = np.concatenate(
        [sample.depth_m.ravel() for sample in map(Rooms(range(8), 25 / 4.5).__getitem__, range(8))]
    )
    assert f"{(depths_m > 20).mean():.1%} of the training depth" in note and "up to 25.0 m" in note


@pytest.mark.slow
@pytest.mark.parametrize(("farther", "cap_m"), [(1, 20), (25 / 4.5, 80), (100 / 4.5, 100)])
def test_a_relative_start_becomes_metric_and_says_so(models, tmp_path, farther, cap_m):
    """Row M7: the conversion is stated, the saved config says metric and cap, and depth is near the truth at once."""
    data = Rooms(range(8), farther)
    reports = tune(models("depth-anything"), tmp_path, TRAIN.with_settings(max_steps=1), data)
    said = f"gives no metres: they are fitted to its numbers by least squares on 8 training pictures, up to {cap_m} m"
    assert any(said in note for note in notes_of(reports))
    for checkpoint in ("start", "best"):
        config = json.loads((tmp_path / checkpoint / "config.json").read_text())
        assert (config["depth_estimation_type"], config["max_depth"]) == ("metric", cap_m)
    network, info = load_checkpoint(tmp_path / "start", CPU)
    assert "its disparity became metres by least squares" in info.backbone_weights
    with torch.no_grad():
        given = network(torch.rand(1, 3, *SIZE)).median()
    assert 0.5 < given / (3 * farther) < 2


def test_unusable_starts(models, tmp_path):
    with pytest.raises(HqmdError, match=r"hqmd trains depth_anything.*no prompt_depth_anything such as this one"):
        require_trainable(models("prompt-depth-anything"), ModelConfig())
    with pytest.raises(HqmdError, match=r"brings its own network.*leave out --model fcrn"):
        require_trainable(models("glpn"), ModelConfig().with_settings(system="fcrn"))
    with pytest.raises(HqmdError, match="leave out backbone"):
        require_trainable(models("glpn"), ModelConfig().with_settings(backbone="resnet18"))


@pytest.mark.slow
def test_settings_that_bring_in_code_are_refused(models, tmp_path):
    tune(models("glpn"), tmp_path / "run", TRAIN.with_settings(max_steps=1))
    config = tmp_path / "run" / "best" / "config.json"
    values = json.loads(config.read_text())
    parts = json.loads(values["model"]["transformers"])
    for bad, said in ({"quantization_config": {"a": 1}}, "quantized"), ({"model_type": "llama"}, "llama is not one of"):
        changed = json.dumps(parts | {"config": parts["config"] | bad})
        config.write_text(json.dumps(values | {"model": values["model"] | {"transformers": changed}}))
        with pytest.raises(HqmdError, match=said):
            load_checkpoint(config.parent, CPU)


@pytest.mark.slow
def test_the_command_starts_and_goes_on(hqmd, models, pairs, tmp_path):
    run = tmp_path / "run"
    asked = ("train", "--data", pairs, "--start", models("depth-anything"), "-o", run, "--size", "33x46",
             "--batch-size", "2", "--epochs", "2", "--recipe", "modern", "--workers", "0")  # fmt: skip
    first = hqmd(*asked, "--time-limit", "0s")
    assert first.returncode == 0 and "it learns from pictures of 32 x 48" in first.stderr, first.stderr
    assert "gives no metres" in first.stderr and "stopped after step 1" in first.stderr
    alone = hqmd("train", "--resume", "-o", run, "--time-limit", "0s")
    assert alone.returncode == 0 and "stopped after step 2" in alone.stderr, alone.stderr
    last = hqmd(*asked, "--resume")
    assert last.returncode == 0 and "epoch 2:" in last.stderr, last.stderr
    assert hqmd("train", "--data", pairs, "--start", "py:a:b", "-o", tmp_path / "no").returncode == 1
