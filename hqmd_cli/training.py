"""The training loop, top to bottom: fit() computes and yields, the command prints.

Only the first weights of new layers and drop path come from global random state, seeded at the start and at each step;
the order of an epoch follows from (seed, epoch), the augmentation of a picture from (seed, epoch, index). So a run that
was stopped and resumed sees the very batches of the unbroken one.
"""

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from hqmd_cli.checkpoints import CheckpointInfo, load_weights, read_info, save_checkpoint
from hqmd_cli.config import ModelConfig, TrainConfig
from hqmd_cli.data.sample import TOLERATED_FAULTS, Dataset, Sample
from hqmd_cli.distillation import Teacher
from hqmd_cli.engines.torch_engine import TorchEngine
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation import evaluate
from hqmd_cli.figures import Result
from hqmd_cli.images import explain_write_errors, write_aside
from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_system
from hqmd_cli.models.system import DepthModel
from hqmd_cli.predictor import DepthPredictor
from hqmd_cli.protocol import find_protocol
from hqmd_cli.region import require_fit
from hqmd_cli.registry import pick
from hqmd_cli.transforms import AUGMENTATIONS, TrainTransform

STATE_FILE, HISTORY_FILE = "state.pt", "history.jsonl"
BEST, LAST = "best", "last"  # checkpoint folders inside a run
CHOSEN_BY = "RMSE"  # the metric, lower is better, that decides which epoch is `best`
LAYER_GROUPS = 8  # of the backbone's layers, each with one learning rate
SAVE_SECONDS = 300  # an epoch longer than this is saved on the way, too


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
class EpochReport:
    """After each epoch's validation."""

    epoch: int
    step: int
    loss: float  # mean over the epoch's steps
    val: Result
    is_best: bool


class TrainSet(torch.utils.data.Dataset[dict[str, Any]]):
    """A dataset's samples and as many of `extra`, another draw each epoch, augmented for one epoch, in one order."""

    def __init__(
        self, data: Dataset, extra: Dataset | None, transform: TrainTransform, seed: int, epoch: int, skip: int = 0
    ) -> None:
        self.data, self.extra, self.transform, self.seed, self.epoch = data, extra, transform, seed, epoch
        rng = np.random.default_rng((seed, epoch))
        self.order = rng.permutation(examples_an_epoch(data, extra))
        self.drawn = rng.permutation(len(extra) if extra else 0)
        self.skip = skip

    def __len__(self) -> int:
        return len(self.order) - self.skip

    def __getitem__(self, position: int) -> dict[str, Any]:
        """An example; for a picture that cannot be read the next one in the order, and `faults` says why."""
        faults: list[str] = []
        while True:
            index = int(self.order[(self.skip + position + len(faults)) % len(self.order)])
            try:
                example = self.transform(self.sample(index), np.random.default_rng((self.seed, self.epoch, index)))
                return {**example, "faults": "\n".join(faults)}  # a text, for those of a batch become a list
            except HqmdError as error:
                faults.append(" ".join(str(error).split()))
                require_few(faults, self.data, self.extra)

    def sample(self, index: int) -> Sample:
        """Of the data itself or, from its end on, of those drawn from the extra data."""
        own = len(self.data)
        return self.data[index] if index < own or not self.extra else self.extra[int(self.drawn[index - own])]


def require_few(faults: Collection[str], data: Dataset, extra: Dataset | None) -> None:
    """Raise HqmdError for more broken pictures than a run may leave out."""
    total = len(data) + (len(extra) if extra else 0)
    if len(faults) > TOLERATED_FAULTS * total:
        raise HqmdError(
            f"{len(faults)} of {total} training pictures cannot be read, more than {TOLERATED_FAULTS:.0%}, such as "
            f"{next(iter(faults))}; `hqmd check` finds all"
        )


def examples_an_epoch(data: Dataset, extra: Dataset | None) -> int:
    """How many pictures an epoch has: all of `data`, and of `extra` as many, or all where it has fewer."""
    return len(data) + (min(len(data), len(extra)) if extra else 0)


