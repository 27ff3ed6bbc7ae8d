"""Count false alarms and detections of sanity/pairing.py: right, exchanged, shuffled and foreign prediction files.

    python benchmarks/file_order.py near/
    python benchmarks/file_order.py nyu_train/ --split train --step 2

Random sets of a few pictures each; which maps are exchanged is drawn at random. docs/notebook.md has the figures.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hqmd_cli import load
from hqmd_cli.data import open_dataset
from hqmd_cli.evaluation.sanity.pairing import Thumbnails, explain_order

SETS = 100
SIZES = (5, 10, 30, 74)


def complains(all_maps: Thumbnails, preds: Sequence[int], truths: Sequence[int]) -> bool:
    """True if there is a complaint about predictions `preds` under the names of pictures `truths`."""
    chosen = Thumbnails(
        [all_maps.preds[i] for i in preds], [all_maps.truths[i] for i in truths], [all_maps.known[i] for i in truths]
    )
    return explain_order([str(i) for i in truths], chosen) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="all")
    parser.add_argument("--step", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--model", default="hqmd-indoor-small")
    args = parser.parse_args()

    dataset, model = open_dataset(args.data, args.split, "filled", 1000), load(args.model, size="fast")
    maps = Thumbnails()
    for index in range(0, len(dataset), args.step):
        sample = dataset[index]
        maps.add(model(sample.image), sample.depth_m, sample.valid)
    total = len(maps.preds)
    print(f"all {total}, right: complaint {complains(maps, range(total), range(total))}")
    for size in (size for size in SIZES if 2 * size <= total):  # foreign files need as many pictures again
        rng, complaints = np.random.default_rng(0), Counter[str]()
        for _ in range(SETS):
            drawn = rng.permutation(total)
            own, foreign = drawn[:size], drawn[size : 2 * size]
            orders = {"right": own, "shuffled": rng.permutation(own), "foreign": foreign}
            for name, count in (("two exchanged", 2), ("three exchanged", 3)):
                places = rng.choice(size, count, replace=False)
                orders[name] = own.copy()
                orders[name][places] = own[np.roll(places, 1)]
            complaints.update({name: complains(maps, preds, own) for name, preds in orders.items()})
        print(f"{size} pictures, {SETS} sets: {dict(complaints)}", flush=True)


if __name__ == "__main__":
    main()
