"""Judge how sure a model says it is: coverage of its 90 % intervals, and sparsification (AUSE).

    python benchmarks/uncertainty.py MODEL --data PAIRS [--split val] [--depth-scale N] [--protocol hqmd]
                                     [--size default] [--fit]

MODEL's own coefficients are judged, which `hqmd calibrate` fitted to other pictures: give none of those. With --fit
others are fitted here, to four fifths of PAIRS at a time, and judged on the fifth; the model is not changed.
"""

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--depth-scale", type=float)
    parser.add_argument("--protocol", default="hqmd")
    parser.add_argument("--size", default="default")
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()

    from dataclasses import replace

    from hqmd_cli.checkpoints.config_file import read_model_config
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.evaluation.how_sure import Picture, cross_fitted, judge, watched
    from hqmd_cli.evaluation.session import open_session
    from hqmd_cli.inference.engines.select import open_engine
    from hqmd_cli.inference.predictor import DepthPredictor

    folder = find_checkpoint(args.model)
    model = read_model_config(folder).at_size(args.size)
    if not (args.fit or model.view.errors):
        raise SystemExit(f"{args.model}: does not know how sure it is; give --fit, or see hqmd calibrate --help")
    session = open_session(args.data, args.split, args.protocol, args.depth_scale, print)
    pictures: list[Picture] = []
    source = watched(DepthPredictor(open_engine(folder, "auto", "auto"), model), session.protocol, pictures)
    replace(session, sources={args.model: source}).score()
    verdict = cross_fitted(model.view, [pictures])[0] if args.fit else judge(pictures, [model.view] * len(pictures))
    print(*verdict.lines, sep="\n")


if __name__ == "__main__":
    main()
