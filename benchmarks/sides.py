"""Measure how much the metres depend on how a photo is shown.

    python benchmarks/sides.py MODEL --data PAIRS [--split val] [--most 20] [--photos PHOTO...] [--onnx FILE]
                               [--sides 160 224 294 448 672] [--heights 240 480 960 1920] [--strips N]

For each `--side`, each `--size`, and each height of the input of an exported file: how far the median depth of a photo
is from the default's (median and largest over the photos, in percent), and AbsRel on PAIRS over the default's. A photo
of PHOTO counts for the medians only. Each photo, or the first N, is also cut to 4 : 1.
"""

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--depth-scale", type=float)
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--sides", type=int, nargs="*", default=[160, 224, 294, 448, 672])
    parser.add_argument("--heights", type=int, nargs="*", default=[240, 480, 960, 1920])
    parser.add_argument("--strips", type=int)
    args = parser.parse_args()

    import numpy as np

    from hqmd_cli.checkpoints.config_file import read_model_config
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.data import open_dataset
    from hqmd_cli.data.sample import evenly
    from hqmd_cli.files.photos import read_image
    from hqmd_cli.geometry.resize import shrink
    from hqmd_cli.inference.engines.onnx import OnnxEngine
    from hqmd_cli.inference.open import OpenOptions, open_model

    data = open_dataset(args.data, args.split, "filled", args.depth_scale)
    samples = [data[index] for index in evenly(len(data), args.most)]
    images = [*(sample.image for sample in samples), *map(read_image, args.photos)]
    strips = [image[: image.shape[1] // 4] for image in images if image.shape[1] >= image.shape[0]][: args.strips]
    ways = {"default": open_model(args.model, OpenOptions())}
    ways |= {f"--side {side}": open_model(args.model, OpenOptions(sides=(side,))) for side in args.sides}
    presets = read_model_config(find_checkpoint(args.model)).presets
    ways |= {f"--size {name}": open_model(args.model, OpenOptions(size=name)) for name in presets}
    if args.onnx:
        engine = OnnxEngine(args.onnx)
        ways |= {f"exported, {height} pixels high": shown_at(engine, height, shrink) for height in args.heights}
    print(f"{args.model}, {data.description}, {len(samples)} pictures; {len(images)} photos and {len(strips)} strips")
    print("| shown | median, typically off | at most | strips, at most | AbsRel / default's |")
    print("| --- | --- | --- | --- | --- |")
    before = None
    for name, predict in ways.items():
        maps = [predict(image) for image in images]
        medians = np.array([np.median(depth_m) for depth_m in maps])
        of_strips = np.array([np.median(predict(strip)) for strip in strips])
        errors = np.mean([abs_rel(m, s.depth_m, s.valid) for m, s in zip(maps, samples, strict=False)])
        before = before or (medians, of_strips, errors)
        off, strips_off = (np.abs(now / then - 1) for now, then in zip((medians, of_strips), before, strict=False))
        print(
            f"| {name} | {np.median(off):.1%} | {off.max():.1%} | {strips_off.max():.1%} | {errors / before[2]:.3f} |",
            flush=True,
        )


def abs_rel(pred_m, depth_m, valid):  # type: ignore[no-untyped-def]
    return (abs(pred_m - depth_m)[valid] / depth_m[valid]).mean()


def shown_at(engine, height, shrink):  # type: ignore[no-untyped-def]
    """Show a photo to an exported file at this height, and bring depth back to the photo's size."""

    def predict(image):  # type: ignore[no-untyped-def]
        width = max(1, round(image.shape[1] * height / image.shape[0]))
        return shrink(engine(shrink(image, (height, width))), image.shape[:2])

    return predict


if __name__ == "__main__":
    main()