class Run:
    """What a run carries from step to step, and what resuming needs."""

    def __init__(
        self,
        model: ModelConfig,
        train: TrainConfig,
        backbone_weights: str,
        guide_weights: str,
        start: Path | None,
        device: torch.device,
        total_steps: int,
        about: Mapping[str, str],
    ) -> None:
        torch.manual_seed(train.seed)  # the new layers' first weights
        self.config, self.total_steps = train, total_steps
        self.settings = {**model.to_dict(), **train.to_dict(), **about}  # what a resumed run must share
        self.network = build_system(model, backbone_weights, guide_weights)
        if start:
            load_weights(self.network, start)
            self.network.rescale(read_info(start).model.depth_factor(min(model.size)))
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if train.freeze_backbone:
            if self.network.backbone is None:
                raise HqmdError(f"{model.system} has no backbone that could be frozen")
            self.network.backbone.net.requires_grad_(False)
        # Buffers, too: batch norm statistics of the latest weights do not fit averaged ones.
        average = moving_average(train.ema_decay)
        self.ema = AveragedModel(self.network, avg_fn=average, use_buffers=True) if train.ema_decay else None
        self.optimizer = build_optimizer(self.network, train)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: lr_factor(step, total_steps, train)
        )
        self.step = 0
        self.best = math.inf
        self.losses: list[float] = []  # of this epoch's steps

    @property
    def judged(self) -> DepthModel:
        """The weights that are validated and kept: the moving average where there is one."""
        return self.ema.module if self.ema else self.network  # type: ignore[return-value]

    def parts(self) -> dict[str, Any]:
        """Everything with a state_dict."""
        ema = {"ema": self.ema} if self.ema else {}
        return {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler, **ema}

    def save(self, run_dir: Path) -> None:
        """Write the state file, by rename."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {"step": self.step, "best": self.best, "losses": self.losses, "settings": self.settings}
        content = BytesIO()  # written in one piece: torch.save answers a full disk with words of its own
        torch.save(state, content)
        write_aside(run_dir / STATE_FILE, lambda aside: aside.write_bytes(content.getbuffer()))

    def restore(self, run_dir: Path) -> None:
        """Continue from the state file. Raises HqmdError when it is damaged or of a run with other settings or data."""
        path = run_dir / STATE_FILE
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch and pickle raise many types
            raise HqmdError(f"{path}: cannot be read, so the run cannot be resumed") from error
        if changed := [name for name, value in self.settings.items() if state["settings"].get(name) != value]:
            raise HqmdError(
                f"{path}: cannot resume with other settings: {', '.join(changed)}; use those of the run, or another -o"
            )
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.step, self.best, self.losses = state["step"], state["best"], state["losses"]


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The rule of the exponential moving average, with a shorter memory at first.

    Over n steps a decay of d still holds d^n of the untrained weights, 28 % after 630 steps at 0.998; the limit
    (1 + n) / (10 + n) is TensorFlow's for the same reason (tf.train.ExponentialMovingAverage, `num_updates`).
    """

    def average(averaged: Tensor, latest: Tensor, steps: Tensor | int) -> Tensor:
        share = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged.lerp(latest, share) if averaged.is_floating_point() else latest

    return average


def build_optimizer(network: DepthModel, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD; the pretrained parameters learn at their share of the rate."""
    pretrained = list(network.backbone.net.parameters()) if network.backbone else []
    head = [p for p in network.parameters() if p not in set(pretrained) and p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": head, "lr": config.lr}]
    for part in range(LAYER_GROUPS):  # equal numbers of tensors, in the order of the layers
        tensors = pretrained[part * len(pretrained) // LAYER_GROUPS : (part + 1) * len(pretrained) // LAYER_GROUPS]
        if learning := [p for p in tensors if p.requires_grad]:
            share = config.first_layer_lr_factor ** (1 - part / (LAYER_GROUPS - 1))
            groups.append({"params": learning, "lr": config.lr * config.backbone_lr_factor * share})
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(groups, lr=config.lr, weight_decay=config.weight_decay)


def lr_factor(step: int, total_steps: int, config: TrainConfig) -> float:
    """The learning rate at `step` as a share of config.lr: warm-up times decay."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "step":
        return warmup * config.lr_decay ** (step // config.lr_decay_steps)  # 4.1
    if config.schedule == "poly":
        return warmup * max(0.0, 1 - step / total_steps) ** config.poly_power
    return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))


