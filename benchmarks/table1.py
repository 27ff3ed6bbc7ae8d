"""Rerun Table 1 at a small scale: every system with the same pictures, backbone and number of steps, scored on val.

    python benchmarks/table1.py RUNS --data NYU_PAIRS --backbone-weights efficientnet_lite0.safetensors --epochs 4

Each system trains with its own loss at 160 x 208 on the 721 training pairs, `--epochs` times, in batches of eight, with
the same optimiser and schedule. Systems that take a backbone get the same small one at stride 32. The five "Baseline"
rows of the paper use three seeds. Finished jobs stay below RUNS, so a call that was stopped or killed continues.

On two cores, two processes of one thread each do more in an hour than one of two: run `--part 1/2` and `--part 2/2`
side by side. Then run it without `--part`, which prints the table and the paper's ordering as Markdown.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.config.network import OURS, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_dataset, open_training_data
from hqmd_cli.data.cache.build import cached
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.metrics.registry import MAIN_METRICS
from hqmd_cli.evaluation.prediction_source import model_source
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.results import collect
from hqmd_cli.inference.engines.pytorch import TorchEngine
from hqmd_cli.inference.predictor import DepthPredictor
from hqmd_cli.models import SYSTEMS
from hqmd_cli.models.ordinal import DISCRETISATIONS
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.training.loop import EpochReport, fit
from hqmd_cli.training.state import saved_states

SIZE, BACKBONE, PROTOCOL = (160, 208), "tf_efficientnet_lite0", "eigen-filled"
SHOWN = ("RMSE", "AbsRel", "delta1", "edgeF1", "normalMean")
# Decoder and loss of the paper's own rows.
BASELINES = (
    ("baseline", "depth"),
    ("baseline+", "depth"),
    ("baseline+", "depth+mg"),
    ("baseline+", "full"),
    ("baseline+", "hu"),
)
# What the paper says about Table 1 (section 4.3): which row is better than which, in RMSE and at edges. Normals are
# compared beside edges, because after few steps no prediction is steep enough to have an edge.
CLAIMS = (
    ("baseline+ depth", "baseline depth"),
    ("baseline+ depth+mg", "baseline+ depth"),
    ("baseline+ full", "baseline+ depth+mg"),
    ("baseline+ full", "baseline+ hu"),
)
OWN_STRIDE = ("moukari",)  # its atrous rates are meant for stride 16
OWN_RATE = ("make3d", "make3d-laplacian", "make3d-planes")  # linear in their features, so they need their own rate


Measured = dict[tuple[str, int], dict[str, Any]]  # row and seed -> Result.to_dict()


@dataclass(frozen=True)
class Job:
    """One network to train."""

    row: str
    seed: int
    model: ModelConfig
    train: TrainConfig

    @property
    def folder(self) -> str:
        """Name of its folder below RUNS."""
        return f"{self.row.replace(' ', '-')}-{self.seed}"


def jobs(epochs: int, seeds: int) -> Iterator[Job]:
    """Yield our own networks first, then each other system."""
    rules = {
        "optimizer": "adamw", "lr": 1e-3, "backbone_lr_factor": 0.5, "weight_decay": 0.01, "schedule": "cosine",
        "warmup_steps": 30, "epochs": epochs, "batch_size": 8, "protocol": PROTOCOL,
    }  # fmt: skip
    sizes = {"size": SIZE, "backbone": BACKBONE, "output_stride": 32}
    ours = {**sizes, "high_stages": 2, "aspp_rates": (3, 6), "aspp_channels": 128, "fuse_channels": 64}
    for seed in range(seeds):
        for decoder, loss in BASELINES:
            model = ModelConfig().with_settings(decoder=decoder, **ours)  # type: ignore[arg-type]
            yield Job(f"{decoder} {loss}", seed, model, TrainConfig().with_settings(loss=loss, seed=seed, **rules))  # type: ignore[arg-type]
    for system in SYSTEMS:
        if system != OURS:
            kept = ("size", "backbone") if system in OWN_STRIDE else sizes
            model, own = from_paper(system, {"model": {name: sizes[name] for name in kept}})
            train = TrainConfig().with_settings(**{**rules, "loss": own.objective.loss})  # type: ignore[arg-type]
            yield Job(system, 0, model, train.with_settings(lr=own.optimization.lr) if system in OWN_RATE else train)


def learn(job: Job, runs: Path, data: Path, backbone_weights: str) -> None:
    """Train to the end, resuming what was stopped."""
    folder = runs / job.folder
    seen, held_out = open_training_data(data)
    seen = cached(seen, wanted=True, passes=job.train.batching.epochs, say=lambda line: print(line, file=sys.stderr))
    resume = bool(saved_states(folder))
    began = time.monotonic()
    for report in fit(job.model, job.train, seen, held_out, folder, backbone_weights=backbone_weights, resume=resume):
        if isinstance(report, EpochReport):
            figures = ", ".join(f"{name} {report.val.metrics[name]:.3f}" for name in MAIN_METRICS)
            print(f"{job.folder}: epoch {report.epoch + 1}, {figures}", file=sys.stderr, flush=True)
    print(f"{job.folder}: {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr, flush=True)
    (folder / "done").touch()


def figures_of(run: Path, data: Path) -> dict[str, Any]:
    """Measure a network's last weights, with edges and normals, once; then read the figures."""
    kept = run / "figures.json"
    if not kept.exists():
        network, info = load_checkpoint(run / "last", torch.device("cpu"))
        predictor = DepthPredictor(TorchEngine(network, torch.device("cpu")), info.model)
        protocol = find_protocol(PROTOCOL)
        held_out = open_dataset(data, "val", protocol.ground_truth, None)
        flat = predictor.model.network.activation in DISCRETISATIONS
        scores = score_each(model_source(predictor), held_out, protocol, detail=True, accept_flat=flat)
        kept.write_text(json.dumps(collect(scores, held_out, protocol).to_dict()))
    return dict(json.loads(kept.read_text()))


