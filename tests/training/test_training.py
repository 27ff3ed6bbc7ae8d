"""The loop: it learns, it resumes to the bit, it stops loudly."""

import json
import math
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.checkpoints.run_folder import saved_states
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.data.sample import sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.losses import LOSSES, build_loss
from hqmd_cli.models import DECODERS, build_model
from hqmd_cli.training.accelerator import open_accelerator
from hqmd_cli.training.batches import TrainSet, batches, training_sizes
from hqmd_cli.training.loop import EpochReport, Note, StepReport, fit, train_step
from hqmd_cli.training.optimizer import build_optimizer, lr_factor, moving_average
from hqmd_cli.training.resume import new_run_folder
from hqmd_cli.training.state import Run

CPU = torch.device("cpu")
MODEL = ModelConfig().with_settings(
    backbone="test_efficientnet",
    size=(48, 64),
    output_stride=32,
    aspp_channels=32,
    low_channels=16,
    fuse_channels=32,
)
TRAIN = TrainConfig().with_settings(
    batch_size=2, epochs=2, lr=1e-3, optimizer="adamw", schedule="cosine", ema_decay=0.5
)

# The five "Baseline" rows of the paper's Table 1.
TABLE_1 = [
    ("baseline", "depth"),
    ("baseline+", "hu"),
    ("baseline+", "depth"),
    ("baseline+", "depth+mg"),
    ("baseline+", "full"),
]


class Flat:
    """Noise before a wall at one depth a picture; 0 is a picture without depth."""

    ground_truth, description = "as given", "flat"

    def __init__(self, depths_m):
        self.depths_m = depths_m

    def __len__(self):
        return len(self.depths_m)

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        return sample_from(f"{index}", image, np.full((48, 64), self.depths_m[index], np.float32))


def run(pairs, folder, model=MODEL, train=TRAIN, **options):
    """All reports of a run on the pairs."""
    return list(fit(model, train, *open_training_data(pairs), folder, backbone_weights="none", **options))


def carry(model, train):
    """What a run of two steps carries."""
    return Run(model, train, "none", None, open_accelerator(train, CPU), 2, {})


def epochs_of(reports):
    return [report for report in reports if isinstance(report, EpochReport)]


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "loss"), TABLE_1)
def test_every_baseline_of_table_1_trains_and_reopens_by_config_alone(pairs, tmp_path, decoder, loss):
    train = TRAIN.with_settings(loss=loss, max_steps=1, ema_decay=0)
    (report,) = epochs_of(run(pairs, tmp_path, MODEL.with_settings(decoder=decoder), train))
    network, info = load_checkpoint(tmp_path / "best", CPU)
    assert (info.model.network.decoder, info.training.objective.loss, info.step) == (decoder, loss, 1)
    assert info.figures["metrics"] == pytest.approx(report.val.metrics)
    assert network(torch.rand(1, 3, 48, 64)).shape == (1, 1, 48, 64)


def test_table_1_needs_nothing_else():
    assert {decoder for decoder, _ in TABLE_1} <= set(DECODERS) and {loss for _, loss in TABLE_1} <= set(LOSSES)


@pytest.mark.slow
def test_training_lowers_the_loss(pairs, tmp_path):
    # The ratio is 0.37 to 0.58 (four seeds), depending on the first weights, and so on torch's version. Six epochs at
    # 1e-3 gave 0.56 to 0.72.
    first, *_, last = epochs_of(run(pairs, tmp_path, train=TRAIN.with_settings(epochs=10, lr=2e-3, ema_decay=0)))
    assert last.loss < 0.7 * first.loss


