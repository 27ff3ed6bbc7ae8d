"""Compare table1/dorn.py with a PyTorch port whose pooling is that of the authors' Caffe network for NYU.

    git --git-dir=MIRROR archive HEAD | tar -x -C CHECKOUT  # of https://github.com/liviniuk/DORN_depth_estimation_Pytorch
    python benchmarks/table1_checks/dorn.py CHECKOUT

It has 160 channels and the dilations 4, 8 and 12: ours is built so. timm dilates the first block of a stage as the
stage before: these two get the port's. The 2K channels are compared, before either one enlarges them.
"""

import sys

import torch
from fcrn import shake
from torch import Tensor

from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper

STEM = {"conv1.0": "conv1", "conv1.1": "bn1", "conv1.3": "conv2", "conv1.4": "bn2", "conv1.6": "conv3", "bn1": "bn3"}
SCENE = {
    "encoder.connect": "encoder.global_fc",
    "encoder.across.0": "encoder.conv1",
    "join.1": "concat_process.1",
    "pairs": "concat_process.4",
}
SCENE |= {f"branches.{i}.{layer}": f"aspp{i + 1}.{layer}" for i in range(4) for layer in (0, 2)}


def renamed(name: str) -> str:
    """Our name of a tensor as the port's."""
    layer, _, kind = name.rpartition(".")
    if layer.startswith("scene."):
        return f"scene_understanding_modulule.{SCENE[layer.removeprefix('scene.')]}.{kind}"
    layer = layer.removeprefix("backbone.net.")
    return f"dense_feature_extractor.{STEM.get(layer, layer)}.{kind}"


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    import model as port

    torch.manual_seed(0)
    settings = {"aspp_rates": [4, 8, 12], "depth_bins": 80}
    ours = build_model(from_paper("dorn", {"model": settings})[0]).eval()
    shake(ours)
    theirs = port.DORN("nyu").eval()
    theirs.load_state_dict({renamed(name): tensor for name, tensor in ours.state_dict().items()})
    for stage in (ours.backbone.net.layer3, ours.backbone.net.layer4):
        stage[0].conv2.dilation = stage[0].conv2.padding = stage[1].conv2.dilation
    maps: list[Tensor] = []
    for layer in (ours.scene, theirs.scene_understanding_modulule.concat_process):
        layer.register_forward_hook(lambda _, __, channels: maps.append(channels))
    rgb = torch.rand(1, 3, 257, 353)
    with torch.no_grad():
        ours(rgb)
        theirs(ours.backbone.normalise(rgb))
    count = sum(p.numel() for p in ours.parameters()), sum(p.numel() for p in theirs.parameters())
    print(f"parameters {count[0]} and {count[1]}, channels {tuple(maps[0].shape)} with a spread of {maps[1].std():.3f}")
    print(f"largest difference {(maps[0] - maps[1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