def fit(
    model: ModelConfig,
    train: TrainConfig,
    train_data: Dataset,
    val_data: Dataset,
    run_dir: Path,
    *,
    extra_data: Dataset | None = None,
    backbone_weights: str = "default",
    guide_weights: str = "default",
    start: Path | None = None,
    teacher: Path | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    resume: bool = False,
) -> Iterator[StepReport | EpochReport | BrokenPicture]:
    """Train, and yield a report after each step and each epoch, and on each picture that cannot be read.

    `extra_data` is other data that is to make up half of each epoch, such as synthetic pictures beside photos.
    `start` is a checkpoint folder whose weights are the first ones, instead of a pretrained backbone's; `teacher` one
    whose depth is learned from, too.

    Writes `best/` and `last/` (checkpoints), `history.jsonl` (a row an epoch) and `state.pt` (for `resume`) into
    `run_dir`. Raises HqmdError when the data is too small for one batch, more than 1 % of it cannot be read, a loss is
    not finite, or the run cannot be resumed.
    """
    if model.also:
        raise HqmdError("networks that are averaged are trained apart, and joined by `hqmd merge`")
    device = device or torch.device("cpu")
    # An odd rest would be a smaller, noisier batch.
    steps_per_epoch = examples_an_epoch(train_data, extra_data) // train.batch_size
    if steps_per_epoch == 0:
        raise HqmdError(
            f"{train_data.description}: {len(train_data)} pictures do not fill a batch of "
            f"{train.batch_size}; lower --batch-size"
        )
    total_steps = min(train.max_steps or math.inf, train.epochs * steps_per_epoch)
    loss_of, protocol = build_loss(train.loss), find_protocol(train.protocol)

    if (run_dir / STATE_FILE).exists() != resume:
        problem = "there is no run to resume" if resume else "holds a run already; pass --resume, or another -o"
        raise HqmdError(f"{run_dir}: {problem}")
    with explain_write_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
    require_fit(val_data, protocol)  # what does not fit together should not wait for an epoch's end
    # Of a file only its name: folders are nobody else's business.
    origin = " and ".join(Path(w).name for w in (backbone_weights, *([guide_weights] if model.guide else [])))
    if start:
        before = read_info(start)
        origin = f"{called(start)}, which had learned from {before.data} and started from {before.backbone_weights}"
    learnt = train_data.description + (f", and as much of {extra_data.description}" if extra_data else "")
    about = {
        "train data": f"{learnt}, {examples_an_epoch(train_data, extra_data)} an epoch",
        "val data": f"{val_data.description}, {len(val_data)}",
        "weights at the start": origin,
        "teacher": called(teacher) if teacher else "",
    }
    teach = Teacher.load(teacher, model, device, train.precision == "bf16") if teacher else None
    pretrained = ("none", "none") if resume or start else (backbone_weights, guide_weights)
    run = Run(model, train, *pretrained, start, device, int(total_steps), about)
    backbone = run.network.backbone
    if backbone and train.batch_size == 1 and max(model.size) <= backbone.high_stride:
        raise HqmdError(
            "a batch of 1 whose deepest map is 1 x 1 leaves batch norm nothing to average: raise --size or --batch-size"
        )
    if resume:
        run.restore(run_dir)

    saved_at = time.monotonic()
    faults: dict[str, None] = {}  # of pictures that cannot be read, each once, in the order in which they were met
    while run.step < run.total_steps:
        epoch, done = divmod(run.step, steps_per_epoch)
        ended = time.perf_counter()
        for batch in unwrapped(batches(train_data, extra_data, model, train, epoch, done, workers)):
            for fault in new_faults(batch, faults):
                yield BrokenPicture(fault)
            require_few(faults, train_data, extra_data)
            loss = train_step(run, batch, loss_of, device, teach)
            began, ended = ended, time.perf_counter()
            yield StepReport(run.step, run.total_steps, loss, train.batch_size / (ended - began))
            if run.step == run.total_steps:
                break
            # Not after an epoch's last step: a run resumed from there would go on without its validation.
            if time.monotonic() - saved_at > SAVE_SECONDS and run.step % steps_per_epoch:
                run.save(run_dir)
                saved_at = time.monotonic()

        val = evaluate(DepthPredictor(TorchEngine(run.judged, device), model), val_data, protocol)
        is_best = val.metrics[CHOSEN_BY] < run.best
        run.best = min(run.best, val.metrics[CHOSEN_BY])
        info = CheckpointInfo(model, train, learnt, run.step, val.to_dict(), origin, about["teacher"])
        save_checkpoint(run_dir / LAST, run.judged, info)
        if is_best:
            save_checkpoint(run_dir / BEST, run.judged, info)
        report = EpochReport(epoch, run.step, float(np.mean(run.losses)), val, is_best)
        record(run_dir, report)
        run.losses = []
        run.save(run_dir)
        saved_at = time.monotonic()
        yield report


