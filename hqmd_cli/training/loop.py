"""The training loop, top to bottom: fit() computes and yields, the command prints.

Only the first weights of new layers and drop path come from global random state, seeded at the start and at each step;
what is read follows from seed, epoch and picture (batches.py). So a run that was stopped and resumed sees the very
batches of the unbroken one, and on a CPU ends with the same bits.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hqmd_cli.checkpoints.checkpoint import read_info, save_checkpoint
from hqmd_cli.checkpoints.hub import BEST, LAST
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.run_folder import CHOSEN_BY, read_history, write_history
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import evaluate
from hqmd_cli.evaluation.masking import require_fit
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.results import Result
from hqmd_cli.files.atomic import explain_write_errors
from hqmd_cli.files.folders import replaced_folder
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.inference.predictor import DepthPredictor
from hqmd_cli.losses import build_loss
from hqmd_cli.models.ordinal import DISCRETISATIONS
from hqmd_cli.parallel.batch_sums import GlobalBatchNorm
from hqmd_cli.training.accelerator import open_accelerator
from hqmd_cli.training.batches import batches, examples_an_epoch, new_faults, require_few, unwrapped
from hqmd_cli.training.curves import write_curves
from hqmd_cli.training.distillation import Teacher
from hqmd_cli.training.interruption import StopSignals
from hqmd_cli.training.samples import write_epoch_picture
from hqmd_cli.training.state import KEEP, Run, saved_states
from hqmd_cli.training.tracking import start_tracking, track_epoch

SAVE_SECONDS = 300  # an epoch longer than this is saved on the way, too

LossOf = Callable[[Any, Tensor, Tensor], Tensor]  # as losses.build_loss gives


@dataclass(frozen=True)
class StepReport:
    """After each optimiser step."""

    step: int
    total_steps: int
    loss: float
    pictures_per_second: float  # from the end of the step before: reading included


@dataclass(frozen=True)
class BrokenPicture:
    """When a picture that cannot be read is met for the first time; another one took its place."""

    fault: str


@dataclass(frozen=True)
class NewLayers:
    """When layers have another size than in the model that training starts from, and so begin anew."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class BrokenState:
    """When a state that cannot be read was passed over for an older one, and removed."""

    path: Path


@dataclass(frozen=True)
class BadBatch:
    """When a batch was left out because its loss, or a gradient, is not finite."""

    complaint: str
    so_far: int
    tolerated: int


@dataclass(frozen=True)
class Stopped:
    """When the time is up; the state is saved."""

    step: int
    reason: str


@dataclass(frozen=True)
class EpochReport:
    """After each epoch's validation."""

    epoch: int
    step: int
    loss: float  # mean over the epoch's steps
    val: Result
    is_best: bool


Event = EpochReport | BrokenPicture | NewLayers | BrokenState | BadBatch | Stopped  # what is seldom and told in a line
Report = StepReport | Event


class NotFinite(HqmdError):
    """A batch that nothing can be learned from."""


