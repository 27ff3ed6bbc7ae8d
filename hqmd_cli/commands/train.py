"""`hqmd train`: a checkpoint from photos with depth."""

import math
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import DataOption, DepthScaleOption, DeviceOption, ProtocolName, parse_size
from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.config.training import PRECISIONS, Batching, Numerics, Objective, Optimization
from hqmd_cli.losses import LOSSES
from hqmd_cli.models import DECODERS, SYSTEMS

LossName = StrEnum("LossName", {name: name for name in LOSSES})  # type: ignore[misc]
ModelName = StrEnum("ModelName", {name: name for name in SYSTEMS})  # type: ignore[misc]
PrecisionName = StrEnum("PrecisionName", {name: name for name in PRECISIONS})  # type: ignore[misc]
DecoderName = StrEnum("DecoderName", {name: name for name in DECODERS})  # type: ignore[misc]


def paper(default: object) -> str:
    """The end of a help text: what holds when neither flag nor recipe says otherwise."""
    return f"  [paper: {'x'.join(map(str, default)) if isinstance(default, tuple) else default}]"


def train(
    run_dir: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUN_DIR", help="Where best/, last/ and history.jsonl go."),
    ],
    data: DataOption = None,
    val_data: Annotated[
        Path | None, typer.Option(help="Validate on this data's val (or only) split.  [default: --data]")
    ] = None,
    extra_data: Annotated[
        Path | None, typer.Option(help="Other data whose train (or only) split makes up half of each epoch.")
    ] = None,
    model: Annotated[
        ModelName | None, typer.Option(help="A network of the paper's Table 1, or its own.  [default: hqmd]")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="paper|modern|FILE", help="Its authors' settings, ours, or a TOML file; flags go before."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in RUN_DIR.")] = False,
    backbone: Annotated[str | None, typer.Option(help="Any timm backbone." + paper(NetworkConfig.backbone))] = None,
    backbone_weights: Annotated[
        str,
        typer.Option(metavar="default|none|FILE", help="Pretrained by timm, random, or a timm state dict."),
    ] = "default",
    start: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Go on from this model's weights, not from a backbone's.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Learn from this model's depth, too (distillation).")
    ] = None,
    decoder: Annotated[DecoderName | None, typer.Option(help="Network variant." + paper(NetworkConfig.decoder))] = None,
    loss: Annotated[LossName | None, typer.Option(help="Objective." + paper(Objective.loss))] = None,
    size: Annotated[
        tuple | None,
        typer.Option(parser=parse_size, metavar="HxW", help="Network input." + paper(NetworkConfig.size)),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pictures a step." + paper(Batching.batch_size))] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data." + paper(Batching.epochs))] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many steps.")] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Stop after 90s, 45m, 8h or 1h30m, to be resumed.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate." + paper(Optimization.lr))] = None,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="What validation measures." + paper(Objective.protocol))
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of new weights, order and augmentation." + paper(Batching.seed))
    ] = None,
    freeze_backbone: Annotated[
        bool | None, typer.Option("--freeze-backbone", help="Train only what is behind it.")
    ] = None,
    freeze_bn: Annotated[
        bool | None, typer.Option("--freeze-bn", help="Batch norm keeps its statistics, scales and shifts.")
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(metavar="DECAY", help="Validate and keep the weights' moving average." + paper("none")),
    ] = None,
    precision: Annotated[
        PrecisionName | None, typer.Option(help="The network computes in." + paper(Numerics.precision))
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="A batch in so many parts, one after another: less memory.")
    ] = None,
    skip_bad_batches: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Leave out up to N batches whose loss is not finite.")
    ] = None,
    deterministic: Annotated[
        bool | None, typer.Option("--deterministic", help="The same bits each time on a GPU, too; slower.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile the network first.")] = False,
    track: Annotated[
        str | None, typer.Option(metavar="tensorboard,wandb", help="Log epochs there, too; an extra for each.")
    ] = None,
    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="ORG/NAME", help="Publish the best checkpoint on the hub at the end."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="With --push-to-hub: a private repository.")] = False,
    keep: Annotated[int, typer.Option(min=1, help="Newest states to keep, for --resume.")] = 2,
    depth_scale: DepthScaleOption = None,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 1,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Keep pictures decoded in HQMD_CACHE or ~/.cache/hqmd.  [default: on a GPU, if it saves a minute]",
        ),
    ] = None,
) -> None:
    """Train a depth network; without flags as the paper does.

    \b
    hqmd train --data nyu_depth_v2_labeled.mat -o runs/paper
    hqmd train --data pairs/ -o runs/mine --backbone tf_efficientnet_lite0 --size 224x288
    """
    from hqmd_cli.checkpoints.hub import BEST, find_checkpoint
    from hqmd_cli.data import default_data, open_extra_data, open_training_data
    from hqmd_cli.data.cache.build import cached, readings
    from hqmd_cli.data.check.quick_check import require_usable
    from hqmd_cli.evaluation.protocols import find_protocol
    from hqmd_cli.export.publish import push_checkpoint, require_pushable
    from hqmd_cli.inference.device import pick_device
    from hqmd_cli.models.recipes import override, read_recipe
    from hqmd_cli.parallel.processes import Ranks
    from hqmd_cli.terminal.command_line import command_line
    from hqmd_cli.terminal.train_progress import show
    from hqmd_cli.training.interruption import Terminated, exit_code, parse_duration
    from hqmd_cli.training.loop import fit
    from hqmd_cli.training.tracking import parse_trackers

    # What cannot be is refused before data is opened, or decoded for minutes.
    trackers = parse_trackers(track) if track else ()
    seconds = parse_duration(time_limit) if time_limit else math.inf
    if push_to_hub:
        require_pushable(push_to_hub)
    model_config, train_config = read_recipe(recipe, model)
    model_config = override(model_config, {"backbone": backbone, "decoder": decoder, "size": size})
    schedule = {"batch_size": batch_size, "epochs": epochs, "max_steps": max_steps, "lr": lr}
    rest = {"loss": loss, "protocol": protocol, "seed": seed, "ema_decay": ema, "precision": precision}
    frozen = {"freeze_backbone": freeze_backbone, "freeze_bn": freeze_bn}
    care = {"accumulate": accumulate, "skip_bad_batches": skip_bad_batches, "deterministic": deterministic}
    train_config = override(train_config, schedule | rest | frozen | care)
    judged_on = find_protocol(train_config.objective.protocol).ground_truth
    seen, held_out = open_training_data(data or default_data(), val_data, judged_on, depth_scale)
    extra = open_extra_data(extra_data, held_out, depth_scale) if extra_data else None
    for warning in require_usable([seen, held_out, *([extra] if extra else [])]):
        print(f"data: {warning}", file=sys.stderr)
    # Of several processes the others wait for what the first one says.
    is_first = Ranks.from_environment().is_first
    say = partial(print, file=sys.stderr) if is_first else lambda line: None
    # A CPU's step takes far longer than decoding (benchmarks/training.md), so there only a cache that exists is used.
    chosen = pick_device(device)
    times = readings(train_config.batching, len(seen)) if chosen.type != "cpu" else 1
    more = cached(extra, cache, times * min(1, len(seen) / len(extra)), say) if extra else None
    examples = cached(seen, cache, times, say)
    reports = fit(
        model_config,
        train_config,
        examples,
        held_out,
        run_dir,
        extra_data=more,
        backbone_weights=backbone_weights,
        start=find_checkpoint(start) if start else None,
        teacher=find_checkpoint(teacher) if teacher else None,
        device=chosen,
        workers=workers,
        resume=resume,
        compiled=compiled,
        time_limit=seconds,
        keep=keep,
        trackers=trackers,
        command=command_line(),
    )
    try:
        show(reports, seen, held_out, run_dir)
    except (KeyboardInterrupt, Terminated) as stop:
        print("stopped; what was learned is saved: the same command with --resume goes on", file=sys.stderr)
        raise typer.Exit(exit_code(stop)) from None
    if push_to_hub and is_first and (run_dir / BEST).exists():
        push_checkpoint(run_dir / BEST, push_to_hub, private, say)