@pytest.mark.slow
def test_a_stopped_and_resumed_run_equals_the_unbroken_one(pairs, tmp_path):
    unbroken = epochs_of(run(pairs, tmp_path / "unbroken"))
    stopped = fit(MODEL, TRAIN, *open_training_data(pairs), tmp_path / "stopped", backbone_weights="none")
    for report in stopped:
        if isinstance(report, EpochReport):
            stopped.close()  # as Ctrl-C would between two epochs
    resumed = epochs_of(run(pairs, tmp_path / "stopped", resume=True))
    assert [report.loss for report in resumed] == [report.loss for report in unbroken[1:]]
    for folder in ("best", "last"):
        ours, theirs = (
            load_checkpoint(tmp_path / kind / folder, CPU)[0].state_dict() for kind in ("stopped", "unbroken")
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_resuming_within_an_epoch_sees_the_rest_of_it(pairs, tmp_path, monkeypatch):
    unbroken = [r.loss for r in run(pairs, tmp_path / "unbroken") if isinstance(r, StepReport)]
    monkeypatch.setattr("hqmd_cli.training.loop.SAVE_SECONDS", -1)  # after every step
    stopped = fit(MODEL, TRAIN, *open_training_data(pairs), tmp_path / "stopped", backbone_weights="none")
    first, second = next(stopped), next(stopped)
    stopped.close()
    resumed = [r.loss for r in run(pairs, tmp_path / "stopped", resume=True) if isinstance(r, StepReport)]
    assert [first.loss, second.loss, *resumed] == unbroken


@pytest.mark.slow
def test_a_run_killed_in_its_last_validation_still_ends_with_a_checkpoint(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("hqmd_cli.training.loop.SAVE_SECONDS", -1)  # after every step
    train = TRAIN.with_settings(epochs=1)
    killed = fit(MODEL, train, *open_training_data(pairs), tmp_path, backbone_weights="none")
    next(killed), next(killed)
    killed.close()
    assert not (tmp_path / "best").exists()
    assert epochs_of(run(pairs, tmp_path, train=train, resume=True))
    assert load_checkpoint(tmp_path / "best", CPU)[1].step == 2


def test_a_damaged_state_and_other_data_cannot_be_resumed(pairs, tmp_path):
    run(pairs, tmp_path / "run", train=TRAIN.with_settings(max_steps=1))
    (pairs / "train.txt").write_text("a1\na2\na3\n")
    with pytest.raises(HqmdError, match=r"train: 2 of 8 files are gone, such as rgb/a4\.jpg"):
        run(pairs, tmp_path / "run", train=TRAIN.with_settings(max_steps=1), resume=True)
    (pairs / "train.txt").write_text("a1\na2\na3\na4\n")
    for state in saved_states(tmp_path / "run"):
        state.write_bytes(b"cut off")
    with pytest.raises(HqmdError, match=r"state/0+1\.00001\.pt: cannot be read, nor can older ones"):
        run(pairs, tmp_path / "run", train=TRAIN.with_settings(max_steps=1), resume=True)


def test_a_bad_photo_is_named_from_a_worker_process_too(pairs, tmp_path):
    for name in ("a1", "a2", "a3", "a4"):
        (pairs / "rgb" / f"{name}.jpg").write_bytes(b"no picture")
    with pytest.raises(HqmdError) as refusal:
        run(pairs, tmp_path, workers=1)
    assert re.match(rf"1 of 4 training pictures .* such as {pairs}/rgb/a\d\.jpg: ", str(refusal.value))
    assert "Traceback" not in str(refusal.value)


def test_a_protocol_that_does_not_fit_is_refused_before_the_first_step(pairs, tmp_path):
    for protocol, complaint in (("eigen-raw", "raw"), ("eigen-filled", "480, 640")):
        with pytest.raises(HqmdError, match=complaint):
            next(fit(MODEL, TRAIN.with_settings(protocol=protocol), *open_training_data(pairs), tmp_path / protocol))


def test_a_frozen_vision_transformer_still_trains_its_stem(tmp_path):
    model = MODEL.with_settings(backbone="test_vit", high_stages=2)
    frozen = carry(model, TRAIN.with_settings(freeze_backbone=True)).network.backbone
    assert all(p.requires_grad for p in frozen.stem.parameters())
    assert not any(p.requires_grad for p in frozen.net.parameters())


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(pairs, tmp_path, monkeypatch):
    """Traced, but left in torch's own operators: to make C++ of them takes a minute (test_publish.py does, long)."""
    compile_as = torch.nn.Module.compile
    used = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: used.append(compile_as(self, backend="eager")))
    train = TRAIN.with_settings(max_steps=2)
    plain, compiled = (run(pairs, tmp_path / str(c), train=train, compiled=c) for c in (False, True))
    assert len(used) == 1
    losses = [[r.loss for r in reports if isinstance(r, StepReport)] for reports in (plain, compiled)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert load_checkpoint(tmp_path / "True" / "best", CPU)[1].step == 2


@pytest.mark.slow
def test_history_has_a_row_an_epoch_with_the_metrics(pairs, tmp_path):
    reports = epochs_of(run(pairs, tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["loss"]) for row in rows] == [(report.epoch, report.loss) for report in reports]
    assert all(np.isfinite(row["RMSE"]) for row in rows)


@pytest.mark.slow
def test_best_is_the_epoch_with_the_lowest_rmse(pairs, tmp_path):
    reports = epochs_of(run(pairs, tmp_path, train=TRAIN.with_settings(epochs=5)))
    best = min(reports, key=lambda report: report.val.metrics["RMSE"])
    assert load_checkpoint(tmp_path / "best", CPU)[1].step == best.step


@pytest.mark.slow
def test_a_frozen_backbone_stays_as_it_was(pairs, tmp_path):
    run(pairs, tmp_path, train=TRAIN.with_settings(freeze_backbone=True, max_steps=1, ema_decay=0))
    one = load_checkpoint(tmp_path / "last", CPU)[0].backbone.state_dict()
    run(pairs, tmp_path / "more", train=TRAIN.with_settings(freeze_backbone=True, ema_decay=0))
    more = load_checkpoint(tmp_path / "more" / "last", CPU)[0].backbone.state_dict()
    assert all(torch.equal(one[name], more[name]) for name in one)  # batch norm statistics, too


@pytest.mark.slow
def test_the_backbones_first_layers_learn_least():
    """Three rates: the head's, the share of the backbone's last layers, and of that the share of its first."""
    shares = TRAIN.with_settings(lr=1.0, backbone_lr_factor=0.5, first_layer_lr_factor=0.1)
    network = build_model(MODEL)
    rate_of = {
        p: group["lr"] for group in build_optimizer(network, shares.optimization).param_groups for p in group["params"]
    }
    assert rate_of.keys() == set(network.parameters())
    pretrained = set(network.backbone.net.parameters())
    assert {rate for p, rate in rate_of.items() if p not in pretrained} == {1.0}
    rates = [rate_of[p] for p in network.backbone.net.parameters()]
    assert rates == sorted(rates) and rates[0] == pytest.approx(0.05) and rates[-1] == pytest.approx(0.5)
    even = build_optimizer(network, TRAIN.with_settings(lr=1.0, backbone_lr_factor=0.5).optimization)
    assert {group["lr"] for group in even.param_groups} == {1.0, 0.5}


@pytest.mark.slow
def test_drop_path_draws_the_same_in_a_resumed_run(pairs, tmp_path):
    model = MODEL.with_settings(drop_path=0.4)
    whole = [r.loss for r in run(pairs, tmp_path / "a", model) if isinstance(r, StepReport)]
    for report in fit(model, TRAIN, *open_training_data(pairs), tmp_path / "b", backbone_weights="none"):
        if isinstance(report, EpochReport):
            break  # killed after the first epoch
    rest = [r.loss for r in run(pairs, tmp_path / "b", model, resume=True) if isinstance(r, StepReport)]
    assert rest == whole[len(whole) // 2 :]


def test_bf16_computes_the_network_but_not_the_loss_in_short_numbers(pairs, tmp_path):
    """Its losses are those of float32 up to bfloat16's eight bits; weights and depths stay in float32."""
    seen = {}

    def watched(estimate, depth_m, valid):
        seen["depth"], seen["depths"] = estimate.depth_m.dtype, estimate.depth_m.detach()
        return build_loss("full")(estimate, depth_m, valid)

    batch = next(
        iter(
            batches(
                open_training_data(pairs)[0],
                None,
                [MODEL.network.size],
                TRAIN.batching,
                epoch=0,
                done=0,
                left=1,
                workers=0,
            )
        )
    )
    losses = {}
    for precision in ("fp32", "bf16"):
        train = TRAIN.with_settings(precision=precision)
        carried = carry(MODEL, train)
        carried.network.aspp.register_forward_hook(lambda _, __, out, kind=precision: seen.update({kind: out.dtype}))
        losses[precision] = train_step(carried, batch, watched)
        assert seen["depth"] == torch.float32
        assert len(torch.unique(seen["depths"])) > 1000  # of 6144: not the 256 steps an octave of eight bits
        assert all(p.dtype == torch.float32 for p in carried.network.parameters())
    assert (seen["fp32"], seen["bf16"]) == (torch.float32, torch.bfloat16)
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05) and losses["bf16"] != losses["fp32"]


@pytest.mark.parametrize(
    ("has", "precision", "is_slow"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, "bf16", True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, "fp32", False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, "bf16", False),
        ({"architecture": "aarch64"}, "bf16", False),  # not known
    ],
)
def test_a_processor_without_bf16_is_named_before_the_first_step(has, precision, is_slow, pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    train = TRAIN.with_settings(precision=precision, max_steps=1)
    reports = fit(MODEL, train, *open_training_data(pairs), tmp_path / "run", backbone_weights="none")
    first = next(report for report in reports if isinstance(report, Note | StepReport))
    assert (isinstance(first, Note) and "--precision fp32" in first.text) == is_slow


def test_the_moving_average_averages_batch_norm_statistics_too(pairs, tmp_path):
    """Averaged weights with the latest statistics are a network that nobody trained."""
    decay = 0.15  # below moving_average's (1 + n) / (10 + n), so that it holds from the second step on
    train = TRAIN.with_settings(ema_decay=decay)
    carried = carry(MODEL, train)
    batch = next(
        iter(
            batches(
                open_training_data(pairs)[0],
                None,
                [MODEL.network.size],
                TRAIN.batching,
                epoch=0,
                done=0,
                left=1,
                workers=0,
            )
        )
    )
    trajectory = []
    for _ in range(2):
        train_step(carried, batch, build_loss("full"))
        trajectory.append({name: tensor.clone() for name, tensor in carried.network.state_dict().items()})
    averaged = carried.evaluated.state_dict()
    for name in ("aspp.project.1.running_mean", "aspp.project.1.weight", "backbone.net.bn1.running_var"):
        expected = decay * trajectory[0][name] + (1 - decay) * trajectory[1][name]  # the first step starts the average
        torch.testing.assert_close(averaged[name], expected)


def test_a_loss_that_is_not_finite_stops_the_run(pairs, tmp_path, monkeypatch):
    real = build_loss("full")
    factors = iter([1.0, math.inf])

    def overflowing(*args):
        return real(*args) * next(factors)

    monkeypatch.setattr("hqmd_cli.training.loop.build_loss", lambda name: overflowing)
    with pytest.raises(HqmdError, match="at step 2"):
        run(pairs, tmp_path)


def test_too_few_pictures_for_a_batch_are_refused(pairs, tmp_path):
    with pytest.raises(HqmdError, match="lower --batch-size"):
        run(pairs, tmp_path, train=TRAIN.with_settings(batch_size=5))


def test_one_value_a_channel_is_refused_before_batch_norm_does(pairs, tmp_path):
    with pytest.raises(HqmdError, match="raise --size or --batch-size"):
        run(pairs, tmp_path, MODEL.with_settings(size=(32, 32)), TRAIN.with_settings(batch_size=1))


def test_resuming_nothing_and_restarting_something_are_refused(pairs, tmp_path):
    with pytest.raises(HqmdError, match="no run to resume"):
        run(pairs, tmp_path, resume=True)
    run(pairs, tmp_path, train=TRAIN.with_settings(max_steps=1))
    with pytest.raises(HqmdError, match="--resume"):
        run(pairs, tmp_path)


def test_the_papers_schedule():
    paper = TrainConfig()
    assert [lr_factor(step, 300_000, paper.schedule) for step in (0, 9_999, 10_000, 25_000)] == pytest.approx(
        [1, 1, 0.9, 0.81]
    )


def test_cosine_ends_at_zero_and_warms_up():
    config = TrainConfig().with_settings(schedule="cosine", warmup_steps=10)
    factors = [lr_factor(step, 100, config.schedule) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[100] == pytest.approx(0)
    assert np.argmax(factors) == 9


@pytest.mark.slow
def test_an_all_hole_picture_in_a_batch_does_not_count_but_an_all_hole_batch_is_an_error(tmp_path):
    step, *_ = fit(MODEL, TRAIN, Flat([2, 0]), Flat([2]), tmp_path / "some", backbone_weights="none")
    assert np.isfinite(step.loss)
    with pytest.raises(HqmdError, match="no valid depth pixel"):
        next(fit(MODEL, TRAIN, Flat([0, 0]), Flat([2]), tmp_path / "none", backbone_weights="none"))


def test_the_moving_average_forgets_where_it_began():
    """A plain average of decay 0.998 would still be 90 % the first value after 50 steps."""
    rule = moving_average(0.998)
    average, target = torch.zeros(1), torch.ones(1)
    for step in range(1, 51):
        average = rule(average, target, step)
    assert average > 0.99
    assert rule(torch.zeros(1), target, 10**6) == pytest.approx(0.002, rel=1e-3)  # in the long run, the decay's own
    assert rule(torch.tensor(3), torch.tensor(5), 7) == 5  # counters are copied


@pytest.mark.slow
def test_extra_data_is_half_of_each_epoch_and_drawn_anew(pairs, tmp_path):
    """Four own pictures and six others: an epoch has four of each, all own ones among them."""
    data, held_out = open_training_data(pairs)
    extra = Flat([2.0] * 6)
    drawn = []
    for epoch in range(3):
        examples = TrainSet(
            data, extra, lambda position: lambda sample, rng: {"name": sample.name}, seed=0, epoch=epoch
        )
        names = [examples[i]["name"] for i in range(len(examples))]
        assert len(names) == 8 and {"a1", "a2", "a3", "a4"} <= set(names)
        drawn.append(frozenset(names) - {"a1", "a2", "a3", "a4"})
        assert len(drawn[-1]) == 4
    assert len(set(drawn)) > 1
    reports = fit(MODEL, TRAIN, data, held_out, tmp_path / "run", extra_data=extra, backbone_weights="none")
    assert (
        sum(isinstance(report, StepReport) for report in reports)
        == TRAIN.batching.epochs * 8 // TRAIN.batching.batch_size
    )
    assert "and as much of" in load_checkpoint(tmp_path / "run" / "last", CPU)[1].data


def test_each_batch_has_one_of_the_sizes(pairs):
    """A resumed epoch, and one that other processes read, have the same sizes."""
    data, _ = open_training_data(pairs)
    sizes = training_sizes(MODEL.with_settings(size=[48, 64], size_multiple=16), (32, 48, 64))
    assert sizes == [(32, 48), (48, 64), (64, 80)]
    train = TRAIN.with_settings(batch_size=1).batching

    def shapes(epoch, done=0):
        loader = batches(data, None, sizes, train, epoch, done, left=4 - done, workers=0)
        return [tuple(batch["rgb"].shape[-2:]) for batch in loader]

    drawn = [shape for epoch in range(5) for shape in shapes(epoch)]
    assert set(drawn) == set(sizes)
    assert shapes(3, done=2) == shapes(3)[2:]
    assert training_sizes(MODEL, ()) == [MODEL.network.size]


def test_extra_data_must_not_hold_validation_photos(hqmd, pairs, tmp_path):
    (tmp_path / "extra.csv").write_text("image,depth\npairs/rgb/b1.jpg,pairs/depth/b1.png\n")
    result = hqmd(
        "train", "--data", pairs, "--extra-data", tmp_path / "extra.csv", "-o", tmp_path / "run",
        "--backbone-weights", "none",
    )  # fmt: skip
    assert result.returncode == 1 and "in the training and the validation data" in result.stderr
    assert not (tmp_path / "run").exists()


def test_without_a_folder_a_run_gets_a_new_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    today = date.today().isoformat()
    (tmp_path / "runs" / f"fcrn-{today}-1").mkdir(parents=True)
    said = []
    assert new_run_folder("hqmd", said.append) == Path(f"runs/hqmd-{today}-1")
    assert new_run_folder("fcrn", said.append) == Path(f"runs/fcrn-{today}-2")
    assert said == [f"run folder: runs/hqmd-{today}-1", f"run folder: runs/fcrn-{today}-2"]
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HqmdError, match="several processes need one folder"):
        new_run_folder("hqmd", said.append)
