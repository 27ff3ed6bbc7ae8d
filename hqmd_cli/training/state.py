"""What a run carries from step to step, and how that outlasts the process.

RUN_DIR/state/00000123.pt   everything that resuming after step 123 needs; the newest few
RUN_DIR/best, last          checkpoints
RUN_DIR/history.jsonl       a row an epoch
"""

import math
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import BEST, LAST
from hqmd_cli.checkpoints.run_folder import STATE_FOLDER, read_history, write_history
from hqmd_cli.checkpoints.weights import start_weights
from hqmd_cli.config.network import ModelConfig, without_deleted
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import UNFINISHED, explain_write_errors, write_aside
from hqmd_cli.files.folders import mended_folder, sync
from hqmd_cli.models import build_system
from hqmd_cli.models.base import DepthModel
from hqmd_cli.training.accelerator import Learner
from hqmd_cli.training.optimizer import build_optimizer, lr_factor, moving_average

KEEP = 2  # newest states that stay on the disk
CARRIED = ("step", "epochs_done", "best", "losses", "bad_batches")  # numbers


class Run:
    """Network, optimiser, schedule and counters of one run, on one device."""

    def __init__(
        self,
        model: ModelConfig,
        train: TrainConfig,
        backbone_weights: str,
        start: Path | None,
        accelerator: Any,
        total_steps: int,
        about: Mapping[str, str],
    ) -> None:
        torch.manual_seed(train.seed)  # the new layers' first weights
        self.config, self.total_steps, self.accelerator = train, total_steps, accelerator
        self.settings = {**model.to_dict(), **train.to_dict(), **about}  # what a resumed run must share
        self.network = build_system(model, backbone_weights)
        self.new_layers: list[str] = []  # that the start has in another size
        if start:
            self.new_layers = start_weights(self.network, start)
            self.network.rescale(*read_info(start).model.depth_law(min(model.size)))
        self.network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(self.network, train)
        # Buffers, too: batch norm statistics of the latest weights do not fit averaged ones.
        average = moving_average(train.ema_decay)
        self.ema = AveragedModel(self.network, avg_fn=average, use_buffers=True) if train.ema_decay else None
        optimizer = build_optimizer(self.network, train)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, total_steps, train))
        self.optimizer = accelerator.prepare_optimizer(optimizer, device_placement=False)
        self.learner = accelerator.prepare_model(Learner(self.network), device_placement=False)
        self.step = 0
        self.epochs_done = 0  # validated ones
        self.best = math.inf
        self.losses: list[float] = []  # of this epoch's steps
        self.bad_batches = 0  # whose loss was not finite, left out

    @property
    def judged(self) -> DepthModel:
        """The weights that are validated and kept: the moving average where there is one."""
        return self.ema.module if self.ema else self.network  # type: ignore[return-value]

    @property
    def learning_rate(self) -> float:
        """Of what is not pretrained, at the step that comes."""
        return float(self.scheduler.get_last_lr()[0])

    def train_mode(self) -> None:
        """What learns is in training mode; what is frozen keeps its batch norm statistics, too."""
        self.network.train()
        if self.config.freeze_backbone and self.network.backbone:
            self.network.backbone.net.eval()
        if self.config.freeze_bn:
            for layer in batch_norms(self.network):
                layer.eval()

    def parts(self) -> dict[str, Any]:
        """Everything with a state_dict."""
        parts = {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler}
        more = {"ema": self.ema, "scaler": self.accelerator.scaler}
        return parts | {name: part for name, part in more.items() if part is not None}

    def save(self, run_dir: Path, keep: int = KEEP) -> None:
        """Write the state of this step, then remove all but the newest `keep`. Nothing where it is there already."""
        path = run_dir / STATE_FOLDER / f"{self.step:08}.{self.epochs_done:05}.pt"
        if not self.accelerator.is_main_process or path.exists():
            return
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {name: getattr(self, name) for name in CARRIED} | {"settings": self.settings}
        content = BytesIO()  # written in one piece: torch.save answers a full disk with words of its own
        torch.save(state, content)

        def write(aside: Path) -> None:
            aside.write_bytes(content.getbuffer())
            sync(aside)

        write_aside(path, write)
        sync(path.parent)
        for old in saved_states(run_dir)[keep:]:
            old.unlink()

    def restore(self, run_dir: Path) -> list[Path]:
        """Continue from the newest state that is whole; returned are newer ones that are not, and are removed.

        Raises HqmdError when none is, or it is of a run with other settings or data.
        """
        states, broken = saved_states(run_dir), []
        for path in states:
            try:
                state = read_state(path)
                break
            except HqmdError:
                broken.append(path)
        else:
            raise HqmdError(f"{states[0]}: cannot be read, nor can older ones, so the run cannot be resumed")
        try:
            settings = without_deleted(state["settings"])
        except HqmdError as error:
            raise HqmdError(f"{path}: {error}") from error
        if changed := [name for name, value in self.settings.items() if settings.get(name) != value]:
            raise HqmdError(
                f"{path}: cannot resume with other settings: {', '.join(changed)}; use those of the run, or another -o"
            )
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        for name in CARRIED:
            setattr(self, name, state[name])
        self.accelerator.wait_for_everyone()  # all have read
        if self.accelerator.is_main_process:
            for path in (*broken, *run_dir.rglob(UNFINISHED)):
                path.unlink()
            for folder in (BEST, LAST):
                mended_folder(run_dir / folder)
            forget_later(run_dir, self.epochs_done)
        return broken


def freeze(network: DepthModel, train: TrainConfig) -> None:
    """Take what is not to learn out of training."""
    if train.freeze_backbone:
        if network.backbone is None:
            raise HqmdError(f"{network.config.system} has no backbone that could be frozen")
        network.backbone.net.requires_grad_(False)
    if train.freeze_bn:
        for layer in batch_norms(network):
            layer.requires_grad_(False)


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """All of its batch norm layers."""
    return [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def saved_states(run_dir: Path) -> list[Path]:
    """State files of a run, newest first."""
    return sorted((run_dir / STATE_FOLDER).glob("*.pt"), reverse=True)


def read_state(path: Path) -> dict[str, Any]:
    """A state file. Raises HqmdError unless every byte of it is as it was written."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load looks at no checksums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle raise many types
        raise HqmdError(f"{path}: cannot be read: {first_line(error)}") from error


def forget_later(run_dir: Path, epochs_done: int) -> None:
    """Leave out of the history what comes after these: killed before that was saved, the run goes there again."""
    rows = read_history(run_dir)
    kept = [row for row in rows if row["epoch"] < epochs_done]
    with explain_write_errors(run_dir):
        if kept != rows:
            write_history(run_dir, kept)
