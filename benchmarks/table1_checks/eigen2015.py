"""Compare models/eigen2015.py, with VGG-16, with a PyTorch port of the authors' network.

    git --git-dir=MIRROR archive HEAD depth/net.py | tar -x -C CHECKOUT
    python benchmarks/table1_checks/eigen2015.py CHECKOUT   # of https://github.com/QihaoHuang/monocular-depth-prediction

The port takes photos that stand, and pads its first two convolutions not at all, which gives the paper's 150 x 112:
ours is built and set so. It has a ReLU behind layers 1.7, 2.5 and 3.4, depth instead of log depth: they are taken out.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from hqmd_cli.models import build_model
from hqmd_cli.recipes import from_paper

HEADS = {"view.hidden.0": "layer1_6.0", "view.spread": "layer1_7.0", "scale2.see.0": "layer2_1.0"}
HEADS |= {f"scale2.refine.{2 * i}": f"layer2_{i + 2}.0" for i in range(3)} | {"scale2.logits": "layer2_5.0"}
THIRD = {"scale3.see.0": "layer3_1.0", "scale3.logits": "layer3_4.0"}
THIRD |= {f"scale3.refine.{2 * i}": f"layer3_{i + 2}.0" for i in range(2)}


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]) / "depth"))
    import net as port

    torch.manual_seed(0)
    ours = build_model(from_paper("eigen2015", {"model": {"size": (304, 228)}})[0]).eval()
    second = port.Scale12(1).eval()
    theirs = port.Scale3(second).eval()
    for part in (second.layer1_7, second.layer2_5, theirs.layer3_4):
        part[1] = nn.Identity()
    first = [second.get_submodule(f"layer1_{i}") for i in range(1, 6)]
    vgg = [convolution for block in first for convolution in convolutions(block)]
    for mine, other in zip(convolutions(ours.backbone.net), vgg, strict=True):
        other.load_state_dict(mine.state_dict())
        mine.padding = other.padding
    for old, new in HEADS.items():
        second.get_submodule(new).load_state_dict(ours.get_submodule(old).state_dict())
    for old, new in THIRD.items():
        theirs.get_submodule(new).load_state_dict(ours.get_submodule(old).state_dict())
    maps: list[Tensor] = []
    for layer in (ours.scale2.logits, ours.scale3.logits):
        layer.register_forward_hook(lambda _, __, logits: maps.append(logits))
    rgb = torch.rand(1, 3, 304, 228)
    with torch.no_grad():
        ours(rgb)
        seen = ours.backbone.normalise(rgb)
        others = [second(seen), theirs(seen)]
    count = sum(p.numel() for p in ours.parameters()), sum(p.numel() for p in theirs.parameters())
    print(f"parameters {count[0]} and {count[1]}")
    for scale, mine, other in zip((2, 3), maps, others, strict=True):
        print(f"scale {scale}: {tuple(mine.shape)}, largest difference {(mine - other).abs().max():.1e}", end=", ")
        print(f"spread {other.std():.4f}")


if __name__ == "__main__":
    main()
