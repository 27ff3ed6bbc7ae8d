"""The state of a run: network, optimiser, schedule and counters, in memory and in files.

RUN_DIR/state/00000123.00002.pt   the state after step 123 and two epochs; the newest few are kept
RUN_DIR/best, last                checkpoints
RUN_DIR/history.jsonl             a row per epoch
"""

import math
import zipfile
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import BEST, CONFIG_FILE, LAST
from hqmd_cli.checkpoints.run_folder import STATE_FOLDER, Row, read_history, saved_states, write_history
from hqmd_cli.checkpoints.settings import shown
from hqmd_cli.checkpoints.weights import start_weights
from hqmd_cli.config.network import TRANSFORMERS, ModelConfig, without_deleted
from hqmd_cli.config.training import Optimization, TrainConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import explain_write_errors, mended_folder, remove_unfinished, sync, write_aside
from hqmd_cli.files.regular import open_regular
from hqmd_cli.models import build_system
from hqmd_cli.models.base import DepthModel
from hqmd_cli.training.accelerator import Learner
from hqmd_cli.training.optimizer import build_optimizer, lr_factor, moving_average
from hqmd_cli.training.record import changes, refuse_changes

KEEP = 2  # states on the disk
COUNTERS = ("step", "epochs_done", "best", "losses", "bad_batches")  # attributes of Run that a state holds


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
        torch.manual_seed(train.batching.seed)  # for the weights of new layers
        self.model, self.config, self.total_steps, self.accelerator = model, train, total_steps, accelerator
        self.settings = {**model.to_flat(), **train.to_flat(), **about}  # a resumed run must have the same
        self.network = build_system(model, backbone_weights)
        self.new_layers: list[str] = []  # layers that have another size in `start`
        if start:
            self.new_layers = start_weights(self.network, start)
            self.network.rescale(*read_info(start).model.depth_law(min(model.network.size)))
        self.network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze(self.network, train.optimization)
        # With buffers: the latest statistics of batch norm do not fit averaged weights.
        decay = train.optimization.ema_decay
        self.ema = AveragedModel(self.network, avg_fn=moving_average(decay), use_buffers=True) if decay else None
        optimizer = build_optimizer(self.network, train.optimization)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_factor(step, total_steps, train.schedule)
        )
        self.optimizer = accelerator.prepare_optimizer(optimizer, device_placement=False)
        self.learner = accelerator.prepare_model(Learner(self.network), device_placement=False)
        self.step = 0
        self.epochs_done = 0  # including their validation
        self.best = math.inf  # lowest CHOSEN_BY so far
        self.losses: list[float] = []  # one for each step of this epoch
        self.bad_batches = 0  # skipped so far
        self.empty_batches = 0  # without depth, one after the other
        self.history: list[Row] = []  # a row per finished epoch, as in history.jsonl

    @property
    def evaluated(self) -> DepthModel:
        """Network that is validated and saved: with averaged weights if the run averages them."""
        return self.ema.module if self.ema else self.network  # type: ignore[return-value]

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step, for the layers that are not pretrained."""
        return float(self.scheduler.get_last_lr()[0])

    def train_mode(self) -> None:
        """Put the network into training mode, except for frozen parts, whose batch norm keeps its statistics."""
        self.network.train()
        if self.config.optimization.freeze_backbone and self.network.backbone:
            self.network.backbone.net.eval()
        if self.config.optimization.freeze_bn:
            for layer in batch_norms(self.network):
                layer.eval()

    def parts(self) -> dict[str, Any]:
        """Everything that has a state_dict, by its key in a state file."""
        parts = {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler}
        more = {"ema": self.ema, "scaler": self.accelerator.scaler}
        return parts | {name: part for name, part in more.items() if part is not None}

    def save(self, run_dir: Path, keep: int = KEEP) -> None:
        """Write the state of this step unless the file exists, then remove all but the newest `keep` states."""
        path = run_dir / STATE_FOLDER / f"{self.step:08}.{self.epochs_done:05}.pt"
        if not self.accelerator.is_main_process or path.exists():
            return
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {name: getattr(self, name) for name in COUNTERS} | {"settings": self.settings}
        content = BytesIO()  # torch.save would raise its own error for a full disk
        torch.save(state, content)

        def write(aside: Path) -> None:
            aside.write_bytes(content.getbuffer())
            sync(aside)

        write_aside(path, write)
        sync(path.parent)
        for old in saved_states(run_dir)[keep:]:
            old.unlink()

    def restore(self, run_dir: Path, accepted: Collection[str] = ()) -> list[Path]:
        """Continue from the newest readable state. Remove newer, unreadable ones and return their paths.

        Settings named in `accepted` may differ. Raises HqmdError if no state can be read, or its run had other settings
        or data.
        """
        path, state, broken = newest_state(run_dir)
        asked = {name: value for name, value in self.settings.items() if name not in accepted}
        refuse_changes(path, changes(state["settings"], asked), run_dir)
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        for name in COUNTERS:
            setattr(self, name, state[name])
        self.accelerator.wait_for_everyone()  # all processes have read the state
        if self.accelerator.is_main_process:
            for path in broken:
                path.unlink()
            for name in (BEST, LAST):  # first: what is left of one may be its only copy
                before = run_dir / f".{name}.old"  # up to commit f14ce80
                mended_folder(run_dir / name, before if (before / CONFIG_FILE).is_file() else None)
            for folder in (run_dir, run_dir / STATE_FOLDER, run_dir / BEST, run_dir / LAST):
                remove_unfinished(folder)
            drop_later_rows(run_dir, self.epochs_done)
        return broken


def require_same_layers(name: str, start: Path, model: ModelConfig) -> None:
    """Raise HqmdError, which names both networks, if layers of this model would not start from a checkpoint's weights.

    `name` is what the user called the checkpoint.
    """
    there, here = (each.network.to_flat() for each in (read_info(start).model, model))
    if there["system"] == TRANSFORMERS:
        return  # which brings its settings
    differ = [f"{key} {shown(there[key])} there, {shown(here[key])} here" for key in here if here[key] != there[key]]
    other = f"--start {name}: another network ({'; '.join(differ)})"
    try:
        new = start_weights(build_system(model, "none"), start)
    except HqmdError as error:
        raise (HqmdError(f"{other}; take its --recipe") if differ else error) from error
    if new:
        raise HqmdError(
            f"{other}, so {len(new)} layers, such as {new[0]}, would start untrained; take its --recipe, or pass "
            "--new-layers if that is meant"
        )


def freeze(network: DepthModel, config: Optimization) -> None:
    """Freeze the backbone or batch norm, as the settings say."""
    if config.freeze_backbone:
        if network.backbone is None:
            raise HqmdError(f"{network.config.system} has no backbone to freeze")
        network.backbone.net.requires_grad_(False)
    if config.freeze_bn:
        for layer in batch_norms(network):
            layer.requires_grad_(False)


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """List all batch norm layers of a network."""
    return [part for part in network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]


def newest_state(run_dir: Path) -> tuple[Path, dict[str, Any], list[Path]]:
    """Read the newest readable state of a run: return its path, the state, and newer ones that cannot be read.

    Raises HqmdError if no state can be read, or if its network is no longer implemented.
    """
    states = saved_states(run_dir)
    for place, path in enumerate(states):
        try:
            state = read_state(path)
        except HqmdError:
            continue
        try:
            return path, state | {"settings": without_deleted(state["settings"])}, states[:place]
        except HqmdError as error:
            raise HqmdError(f"{path}: {error}") from error
    raise HqmdError(f"{states[0]}: cannot be read, nor can older ones, so the run cannot be resumed")


def read_state(path: Path) -> dict[str, Any]:
    """Read a state file. Raises HqmdError if a single byte of it changed."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:  # torch.load checks no checksums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zipfile and pickle raise many types
        raise HqmdError(f"{path}: cannot be read: {first_line(error)}") from error


def drop_later_rows(run_dir: Path, epochs_done: int) -> None:
    """Remove epochs from the history that the restored state does not know: the run will reach them again."""
    rows = read_history(run_dir)
    kept = [row for row in rows if row["epoch"] < epochs_done]
    with explain_write_errors(run_dir):
        if kept != rows:
            write_history(run_dir, kept)
