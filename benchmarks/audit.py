"""Repeat the claims of docs/audit.md: how averaging, splits and formulas move published figures.

    python benchmarks/audit.py factor MODEL... --data PAIRS   # RMSE pooled over pixels, and as a mean over pictures
    python benchmarks/audit.py absrel MODEL --data PAIRS      # AbsRel divided by the truth, and by the prediction
    python benchmarks/audit.py split                          # whose pictures "the last 654 of 1449" are
    python benchmarks/audit.py chosen                         # the best of equal epochs, chosen on the test pictures
    python benchmarks/audit.py collapsed                      # delta1 of a network that predicts next to nothing

PAIRS is a folder of NYU's pictures of 480 x 640, of which `--split` is scored; a MODEL may be a folder of predictions,
too. The last three need no data.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hqmd_cli.data.nyu import official_splits
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.metrics.pixels import abs_rel
from hqmd_cli.evaluation.prediction_folder import FolderOptions
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.scoring import compared_prediction, compared_truth
from hqmd_cli.evaluation.session import Session, open_session
from hqmd_cli.inference.open import OpenOptions

PROTOCOLS = ("eigen-filled", "hu")
PICTURES, TEST = 1449, 654  # of NYU's labelled file; of its test set
EPOCHS, SPREAD = 30, 0.05  # equal epochs; standard deviation of a picture's delta1 from epoch to epoch
NEGATIVE = 0.675  # share of the pixels of a collapsed network that lie below 0


def session_of(model: str, options: argparse.Namespace) -> Session:
    """Open the data for PROTOCOLS, and a model or a folder of predictions."""
    opened = open_session(options.data, options.split, PROTOCOLS[0], None)
    session = Session(opened.datasets, [find_protocol(name) for name in PROTOCOLS])
    if Path(model).is_dir() and not (Path(model) / "config.json").exists():
        session.add_folder(Path(model), FolderOptions(score_anyway=True))
    else:
        session.add_models([model], OpenOptions())
    return session


def factor(options: argparse.Namespace) -> Iterator[str]:
    """Yield a row a model and protocol: both averages of RMSE, and their ratio."""
    yield "| model | protocol | n | RMSE, mean over pictures | RMSE, pooled over pixels | factor |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for model in options.models:
        for name, result in session_of(model, options).score_under_each().items():
            mean, pooled = (result.aggregated(how)["RMSE"] for how in ("mean", "pooled"))
            n = len(result.names)
            yield f"| {Path(model).name} | {name} | {n} | {mean:.3f} | {pooled:.3f} | {pooled / mean:.2f} |"


def absrel(options: argparse.Namespace) -> Iterator[str]:
    """Yield AbsRel with either divisor, pooled over the pixels that `hu` scores."""
    for model in options.models:
        session, protocol = session_of(model, options), find_protocol("hu")
        (source,) = session.sources.values()
        by_truth, by_prediction = [], []
        for index in range(len(session.dataset)):
            sample = session.dataset[index]
            truth_m, scored = compared_truth(sample, protocol)
            pred_m = compared_prediction(source(sample), protocol)[scored]
            by_truth.append(abs_rel(pred_m, truth_m[scored]))
            by_prediction.append(abs_rel(truth_m[scored], pred_m))
        yield f"{model}: AbsRel {np.mean(by_truth):.3f} by the truth, {np.mean(by_prediction):.3f} by the prediction"


def split(_: argparse.Namespace) -> Iterator[str]:
    """Yield what h5py says of a MATLAB 5 file, as splits.mat is one, and whose pictures the last 654 are."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "splits.mat"
        path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + bytes(1024))
        try:
            h5py.File(path)
        except OSError as error:
            yield f"h5py does not open a MATLAB 5 file: {type(error).__name__}"
    official = official_splits()
    last = set(range(PICTURES - TEST + 1, PICTURES + 1))
    counts = {name: len(last & set(official[name])) for name in ("test", "trainval")}
    yield (
        f"the last {TEST} of {PICTURES} pictures: {counts['test']} official test pictures, "
        f"{counts['trainval']} official training pictures"
    )


def chosen(_: argparse.Namespace) -> Iterator[str]:
    """Yield the delta1 of the best of equal epochs: on the pictures that it was chosen by, and on as many others."""
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(200):
        on_test, on_others = rng.normal(0, SPREAD, (2, EPOCHS, TEST)).mean(axis=2)
        best = on_test.argmax()
        gains.append(on_test[best] - on_others[best])
    yield (
        f"the best of {EPOCHS} epochs that are equally good looks better by {np.mean(gains):.4f} in delta1 on the "
        f"{TEST} pictures that chose it than on {TEST} others (200 draws, each picture's delta1 spreads by {SPREAD})"
    )


def collapsed(_: argparse.Namespace) -> Iterator[str]:
    """Yield the figures of predictions of a millimetre, most of them below 0, by max(d / g, g / d) < 1.25."""
    rng = np.random.default_rng(0)
    truth_m = rng.uniform(0.7, 10, 100_000)
    pred_m = np.where(np.arange(truth_m.size) < NEGATIVE * truth_m.size, -0.001, 0.001)
    delta1 = np.mean(np.maximum(pred_m / truth_m, truth_m / pred_m) < 1.25)
    yield f"without a check: AbsRel {abs_rel(pred_m, truth_m):.3f}, delta1 {delta1:.3f}"
    from hqmd_cli.data.sample import sample_from
    from hqmd_cli.evaluation.scoring import score

    shape = (250, 400)
    sample = sample_from("a room", np.zeros((*shape, 3), np.uint8), truth_m.reshape(shape).astype(np.float32))
    try:
        score(pred_m.reshape(shape).astype(np.float32), sample, find_protocol("hqmd"))
    except HqmdError as refusal:
        yield f"hqmd: {refusal}"


JOBS = {job.__name__: job for job in (factor, absrel, split, chosen, collapsed)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("job", choices=JOBS)
    arguments.add_argument("models", nargs="*", metavar="MODEL")
    arguments.add_argument("--data", type=Path)
    arguments.add_argument("--split", default="val")
    options = arguments.parse_args()
    for line in JOBS[options.job](options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
