"""Judge recipes by out-of-fold scores: each picture is scored by a network that learned nothing from its room.

    python benchmarks/folds.py run RECIPE --data PAIRS --folds folds.csv -o OUT [--only 0 1] [--train "--epochs 6"]
    python benchmarks/folds.py run RECIPE --data PAIRS --folds folds.csv -o MORE --start OUT [--train "--extra-data N"]
    python benchmarks/folds.py compare OUT OTHER... --folds folds.csv

`folds.csv` has the columns name, run and fold: a run is a row of pictures from one room, and lies in one fold. `run`
trains a network for each fold on the pictures of all other folds, and scores its last weights on those of the fold; not
its best ones, which these pictures would have chosen. With `--start`, each network goes on from that of its fold in
OUT, and the mean of the weights before and after is scored. A recipe may say at which sides its network is then shown
the pictures (`predict_sides`). Stopped and started again, a run goes on where it was.

`compare` joins the scores of the folds that all folders have, and prints the means, with 95 % intervals from a
bootstrap over runs rather than pictures, and the differences to the first folder.
"""

import argparse
import csv
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from hqmd_cli.evaluation.bootstrap import percentile_interval, resampled_sums

METRICS = ("RMSE", "AbsRel", "delta1", "edgeF1")
SPLITS = ("train", "val")


def read_folds(path: Path) -> list[dict[str, str]]:
    """Read the rows of folds.csv."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lay_out(data: Path, rows: list[dict[str, str]], fold: str, folder: Path) -> None:
    """Link the pairs of `data` into `folder`, with the pictures of the fold as its val split."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("rgb", "depth"):
        if not (folder / part).is_symlink():
            (folder / part).symlink_to((data / part).resolve(), target_is_directory=True)
    for split in SPLITS:
        names = [row["name"] for row in rows if (row["fold"] == fold) is (split == "val")]
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")


def run(args: argparse.Namespace) -> None:
    """Train and score a network for each fold that has no scores yet."""
    rows = read_folds(args.folds)
    scale = ["--depth-scale", str(args.depth_scale)] if args.depth_scale else []
    hqmd = [sys.executable, "-m", "hqmd_cli"]
    for fold in args.only or sorted({row["fold"] for row in rows}):
        folder = args.output / f"fold{fold}"
        scores, data = folder / "scores.csv", folder / "data"
        if scores.exists():
            continue
        lay_out(args.data, rows, fold, data)
        train = ["train", "--recipe", args.recipe, "--data", data, "-o", folder / "run", "--resume", *scale]
        model = last = folder / "run" / "last"
        if args.start:
            before, model = args.start / folder.name / "run" / "last", folder / "mean"
            train += ["--start", before]
        subprocess.run([*hqmd, *train, *shlex.split(args.train)], check=True)
        if args.start:
            shutil.rmtree(model, ignore_errors=True)
            subprocess.run([*hqmd, "merge", before, last, "--average-weights", "-o", model], check=True)
        score = ["evaluate", "-m", model, "--data", data, "--split", "val", "--per-picture", scores]
        subprocess.run([*hqmd, *score, "--protocol", args.protocol, *scale], check=True)


def read_scores(folder: Path) -> dict[str, list[float]]:
    """Return the figures of each picture, by its name, over all folds of a folder that are done."""
    scores: dict[str, list[float]] = {}
    for path in sorted(folder.glob("fold*/scores.csv")):
        with path.open(newline="") as file:
            scores |= {row["picture"]: [float(row[metric]) for metric in METRICS] for row in csv.DictReader(file)}
    return scores


def by_run(figures: dict[str, list[float]], run_of: dict[str, str], names: list[str]) -> np.ndarray:
    """Add up the figures of each run: (runs, metrics + 1), the number of its pictures last."""
    runs = sorted({run_of[name] for name in names})
    sums = np.zeros((len(runs), len(METRICS) + 1))
    for name in names:
        sums[runs.index(run_of[name])] += [*figures[name], 1]
    return sums


def compare(args: argparse.Namespace) -> None:
    """Print the means of each folder, and its differences to the first one."""
    run_of = {row["name"]: row["run"] for row in read_folds(args.folds)}
    scores = {folder: read_scores(folder) for folder in args.outputs}
    names = sorted(set.intersection(*map(set, scores.values())) & run_of.keys())
    if not names:
        sys.exit("no picture was scored in all folders; `run` scores them")
    runs = {run_of[name] for name in names}
    print(f"{len(names)} pictures of {len(runs)} runs; 95 % intervals: bootstrap over runs\n")
    print(f"| recipe | {' | '.join(METRICS)} |\n| --- |{' --- |' * len(METRICS)}")
    first = None
    for folder, figures in scores.items():
        sums = by_run(figures, run_of, names)
        print(row(str(folder), sums))
        if first is None:
            first = sums
        else:
            print(row("difference", np.column_stack([sums[:, :-1] - first[:, :-1], sums[:, -1]])))


def row(name: str, sums: np.ndarray) -> str:
    """Format a row of the table: the mean of each metric and its interval."""
    means = sums.sum(axis=0)
    drawn = resampled_sums(sums)
    ends = [percentile_interval(drawn[:, column] / drawn[:, -1]) for column in range(len(METRICS))]
    of_pictures = zip(means / means[-1], ends, strict=False)
    cells = [f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, (low, high) in of_pictures]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run", help="train and score a recipe on each fold")
    runs.add_argument("recipe")
    runs.add_argument("--data", type=Path, required=True)
    runs.add_argument("-o", "--output", type=Path, required=True)
    runs.add_argument("--only", nargs="*", help="these folds; all by default")
    runs.add_argument("--protocol", default="eigen-filled")
    runs.add_argument("--depth-scale", type=float)
    runs.add_argument("--start", type=Path, help="the OUT of another recipe, from whose networks these go on")
    runs.add_argument("--train", default="", help="further options of hqmd train, in one argument")
    runs.set_defaults(do=run)
    compares = commands.add_parser("compare", help="compare recipes by their out-of-fold scores")
    compares.add_argument("outputs", type=Path, nargs="+")
    compares.set_defaults(do=compare)
    for command in (runs, compares):
        command.add_argument("--folds", type=Path, required=True)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
