"""Compare training in one process with training in two that share each batch, on the CPU: losses and speed.

    python benchmarks/two_processes.py --data NYU_PAIRS --steps 20

Trains twice from the same weights: in one process with two threads, and in two (torchrun, gloo) with one thread each.
Prints the losses of each step, the largest difference, and the speed after the first steps.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

WARM_UP = 3  # steps that are not counted


def learn(data: Path, recipe: str, backbone_weights: str, steps: int, folder: Path) -> None:
    """Train, and let the first process write the loss and the end of each step."""
    import torch

    from hqmd_cli.data import open_training_data
    from hqmd_cli.models.recipes import read_recipe
    from hqmd_cli.parallel.processes import Ranks
    from hqmd_cli.training.loop import StepReport, fit

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model, train = read_recipe(recipe)
    train = train.with_settings(max_steps=steps, precision="fp32")
    model = model.with_settings(drop_path=0.0)  # each process skips other blocks at random
    pairs = open_training_data(data, None, "filled", None)
    rows = []
    reports = fit(model, train, *pairs, folder / "run", backbone_weights=backbone_weights, workers=1)
    for report in reports:
        if isinstance(report, StepReport):
            rows.append((report.loss, time.perf_counter()))
            if report.step == steps:
                break
    if Ranks.from_environment().is_first:
        (folder / "rows.json").write_text(json.dumps(rows))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--recipe", default="weights/recipes/indoor-small.toml")
    arguments.add_argument("--backbone-weights", default="none")
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.folder:
        learn(options.data, options.recipe, options.backbone_weights, options.steps, options.folder)
        return
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = {}
    for name, start, threads in (("one", [], "2"), ("two", torchrun, "1")):
        with TemporaryDirectory() as folder:
            command = [sys.executable, *start, *sys.argv, "--folder", folder]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": threads})
            found[name] = json.loads((Path(folder) / "rows.json").read_text())
    print("step   one process  two processes")
    for step, ((one, _), (two, _)) in enumerate(zip(found["one"], found["two"], strict=True), 1):
        print(f"{step:4} {one:13.6f} {two:13.6f}")
    apart = max(abs(one - two) / one for (one, _), (two, _) in zip(found["one"], found["two"], strict=True))
    print(f"largest relative difference of a loss: {apart:.1e}")
    for name, rows in found.items():
        seconds = rows[-1][1] - rows[WARM_UP][1]
        print(f"{name}: {(len(rows) - WARM_UP - 1) / seconds:.2f} batches/s")


if __name__ == "__main__":
    main()
