"""Kill a training at random moments until it is done; see that it always resumes, and ends as the unbroken one.

    python tests/kill_harness.py FOLDER --kills 25

A parent that imports torch once forks a child a try, so that a try costs a second. Prints one line a kill: after how
long, at which step the newest state was, what was being written. The children save after every step, to be hit often
while they do.
"""

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.checkpoints.run_folder import read_history
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import sample_from
from hqmd_cli.training import loop
from hqmd_cli.training.loop import fit
from hqmd_cli.training.state import saved_states

MODEL = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(32, 48), output_stride=32, aspp_channels=8, fuse_channels=8
)
TRAIN = TrainConfig().with_settings(
    batch_size=2, epochs=4, lr=1e-3, optimizer="adamw", schedule="cosine", ema_decay=0.9
)


class Slopes:
    """Noise before slopes, in memory."""

    ground_truth, description = "as given", "slopes"

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int):
        image = np.random.default_rng(index).integers(0, 255, (32, 48, 3), dtype=np.uint8)
        depth_m = np.linspace(1, 2 + index % 3, 32 * 48, dtype=np.float32).reshape(32, 48)
        return sample_from(f"{index}", image, depth_m)


def train(folder: Path, mouth: int) -> None:
    """Begin the run, or go on with it, to its end."""
    resume = bool(saved_states(folder))
    for _ in fit(MODEL, TRAIN, Slopes(10), Slopes(4), folder, backbone_weights="none", resume=resume):
        os.write(mouth, b".")


def child(folder: Path) -> tuple[int, int]:
    """A process that trains: its number, and a pipe that says when its first step is done."""
    ear, mouth = os.pipe()
    if pid := os.fork():
        os.close(mouth)
        return pid, ear
    code = 1
    try:
        torch.set_num_threads(1)  # a fork does not take threads along
        train(folder, mouth)
        code = 0
    finally:
        os._exit(code)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the last checkpoint, which must open."""
    return load_checkpoint(folder / "last", torch.device("cpu"))[0].state_dict()


def harass(folder: Path, kills: int, seed: int) -> int:
    """Kill until `kills` are done, then let it finish. Returns how many kills hit a file being written."""
    chance, hits, writing, restarts = random.Random(seed), 0, 0, 0
    while True:
        pid, ear = child(folder)
        while_starting = chance.random() < 0.2
        if not while_starting:
            os.read(ear, 1)
        os.close(ear)
        began, delay = time.monotonic(), chance.uniform(0, 0.6) if hits < kills else None
        while (status := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            if delay is not None and time.monotonic() - began > delay:
                os.kill(pid, signal.SIGKILL)
                status = os.waitpid(pid, 0)
                break
            time.sleep(0.002)
        if not os.WIFSIGNALED(status[1]):
            if os.WEXITSTATUS(status[1]):
                raise SystemExit(f"a try ended with exit code {os.WEXITSTATUS(status[1])}")
            if hits >= kills:
                print(f"{hits} kills, {writing} while a file was written; {restarts} times begun anew; all resumed")
                return writing
            restarts += 1  # it was faster than we: the kills go on with a run from its beginning
            remove(folder)
            continue
        hits += 1
        left = [path.name for path in folder.rglob("*.part")] + [path.name for path in folder.glob(".*.new")]
        writing += bool(left)
        newest = saved_states(folder)[0].stem if saved_states(folder) else "none"
        since = "the start" if while_starting else "the first step"
        print(f"kill {hits}: {delay:.2f} s after {since}, newest state {newest}", *left)


def remove(folder: Path) -> None:
    """The whole folder."""
    from shutil import rmtree

    rmtree(folder, ignore_errors=True)


def ends_alike(folder: Path, kills: int, seed: int = 0) -> bool:
    """Whether a run that is killed so often ends as one that is not: weights, history, and nothing left over."""
    unbroken, broken = folder / "unbroken", folder / "broken"
    os.waitpid(child(unbroken)[0], 0)
    harass(broken, kills, seed)
    ours, theirs = weights(broken), weights(unbroken)
    same = all(torch.equal(ours[name], theirs[name]) for name in theirs)
    rows = read_history(broken) == read_history(unbroken)
    leftovers = [path for path in broken.rglob("*") if path.name.startswith(".")]
    print(f"weights equal bit for bit: {same}; history equal: {rows}; left over: {[p.name for p in leftovers]}")
    return same and rows and not leftovers


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--kills", type=int, default=25)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    loop.SAVE_SECONDS = -1  # after every step
    sys.exit(0 if ends_alike(options.folder, options.kills, options.seed) else 1)


if __name__ == "__main__":
    main()