def fit(
    model: ModelConfig,
    train: TrainConfig,
    train_data: Dataset,
    val_data: Dataset,
    run_dir: Path,
    *,
    extra_data: Dataset | None = None,
    backbone_weights: str = "default",
    start: Path | None = None,
    teacher: Path | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    resume: bool = False,
    compiled: bool = False,
    time_limit: float = math.inf,
    keep: int = KEEP,
    trackers: tuple[str, ...] = (),
    command: str = "",
) -> Iterator[Report]:
    """Train, and yield a report after each step and each epoch, and on each picture or batch that is left out.

    `extra_data` is other data that is to make up half of each epoch, such as synthetic pictures beside photos.
    `start` is a checkpoint folder whose weights are the first ones, instead of a pretrained backbone's, as far as
    checkpoints.start_weights allows them to differ; `teacher` one whose depth is learned from, too. After `time_limit`
    seconds the run stops with its state saved, as it does for Ctrl-C and SIGTERM.

    Writes `best/` and `last/` (checkpoints, whose card tells the `command`), `history.jsonl` (a row an epoch),
    `curves.png`, `samples/` (a picture an epoch) and `state/` (for `resume`, the newest `keep`) into `run_dir`, and to
    the `trackers` of Accelerate. Under torchrun every process takes its part of each batch, and the first one
    validates, writes and reports epochs. Raises HqmdError when the data is too small for one batch, more than 1 % of it
    cannot be read, a loss is not finite, or the run cannot be resumed.
    """
    began_at = time.monotonic()
    if model.also:
        raise HqmdError("networks that are averaged are trained apart, and joined by `hqmd merge`")
    # An odd rest would be a smaller, noisier batch.
    steps_per_epoch = examples_an_epoch(train_data, extra_data) // train.batch_size
    if steps_per_epoch == 0:
        raise HqmdError(
            f"{train_data.description}: {len(train_data)} pictures do not fill a batch of "
            f"{train.batch_size}; lower --batch-size"
        )
    total_steps = min(train.max_steps or math.inf, train.epochs * steps_per_epoch)
    loss_of, protocol = build_loss(train.loss), find_protocol(train.protocol)
    require_fit(val_data, protocol)  # what does not fit together should not wait for an epoch's end
    claim(run_dir, resume)
    about = origins(train_data, val_data, extra_data, backbone_weights, start, teacher)

    accelerator = open_accelerator(train, device or torch.device("cpu"), run_dir, trackers)
    teach = Teacher.load(teacher, accelerator.device, train.precision == "bf16") if teacher else None
    pretrained = "none" if resume or start else backbone_weights
    run = Run(model, train, pretrained, start, accelerator, int(total_steps), about)
    require_normalisable(run, model)
    if resume:
        for path in run.restore(run_dir):
            yield BrokenState(path)
    elif run.new_layers:
        yield NewLayers(tuple(run.new_layers))
    if compiled:
        run.learner.compile()
    if trackers:
        start_tracking(accelerator, run_dir, model, train, about)

    saved_at = time.monotonic()
    faults: dict[str, None] = {}  # of pictures that cannot be read, each once, in the order in which they were met
    with StopSignals(always=accelerator.num_processes > 1) as signals:
        try:
            while run.step < run.total_steps or run.step > run.epochs_done * steps_per_epoch:
                epoch, done = run.epochs_done, run.step - run.epochs_done * steps_per_epoch
                ended = time.perf_counter()
                left = min(steps_per_epoch - done, run.total_steps - run.step)  # none: only validation is left
                for batch in unwrapped(batches(train_data, extra_data, model, train, epoch, done, left, workers)):
                    for fault in new_faults(batch, faults):
                        yield BrokenPicture(fault)
                    require_few(faults, train_data, extra_data)
                    with signals.held():
                        loss, complaint = tolerant_step(run, batch, loss_of, teach, run_dir)
                    if complaint:
                        yield BadBatch(complaint, run.bad_batches, train.skip_bad_batches)
                    began, ended = ended, time.perf_counter()
                    yield StepReport(run.step, run.total_steps, loss, train.batch_size / (ended - began))
                    late = time.monotonic() - began_at > time_limit
                    if must_stop(run, signals, late):
                        run.save(run_dir, keep)
                        yield Stopped(run.step, "the time is up")
                        return
                    if time.monotonic() - saved_at > SAVE_SECONDS:
                        run.save(run_dir, keep)
                        saved_at = time.monotonic()

                run.save(run_dir, keep)  # so that who stops the validation loses no step
                report = None
                if accelerator.is_main_process:
                    report = validate(run, model, val_data, protocol, run_dir, about, command)
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


def claim(run_dir: Path, resume: bool) -> None:
    """Make the run's folder. Raises HqmdError when it holds a run that is not to be resumed, or none that is."""
    if bool(saved_states(run_dir)) != resume:
        problem = "there is no run to resume" if resume else "holds a run already; pass --resume, or another -o"
        raise HqmdError(f"{run_dir}: {problem}")
    with explain_write_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)


def origins(
    train_data: Dataset,
    val_data: Dataset,
    extra_data: Dataset | None,
    backbone_weights: str,
    start: Path | None,
    teacher: Path | None,
) -> dict[str, str]:
    """What a run learns from, in words. A resumed run must have the same, and a checkpoint says it."""
    # Of a file only its name: folders are nobody else's business.
    origin = Path(backbone_weights).name
    if start:
        before = read_info(start)
        origin = f"{called(start)}, which had learned from {before.data} and started from {before.backbone_weights}"
    learnt = train_data.description + (f", and as much of {extra_data.description}" if extra_data else "")
    return {
        "data": learnt,
        "train data": f"{learnt}, {examples_an_epoch(train_data, extra_data)} an epoch",
        "val data": f"{val_data.description}, {len(val_data)}",
        "weights at the start": origin,
        "teacher": called(teacher) if teacher else "",
    }


def require_normalisable(run: Run, model: ModelConfig) -> None:
    """Refuse parts of a batch so small that batch norm has nothing to average."""
    backbone, part = run.network.backbone, run.config.batch_size // run.config.accumulate
    if backbone and part == 1 and max(model.size) <= backbone.high_stride:
        raise HqmdError(
            "a batch of 1 whose deepest map is 1 x 1 leaves batch norm nothing to average: raise --size or --batch-size"
        )


def must_stop(run: Run, signals: StopSignals, late: bool) -> bool:
    """Whether the time is up. With several processes all agree, after the same step, on that and on signals."""
    if run.accelerator.num_processes == 1:
        return late
    if signals.received or late:
        run.accelerator.set_trigger()
    if not run.accelerator.check_trigger():
        return False
    if signals.received:
        signals.stop()
    return True