def table(measured: Measured) -> Iterator[str]:
    """Yield a row per system: the mean over seeds and their range, or one seed with its bootstrap interval."""
    yield "| row | " + " | ".join(SHOWN) + " | seeds |"
    yield "| --- |" + " --- |" * (len(SHOWN) + 1)
    for row in dict.fromkeys(row for row, _ in measured):
        figures = [figure for (name, _), figure in measured.items() if name == row]
        cells = []
        for name in SHOWN:
            values = [figure["metrics"][name] for figure in figures]
            low, high = (min(values), max(values)) if values[1:] else figures[0]["intervals"][name]
            cells.append(f"{statistics.mean(values):.3f} ({low:.3f} to {high:.3f})")
        yield f"| {row} | " + " | ".join(cells) + f" | {len(figures)} |"


def ordering(measured: Measured) -> Iterator[str]:
    """Yield a line per claim of the paper and metric: in how many seeds it holds."""
    metrics = {run: figures["metrics"] for run, figures in measured.items()}
    for better, worse in CLAIMS:
        seeds = [seed for row, seed in metrics if row == better and (worse, seed) in metrics]
        for name, sign in (("RMSE", -1), ("edgeF1", 1), ("normalMean", -1)):
            gaps = [metrics[better, seed][name] - metrics[worse, seed][name] for seed in seeds]
            if gaps:
                agree, gap = sum(gap * sign > 0 for gap in gaps), statistics.mean(gaps)
                yield f"- {name}, {better} better than {worse}: {agree} of {len(gaps)} seeds, {gap:+.3f} on average"


def part(text: str) -> tuple[int, int]:
    """Parse "2/3", the second of three parts, as (1, 3)."""
    one, of_all = (int(number) for number in text.split("/"))
    if not 1 <= one <= of_all:
        raise ValueError(text)
    return one - 1, of_all


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("runs", type=Path)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--backbone-weights", required=True)
    arguments.add_argument("--epochs", type=int, default=4)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--only", nargs="*", help="Rows to be done; all that are done are shown.")
    arguments.add_argument("--part", type=part, default=(0, 1), metavar="K/N", help="Every Nth job, from the Kth on.")
    options = arguments.parse_args()
    first, of_all = options.part
    torch.set_num_threads(2 if of_all == 1 else 1)
    everything = list(jobs(options.epochs, options.seeds))
    for job in everything[first::of_all]:
        wanted = not options.only or job.row in options.only
        if wanted and not (options.runs / job.folder / "done").exists():
            try:
                learn(job, options.runs, options.data, weights_for(job, options.backbone_weights))
            except HqmdError as error:
                print(f"{job.folder}: {error}", file=sys.stderr, flush=True)
    if of_all > 1:
        return
    done = [job for job in everything if (options.runs / job.folder / "done").exists()]
    measured = {(job.row, job.seed): figures_of(options.runs / job.folder, options.data) for job in done}
    print("\n".join([*table(measured), "", *ordering(measured)]))


def weights_for(job: Job, small: str) -> str:
    """Return the small backbone's weights for a system that takes it, else "none"."""
    from hqmd_cli.models import build_system

    backbone = build_system(job.model).backbone
    return small if backbone is not None and job.model.network.backbone == BACKBONE else "none"


if __name__ == "__main__":
    main()
