"""The training loop: fit() trains and yields reports, the command prints them. Read it from top to bottom.

A resumed run sees the same batches as an unbroken one, and on a CPU ends with the same bits. Pictures and their
augmentation depend on seed, epoch and index (batches.py). Only the weights of new layers and drop path use the global
random state, which is seeded at the start and before each step.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hqmd_cli.checkpoints.checkpoint import copy_checkpoint, save_checkpoint
from hqmd_cli.checkpoints.hub import BEST, HASHES_FILE, LAST
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.photo_hashes import note_photos
from hqmd_cli.checkpoints.run_folder import CHOSEN_BY, read_history, write_history
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import Dataset, Sample, evenly
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.omissions import find_omissions
from hqmd_cli.evaluation.prediction_source import Map, model_source
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.results import Result, collect
from hqmd_cli.evaluation.scoring import require_fit
from hqmd_cli.files.atomic import explain_write_errors, replaced_folder
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.inference.predictor import DepthPredictor
from hqmd_cli.losses import build_loss
from hqmd_cli.losses.relative import of_kinds
from hqmd_cli.losses.terms import NoValidDepth
from hqmd_cli.models.ordinal import DISCRETISATIONS
from hqmd_cli.parallel.batch_sums import GlobalBatchNorm
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.training.accelerator import open_accelerator, slow_precision
from hqmd_cli.training.batches import batches, examples_per_epoch, new_faults, plain_errors, require_few, training_sizes
from hqmd_cli.training.curves import write_curves
from hqmd_cli.training.distillation import Teacher
from hqmd_cli.training.fine_tuning import begin
from hqmd_cli.training.identity import content_of
from hqmd_cli.training.interruption import StopSignals
from hqmd_cli.training.origins import (
    DATA_IN_WORDS,
    check_identity,
    contents_of_teachers,
    holding_run_folder,
    open_run_folder,
    origins,
)
from hqmd_cli.training.record import RunRecord
from hqmd_cli.training.reports import GO_ON, BrokenPicture, EpochReport, Note, Report, StepReport
from hqmd_cli.training.samples import PICTURES, SampleRow, sample_row, write_samples
from hqmd_cli.training.state import KEEP, Run, saved_states
from hqmd_cli.training.tracking import start_tracking, track_epoch

SAVE_SECONDS = 300  # between two saved states within an epoch

LossOf = Callable[[Any, Tensor, Tensor], Tensor]  # what losses.build_loss returns


class NotFinite(HqmdError):
    """A batch whose loss, or a gradient, is not finite."""


@holding_run_folder
def fit(
    model: ModelConfig,
    train: TrainConfig,
    train_data: Dataset,
    val_data: Dataset,
    run_dir: Path,
    *,
    extra_data: Dataset | None = None,
    backbone_weights: str = "default",
    start: Path | str | None = None,
    teacher: Path | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    resume: bool = False,
    compiled: bool = False,
    time_limit: float = math.inf,
    keep: int = KEEP,
    trackers: tuple[str, ...] = (),
    command: str = "",
    sources: Mapping[str, Any] | None = None,
    verify: bool = False,
    accept_changes: bool = False,
) -> Iterator[Report]:
    """Train, and yield a report after each step and each epoch, and for each picture or batch that is skipped.

    `extra_data` makes up half of each epoch, for example other people's photos beside your own. `start` is a checkpoint
    folder whose weights replace those of a pretrained backbone; checkpoints.weights.start_weights says how far the
    networks may differ. As text it is a network of transformers (fine_tuning.py). `teacher` is a checkpoint folder
    whose depth the network learns from, too. After `time_limit` seconds, on Ctrl-C and on SIGTERM, the run saves its
    state and stops.

    Writes into `run_dir`: `best/` and `last/` (checkpoints, with `command` on their cards), `history.jsonl` (a row per
    epoch), `curves.png`, `samples/` (a picture per epoch) and `state/` (the newest `keep` states, for `resume`). Logs
    epochs to Accelerate's `trackers`. Under torchrun, every process takes its part of each batch; the first one
    validates, writes and reports epochs.

    `run.json` and `data.json` say what the run learns from: `sources` are the names under which the user gave it. A
    resumed run whose files or teacher have changed is refused unless `accept_changes`; `verify` reads all files to
    compare them. Pictures without truth are not validated on; a Note says so.

    Raises HqmdError if the data does not fill a batch, more than 1 % of it cannot be read, a loss is not finite, the
    run cannot be resumed, or another process holds its folder.
    """
    began_at = time.monotonic()
    if model.others:
        raise HqmdError("networks that are averaged cannot be trained; train each one and join them with `hqmd merge`")
    # Pictures that do not fill a batch are left out: a smaller batch would be noisier.
    steps_per_epoch = examples_per_epoch(train_data, extra_data) // train.batching.batch_size
    if steps_per_epoch == 0:
        raise HqmdError(
            f"{train_data.description}: {len(train_data)} pictures do not fill a batch of "
            f"{train.batching.batch_size}; lower --batch-size"
        )
    total_steps = min(train.batching.max_steps or math.inf, train.batching.epochs * steps_per_epoch)
    loss_of, protocol = build_loss(train.objective.loss), find_protocol(train.objective.protocol)
    require_fit(val_data, protocol)  # before the first epoch, not after it
    open_run_folder(run_dir, resume)
    if start is not None:
        model, start, notes = begin(model, start, train_data, run_dir, resume)
        yield from map(Note, notes)
    about = origins(train_data, val_data, extra_data, backbone_weights, start, teacher, (sources or {}).get("origin"))
    datasets = {"train": train_data, "val": val_data, "extra": extra_data}
    record = RunRecord(
        model.to_flat() | train.to_flat(), about, dict(sources or {}),
        content_of(teacher, start, backbone_weights) | contents_of_teachers(train_data, extra_data), int(total_steps),
    )  # fmt: skip
    if Ranks.from_environment().is_first:
        yield from map(Note, check_identity(run_dir, record, datasets, resume, verify, accept_changes))
        omissions = find_omissions(val_data, protocol, max(1, workers))
        yield from (Note(f"val: {line}") for line in omissions.lines())
        if not resume or accept_changes or not (run_dir / HASHES_FILE).exists():
            note_photos(run_dir, (train_data, extra_data), start, workers)
        val_data = omissions.rest(val_data)

    accelerator = open_accelerator(train, device or torch.device("cpu"), run_dir, trackers)
    if slow := slow_precision(train.numerics.precision, accelerator.device):
        yield Note(slow)
    teach = Teacher.load(teacher, accelerator.device, train.numerics.precision == "bf16") if teacher else None
    pretrained = "none" if resume or start else backbone_weights
    run = Run(model, train, pretrained, start, accelerator, int(total_steps), about)
    require_normalisable(run)
    if resume:
        for path in run.restore(run_dir, DATA_IN_WORDS if accept_changes else ()):
            yield Note(f"{path}: cannot be read; resuming from an older state")
    elif run.new_layers:
        yield Note(f"another size than in --start, so these layers start untrained: {', '.join(run.new_layers)}")
    run.history = read_history(run_dir)
    if compiled:
        run.learner.compile()
    if trackers:
        start_tracking(accelerator, run_dir, model, train, about)

    saved_at = time.monotonic()
    faults: dict[str, None] = {}  # an ordered set: one line for each picture that cannot be read
    with StopSignals(always=accelerator.num_processes > 1) as signals:
        try:
            while run.step < run.total_steps or run.step > run.epochs_done * steps_per_epoch:
                epoch, done = run.epochs_done, run.step - run.epochs_done * steps_per_epoch
                left = min(steps_per_epoch - done, run.total_steps - run.step)  # 0: only the validation is left
                ended = time.perf_counter()
                sizes, batching = training_sizes(model, train.batching.batch_sides), train.batching
                for batch in plain_errors(batches(train_data, extra_data, sizes, batching, epoch, done, left, workers)):
                    for fault in new_faults(batch, faults):
                        yield BrokenPicture(fault)
                    require_few(faults, train_data, extra_data)
                    with signals.held():
                        loss, skipped = step_or_skip(run, batch, loss_of, teach, run_dir, steps_per_epoch)
                    if skipped:
                        yield skipped
                    began, ended = ended, time.perf_counter()
                    yield StepReport(run.step, run.total_steps, loss, train.batching.batch_size / (ended - began))
                    late = time.monotonic() - began_at > time_limit
                    if must_stop(run, signals, late):
                        run.save(run_dir, keep)
                        yield Note(f"stopped after step {run.step}: the time is up; {GO_ON}")
                        return
                    if time.monotonic() - saved_at > SAVE_SECONDS:
                        run.save(run_dir, keep)
                        saved_at = time.monotonic()

                run.save(run_dir, keep)  # a stop during the validation loses no step
                report = None
                if accelerator.is_main_process:
                    report = validate(run, val_data, protocol, run_dir, about, command)
                accelerator.wait_for_everyone()
                run.losses, run.epochs_done = [], epoch + 1
                run.save(run_dir, keep)
                saved_at = time.monotonic()
                if report:
                    yield report
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            run.save(run_dir, keep)
            raise
        finally:
            if trackers:
                accelerator.end_training()


def require_normalisable(run: Run) -> None:
    """Raise HqmdError if batch norm would see one value per channel."""
    backbone, part = run.network.backbone, run.config.batching.batch_size // run.config.batching.accumulate
    if backbone and part == 1 and max(run.network.config.size) <= backbone.high_stride:
        raise HqmdError(
            "a batch of 1 whose deepest map is 1 x 1 leaves batch norm nothing to average: raise --size or --batch-size"
        )


def must_stop(run: Run, signals: StopSignals, late: bool) -> bool:
    """True if the time is up. Several processes agree here to stop after the same step, for time or a signal."""
    if run.accelerator.num_processes == 1:
        return late
    if signals.received or late:
        run.accelerator.set_trigger()
    if not run.accelerator.check_trigger():
        return False
    if signals.received:
        signals.stop()
    return True


def step_or_skip(
    run: Run, batch: dict[str, Any], loss_of: LossOf, teach: Teacher | None, run_dir: Path, steps_per_epoch: int
) -> tuple[float, Note | None]:
    """Take a step and return its loss, or skip a bad or empty batch and return NaN and a note about it.

    Raises HqmdError if more batches are bad than the run tolerates, or a whole epoch has no depth.
    """
    tolerated = run.config.numerics.skip_bad_batches
    buffers = {name: buffer.clone() for name, buffer in run.network.named_buffers()} if tolerated else {}
    try:
        loss = train_step(run, batch, loss_of, teach)
        run.empty_batches = 0
        return loss, None
    except NoValidDepth as error:
        run.empty_batches += 1
        if run.empty_batches >= steps_per_epoch:
            raise
        skip_step(run)
        return math.nan, Note(f"left out: {error}: {', '.join(map(printable, batch['name']))}")
    except NotFinite as error:
        good = saved_states(run_dir)
        last_good = f"the last good state is {good[0]}" if good else "no state has been saved yet"
        if run.bad_batches >= tolerated:
            raise HqmdError(
                f"{error}; {last_good}; lower --lr, check the depth of these pictures, or pass --skip-bad-batches N"
            ) from error
        with torch.no_grad():  # the statistics of batch norm include the bad batch
            for name, buffer in run.network.named_buffers():
                buffer.copy_(buffers[name])
        skip_step(run)
        run.bad_batches += 1
        return math.nan, Note(f"left out ({run.bad_batches} of {tolerated} tolerated): {error}")


def skip_step(run: Run) -> None:
    """Go on to the next step without learning from this one."""
    run.optimizer.zero_grad(set_to_none=True)
    run.scheduler.step()
    run.step += 1


def train_step(run: Run, batch: dict[str, Any], loss_of: LossOf, teach: Teacher | None = None) -> float:
    """Take one optimiser step and return the loss before it. Raises NotFinite before any weight changes."""
    accelerator, config = run.accelerator, run.config
    torch.manual_seed(config.batching.seed + run.step)  # drop path draws the same in a resumed run
    run.train_mode()
    run.optimizer.zero_grad(set_to_none=True)
    loss_value = 0.0
    parts = list(in_parts(batch, config.batching.accumulate))
    for part in parts:
        rgb = part["rgb"].to(accelerator.device, memory_format=torch.channels_last)
        depth_m, valid = part["depth_m"].to(accelerator.device), part["valid"].to(accelerator.device)
        # Processes average their gradients once, after the last part.
        with accelerator.no_sync(run.learner) if part is not parts[-1] else nullcontext():
            with GlobalBatchNorm() if accelerator.num_processes > 1 else nullcontext():
                estimate = run.learner(rgb)
            if "kind" in part:
                loss = of_kinds(loss_of, estimate, depth_m, valid, part["kind"].to(accelerator.device))
            else:
                loss = loss_of(estimate, depth_m, valid)
            if teach:
                share = config.objective.teacher_share
                loss = (1 - share) * loss + share * loss_of(estimate, teach(rgb), valid)
            require_finite(loss.item(), "loss", run, part)
            accelerator.backward(loss / len(parts))
        loss_value += loss.item() / len(parts)
    if accelerator.scaler is None:  # a scaler checks for infinite gradients itself
        gradients = [p.grad for p in run.network.parameters() if p.grad is not None]
        require_finite(torch.nn.utils.get_total_norm(gradients).item(), "gradient", run, batch)
    if config.optimization.clip_norm:
        accelerator.clip_grad_norm_(run.network.parameters(), config.optimization.clip_norm)
    run.optimizer.step()
    run.scheduler.step()
    if run.ema:
        run.ema.update_parameters(run.network)
    run.step += 1
    run.losses.append(loss_value)
    return loss_value


def in_parts(batch: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """Split a batch into equal parts."""
    size = len(batch["rgb"]) // number
    for start in range(0, size * number, size):
        yield {name: values[start : start + size] for name, values in batch.items()}


def require_finite(value: float, what: str, run: Run, batch: dict[str, Any]) -> None:
    """Raise NotFinite, which names the step and the pictures, unless `value` is finite."""
    if not math.isfinite(value):
        raise NotFinite(f"the {what} is {value} at step {run.step + 1}, for {', '.join(map(printable, batch['name']))}")


def validate(
    run: Run, val_data: Dataset, protocol: Protocol, run_dir: Path, about: dict[str, str], command: str
) -> EpochReport:
    """Evaluate the network after an epoch; save it as `last`, and as `best` if its error is the lowest so far."""
    network, learning_rate = run.evaluated, run.learning_rate
    predictor = DepthPredictor(TorchEngine(network, run.accelerator.device), run.model)
    val, samples = evaluate_and_sample(predictor, val_data, protocol)
    figures = val.to_dict()
    is_best = val.metrics[CHOSEN_BY] < run.best
    run.best = min(run.best, val.metrics[CHOSEN_BY])
    origin, teacher = about["weights at the start"], about["teacher"]
    info = CheckpointInfo(run.model, run.config, about["data"], run.step, figures, origin, teacher, command=command)
    with replaced_folder(run_dir / LAST) as folder:
        save_checkpoint(folder, network, info, name=LAST)
        if (run_dir / HASHES_FILE).exists():
            copyfile(run_dir / HASHES_FILE, folder / HASHES_FILE)
    if is_best:
        with replaced_folder(run_dir / BEST) as folder:
            copy_checkpoint(run_dir / LAST, folder, BEST)
    loss = float(np.mean(run.losses)) if run.losses else math.nan
    row = {"epoch": run.epochs_done, "step": run.step, "loss": loss, "lr": learning_rate, **figures["metrics"]}
    run.history.append(row)
    with explain_write_errors(run_dir):
        write_history(run_dir, run.history)
        write_curves(run_dir, run.history)
        write_samples(run_dir, run.epochs_done, samples)
    track_epoch(run.accelerator, row)
    return EpochReport(run.epochs_done, run.step, loss, val, is_best)


def evaluate_and_sample(
    predictor: DepthPredictor, val_data: Dataset, protocol: Protocol
) -> tuple[Result, list[SampleRow]]:
    """Predict each val picture once: score it, and keep a few for the epoch's samples."""
    places, samples, predicted = evenly(len(val_data), PICTURES), [], count()
    source = model_source(predictor, follows_camera=True)

    def predict(sample: Sample) -> Map:
        pred_m = source.map_of(sample)
        if next(predicted) in places:
            samples.append(sample_row(sample, pred_m))
        return pred_m

    # At first a network of intervals may predict one depth everywhere.
    flat = predictor.model.network.activation in DISCRETISATIONS
    scores = score_each(replace(source, map_of=predict), val_data, protocol, accept_flat=flat)
    return collect(scores, val_data, protocol), samples