def called(checkpoint: Path) -> str:
    """A checkpoint in words: of a run, its folder too, for every run has a best and a last; no folder above that."""
    folder = checkpoint.resolve()
    return f"{folder.parent.name}/{folder.name}" if folder.name in (BEST, LAST) else folder.name


def new_faults(batch: dict[str, Any], known: dict[str, None]) -> list[str]:
    """What was wrong with pictures that this batch does without, as far as it is not known yet; then it is."""
    new = [fault for text in batch["faults"] for fault in text.splitlines() if fault not in known]
    known.update(dict.fromkeys(new))
    return list(dict.fromkeys(new))


def unwrapped(batches: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The batches; an HqmdError that a worker process put at the end of its traceback comes as it was raised."""
    try:
        yield from batches
    except HqmdError as error:
        raise HqmdError(str(error).rpartition("errors.HqmdError: ")[2]) from error


def batches(
    data: Dataset,
    extra: Dataset | None,
    model: ModelConfig,
    train: TrainConfig,
    epoch: int,
    done: int,
    workers: int,
) -> DataLoader[dict[str, Any]]:
    """The batches of one epoch that are left after `done` steps."""
    transform = TrainTransform(model.size, pick(AUGMENTATIONS, train.augmentation, "augmentation"))
    examples = TrainSet(data, extra, transform, train.seed, epoch, skip=done * train.batch_size)
    return DataLoader(examples, train.batch_size, drop_last=True, num_workers=workers)


def train_step(
    run: Run, batch: dict[str, Any], loss_of: Any, device: torch.device, teach: Teacher | None = None
) -> float:
    """One optimiser step; the loss before it. Raises HqmdError when the loss is not finite."""
    torch.manual_seed(run.config.seed + run.step)  # what drop path draws, so that a resumed run draws the same
    run.network.train()
    if run.config.freeze_backbone and run.network.backbone:
        run.network.backbone.net.eval()  # frozen means its batch norm statistics, too
    rgb = batch["rgb"].to(device, memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=run.config.precision == "bf16"):
        estimate = run.network.estimate(rgb)
    valid = batch["valid"].to(device)
    loss = loss_of(estimate, batch["depth_m"].to(device), valid)
    if teach:
        share = run.config.teacher_share
        loss = (1 - share) * loss + share * loss_of(estimate, teach(rgb), valid)
    if not math.isfinite(loss.item()):
        raise HqmdError(f"the loss is {loss.item()} at step {run.step + 1}; lower --lr, or look for odd depth values")
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    run.scheduler.step()
    if run.ema:
        run.ema.update_parameters(run.network)
    run.step += 1
    run.losses.append(loss.item())
    return loss.item()


def record(run_dir: Path, report: EpochReport) -> None:
    """Append the epoch to history.jsonl."""
    row = {"epoch": report.epoch, "step": report.step, "loss": report.loss, **report.val.to_dict()["metrics"]}
    path = run_dir / HISTORY_FILE
    with explain_write_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