def tolerant_step(
    run: Run, batch: dict[str, Any], loss_of: LossOf, teach: Teacher | None, run_dir: Path
) -> tuple[float, str]:
    """A step, or its place left empty: the loss, and what was wrong with the batch.

    Raises HqmdError when more batches are wrong than the run tolerates.
    """
    tolerated = run.config.skip_bad_batches
    buffers = {name: buffer.clone() for name, buffer in run.network.named_buffers()} if tolerated else {}
    try:
        return train_step(run, batch, loss_of, teach), ""
    except NotFinite as error:
        good = saved_states(run_dir)
        last_good = f"the last good state is {good[0]}" if good else "no state has been saved yet"
        if run.bad_batches >= tolerated:
            raise HqmdError(
                f"{error}; {last_good}; lower --lr, look at those pictures' depth, or pass --skip-bad-batches N"
            ) from error
        with torch.no_grad():  # statistics of batch norm have seen the batch
            for name, buffer in run.network.named_buffers():
                buffer.copy_(buffers[name])
        run.optimizer.zero_grad(set_to_none=True)
        run.scheduler.step()
        run.bad_batches += 1
        run.step += 1
        return math.nan, str(error)


def train_step(run: Run, batch: dict[str, Any], loss_of: LossOf, teach: Teacher | None = None) -> float:
    """One optimiser step; the loss before it. Raises NotFinite, the weights untouched, when that is no number."""
    accelerator, config = run.accelerator, run.config
    torch.manual_seed(config.seed + run.step)  # what drop path draws, so that a resumed run draws the same
    run.train_mode()
    run.optimizer.zero_grad(set_to_none=True)
    loss_value = 0.0
    parts = list(in_parts(batch, config.accumulate))
    for part in parts:
        rgb = part["rgb"].to(accelerator.device, memory_format=torch.channels_last)
        depth_m, valid = part["depth_m"].to(accelerator.device), part["valid"].to(accelerator.device)
        # Processes exchange their gradients once, after the last part.
        with accelerator.no_sync(run.learner) if part is not parts[-1] else nullcontext():
            with GlobalBatchNorm() if accelerator.num_processes > 1 else nullcontext():
                estimate = run.learner(rgb)
            loss = loss_of(estimate, depth_m, valid)
            if teach:
                share = config.teacher_share
                loss = (1 - share) * loss + share * loss_of(estimate, teach(rgb), valid)
            require_finite(loss.item(), "loss", run, part)
            accelerator.backward(loss / len(parts))
        loss_value += loss.item() / len(parts)
    if accelerator.scaler is None:  # which looks for infinite gradients itself
        gradients = [p.grad for p in run.network.parameters() if p.grad is not None]
        require_finite(torch.nn.utils.get_total_norm(gradients).item(), "gradient", run, batch)
    if config.clip_norm:
        accelerator.clip_grad_norm_(run.network.parameters(), config.clip_norm)
    run.optimizer.step()
    run.scheduler.step()
    if run.ema:
        run.ema.update_parameters(run.network)
    run.step += 1
    run.losses.append(loss_value)
    return loss_value


def in_parts(batch: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """A batch in equal parts."""
    size = len(batch["rgb"]) // number
    for start in range(0, size * number, size):
        yield {name: values[start : start + size] for name, values in batch.items()}


def require_finite(value: float, what: str, run: Run, batch: dict[str, Any]) -> None:
    """Raise NotFinite, naming the pictures."""
    if not math.isfinite(value):
        raise NotFinite(f"the {what} is {value} at step {run.step + 1}, for {', '.join(batch['name'])}")


def validate(
    run: Run,
    model: ModelConfig,
    val_data: Dataset,
    protocol: Protocol,
    run_dir: Path,
    about: dict[str, str],
    command: str,
) -> EpochReport:
    """Measure the network after an epoch, and keep it as the last one, and as the best if it is."""
    predictor = DepthPredictor(TorchEngine(run.judged, run.accelerator.device), model)
    val = evaluate(predictor, val_data, protocol, flat=model.activation in DISCRETISATIONS)
    is_best = val.metrics[CHOSEN_BY] < run.best
    run.best = min(run.best, val.metrics[CHOSEN_BY])
    origin, teacher = about["weights at the start"], about["teacher"]
    info = CheckpointInfo(model, run.config, about["data"], run.step, val.to_dict(), origin, teacher, command=command)
    for name in (LAST, BEST) if is_best else (LAST,):
        with replaced_folder(run_dir / name) as folder:
            save_checkpoint(folder, run.judged, info, name=name)
    loss = float(np.mean(run.losses)) if run.losses else math.nan
    row = {"epoch": run.epochs_done, "step": run.step, "loss": loss, "lr": run.learning_rate}
    row |= val.to_dict()["metrics"]
    with explain_write_errors(run_dir):
        write_history(run_dir, [*read_history(run_dir), row])
        write_curves(run_dir)
        write_epoch_picture(predictor, val_data, run_dir, run.epochs_done)
    track_epoch(run.accelerator, row)
    return EpochReport(run.epochs_done, run.step, loss, val, is_best)


def called(checkpoint: Path) -> str:
    """A checkpoint in words: of a run, its folder too, for every run has a best and a last; no folder above that."""
    folder = checkpoint.resolve()
    return f"{folder.parent.name}/{folder.name}" if folder.name in (BEST, LAST) else folder.name
