"""Run Depth Anything V2-S over a folder, as the documentation of transformers shows: the other program for folder.py.

    python benchmarks/folder.py MODEL --against "python benchmarks/depth_anything.py {folder} {out} --side 336"

Needs `pip install transformers`. The weights are random, because no hub could be reached for the measurement: the time
is real, the depth is nonsense. A photo's shorter side becomes --side pixels (a multiple of 14).
"""

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    import numpy as np
    import torch
    from PIL import Image
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    stages = [3, 6, 9, 12]  # as in depth-anything/Depth-Anything-V2-Small-hf, config.json
    backbone = Dinov2Config(
        hidden_size=384,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_indices=stages,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone, neck_hidden_sizes=[48, 96, 192, 384], reassemble_hidden_size=384
    )
    network = DepthAnythingForDepthEstimation(config).eval()
    processor = DPTImageProcessor(
        size={"height": args.side, "width": args.side},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=Image.Resampling.BICUBIC,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    args.out.mkdir(parents=True)
    for path in sorted(args.folder.glob("*.jpg")):
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        with torch.inference_mode():
            outputs = network(**processor(images=photo, return_tensors="pt"))
        (found,) = processor.post_process_depth_estimation(outputs, target_sizes=[photo.size[::-1]])
        depth = found["predicted_depth"].numpy()
        grey = 255 * (depth - depth.min()) / max(np.ptp(depth), 1e-9)
        Image.fromarray(grey.astype(np.uint8)).save(args.out / f"{path.stem}.png")


if __name__ == "__main__":
    main()
