"""`hqmd train`: train a network on photos with depth."""

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import DeviceOption, parse_size
from hqmd_cli.commands.scoring_options import DataOption, DepthScaleOption, ProtocolName
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import PRECISIONS, TrainConfig
from hqmd_cli.losses import LOSSES
from hqmd_cli.models import DECODERS, SYSTEMS

# What other packages add can be chosen, too; so these are read here, as for a list.
LOSSES.extend()
SYSTEMS.extend()
LossName = StrEnum("LossName", {name: name for name in LOSSES})  # type: ignore[misc]
ModelName = StrEnum("ModelName", {name: name for name in SYSTEMS})  # type: ignore[misc]
PrecisionName = StrEnum("PrecisionName", {name: name for name in PRECISIONS})  # type: ignore[misc]
DecoderName = StrEnum("DecoderName", {name: name for name in DECODERS})  # type: ignore[misc]
DEFAULTS = ModelConfig().to_flat() | TrainConfig().to_flat()


def paper(setting: str) -> str:
    """End a help text with the default of a setting, which is the paper's."""
    default = DEFAULTS[setting]
    return f"  [paper: {'x'.join(map(str, default)) if isinstance(default, tuple) else default}]"


def train(
    data: DataOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN_DIR",
            help="Folder for best/, last/ and history.jsonl.  [default: a new one, such as runs/hqmd-2026-11-30-1]",
        ),
    ] = None,
    val_data: Annotated[
        Path | None,
        typer.Option(help="Validate on other data: its val split, or all of it if it has none.  [default: --data]"),
    ] = None,
    extra_data: Annotated[
        Path | None,
        typer.Option(help="Take half of each epoch from other data: its train split, or all of it if it has none."),
    ] = None,
    model: Annotated[
        ModelName | None, typer.Option(help="Network: the paper's, or another one of its Table 1.  [default: hqmd]")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="paper|modern|NAME|FILE",
            help="Settings of the paper, hqmd's own, a bundled model's (indoor-small), or a TOML file's; options "
            "override them.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in RUN_DIR with its own settings and data, or start one in a new folder; without "
            "-o, the newest unfinished run of the same network and data.",
        ),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="With --resume: read all files of the data to see if one has changed.")
    ] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --resume: go on even if data or teacher have changed.")
    ] = False,
    backbone: Annotated[str | None, typer.Option(help="Any timm backbone." + paper("backbone"))] = None,
    backbone_weights: Annotated[
        str | None,
        typer.Option(
            metavar="default|none|FILE",
            help="timm's pretrained weights, random ones, or a timm state dict.  [default: default]",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start from the weights of a trained model, or from hf:org/name of transformers.",
        ),
    ] = None,
    new_layers: Annotated[
        bool, typer.Option("--new-layers", help="With --start: train layers from scratch that do not fit its network.")
    ] = False,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Also learn from a trained model's depth (distillation); with --unlabelled, from any models.",
        ),
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            metavar="PHOTOS",
            help="Learn from photos without depth, which each --teacher labels once; with --data, half of each epoch.",
        ),
    ] = None,
    decoder: Annotated[DecoderName | None, typer.Option(help="Variant of the network." + paper("decoder"))] = None,
    loss: Annotated[LossName | None, typer.Option(help="Training objective." + paper("loss"))] = None,
    size: Annotated[
        tuple | None,
        typer.Option(parser=parse_size, metavar="HxW", help="Size of the pictures it is trained on." + paper("size")),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pictures per step." + paper("batch_size"))] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data." + paper("epochs"))] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after this many steps.")] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Stop after 90s, 45m, 8h or 1h30m; --resume continues.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate." + paper("lr"))] = None,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="Protocol of the validation." + paper("protocol"))
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of new weights, order and augmentation." + paper("seed"))
    ] = None,
    freeze_backbone: Annotated[
        bool | None, typer.Option("--freeze-backbone", help="Train only the layers after the backbone.")
    ] = None,
    freeze_bn: Annotated[
        bool | None, typer.Option("--freeze-bn", help="Freeze batch norm: its statistics, scales and shifts.")
    ] = None,
    ema_decay: Annotated[
        float | None,
        typer.Option(
            "--ema", metavar="DECAY", help="Validate and save a moving average of the weights.  [paper: none]"
        ),
    ] = None,
    precision: Annotated[
        PrecisionName | None, typer.Option(help="Number format in which the network computes." + paper("precision"))
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Split each batch into this many parts, to save memory.")
    ] = None,
    skip_bad_batches: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Skip up to N batches whose loss is not finite.")
    ] = None,
    deterministic: Annotated[
        bool | None, typer.Option("--deterministic", help="Give the same bits each time on a GPU, too; slower.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the network first (torch.compile).")] = False,
    track: Annotated[
        str | None,
        typer.Option(metavar="tensorboard,wandb", help="Also log each epoch there; needs the extra of that name."),
    ] = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="ORG/NAME", help="Publish the best checkpoint on the Hugging Face hub at the end."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository of --push-to-hub private.")] = False,
    keep: Annotated[int, typer.Option(min=1, help="Number of saved states to keep for --resume.")] = 2,
    depth_scale: DepthScaleOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Number of processes that read pictures.")] = 1,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Keep decoded pictures in $HQMD_CACHE or ~/.cache/hqmd.  [default: on a GPU, if it saves a minute]",
        ),
    ] = None,
) -> None:
    """Train a depth network, with the paper's settings by default.

    \b
    hqmd train --data nyu_depth_v2_labeled.mat -o runs/paper
    hqmd train --data pairs/ -o runs/mine --backbone tf_efficientnet_lite0 --size 224x288
    """
    from hqmd_cli.checkpoints.hub import BEST
    from hqmd_cli.export.publish import push_checkpoint, require_pushable
    from hqmd_cli.terminal.command_line import command_line
    from hqmd_cli.terminal.train_progress import is_first, say, show
    from hqmd_cli.training.interruption import parse_duration
    from hqmd_cli.training.resume import Asked, plan_run
    from hqmd_cli.training.tracking import parse_trackers

    # Refuse wrong options before torch is imported and the data is read, which may take minutes.
    trackers = () if track is None else parse_trackers(track)
    seconds = math.inf if time_limit is None else parse_duration(time_limit)
    if push_to_hub:
        require_pushable(push_to_hub)
    options = {
        "backbone": backbone, "decoder": decoder, "size": size, "loss": loss, "protocol": protocol, "seed": seed,
        "batch_size": batch_size, "epochs": epochs, "max_steps": max_steps, "accumulate": accumulate, "lr": lr,
        "freeze_backbone": freeze_backbone, "freeze_bn": freeze_bn, "ema_decay": ema_decay, "precision": precision,
        "skip_bad_batches": skip_bad_batches, "deterministic": deterministic,
    }  # fmt: skip
    sources = {
        "data": data, "val_data": val_data, "extra_data": extra_data, "depth_scale": depth_scale, "start": start,
        "backbone_weights": backbone_weights, "teacher": teacher or None, "unlabelled": unlabelled,
    }  # fmt: skip
    plan = plan_run(Asked(output, resume, recipe, model, options, sources), say)
    plan.require_weights(new_layers)
    from hqmd_cli.inference.device import pick_device
    from hqmd_cli.training.loop import fit
    from hqmd_cli.training.run_data import open_run_data

    pictures = open_run_data(plan.train, plan.sources, cache, chosen := pick_device(device), say)
    reports = fit(
        plan.model, plan.train, pictures.train, pictures.val, plan.run_dir, extra_data=pictures.extra,
        backbone_weights=plan.backbone_weights, start=plan.start, teacher=plan.teacher,
        device=chosen, workers=workers, resume=plan.resume, compiled=compiled, time_limit=seconds, keep=keep,
        trackers=trackers, command=command_line(), sources=plan.sources, verify=verify, accept_changes=accept_changes,
    )  # fmt: skip
    if code := show(reports, pictures.train, pictures.val, plan.run_dir):
        raise typer.Exit(code)
    if push_to_hub and is_first() and (plan.run_dir / BEST).exists():
        push_checkpoint(plan.run_dir / BEST, push_to_hub, private, say)
