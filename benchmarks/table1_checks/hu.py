"""Compare table1/hu.py, and the gradients of the loss `hu`, with the authors' own code.

    git --git-dir=MIRROR archive HEAD | tar -x -C CHECKOUT  # of https://github.com/JunjH/Revisiting_Single_Depth_Estimation
    python benchmarks/table1_checks/hu.py CHECKOUT [PAIRS]

Their SENet and DenseNet, which ResNet-50 does without, are left out. With PAIRS, both gradients' terms of the loss are
taken of the first eight of val.txt, for a prediction that is the truth blurred and 5 % too far.
"""

import sys
from itertools import islice
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from fcrn import shake
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.data import open_dataset
from hqmd_cli.losses.hu import log_gradient_loss
from hqmd_cli.losses.terms import gradients, normal_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper

PARTS = {
    "long.0": "conv1",
    "long.1": "bn1",
    "long.3": "conv1_2",
    "long.4": "bn1_2",
    "short.0": "conv2",
    "short.1": "bn2",
}


def renamed(name: str) -> str:
    """Our name of a tensor as theirs."""
    words = name.split(".")
    match words:
        case ["backbone", "net", *rest]:
            return ".".join(["E", *rest])
        case ["decoder" | "fusion" as part, "ups", index, branch, layer, kind]:
            return f"{'D' if part == 'decoder' else 'MFF'}.up{int(index) + 1}.{PARTS[f'{branch}.{layer}']}.{kind}"
        case ["decoder" | "fusion" as part, _, layer, kind]:
            return f"{'D' if part == 'decoder' else 'MFF'}.{('conv', 'bn')[int(layer)]}.{kind}"
        case ["refine", index, layer, kind]:
            return f"R.{('conv', 'bn')[int(layer)]}{index}.{kind}"
        case _:
            return f"R.conv2.{words[-1]}"


def compare_networks() -> None:
    sys.modules |= {name: ModuleType(name) for name in ("senet", "densenet")}
    import modules
    import net
    import resnet

    torch.manual_seed(0)
    ours = build_model(from_paper("hu", {})[0]).eval()
    shake(ours)
    theirs = net.model(modules.E_resnet(resnet.resnet50()), 2048, [256, 512, 1024, 2048]).eval()
    theirs.load_state_dict({renamed(name): tensor for name, tensor in ours.state_dict().items()})
    maps: list[Tensor] = []
    ours.logits.register_forward_hook(lambda _, __, logits: maps.append(logits))
    rgb = torch.rand(1, 3, 228, 304)
    with torch.no_grad():
        ours(rgb)
        maps.append(theirs(ours.backbone.normalise(rgb)))
    count = sum(p.numel() for p in ours.parameters()), sum(p.numel() for p in theirs.parameters())
    print(f"parameters {count[0]} and {count[1]}, logits {tuple(maps[0].shape)} with a spread of {maps[1].std():.3f}")
    print(f"largest difference {(maps[0] - maps[1]).abs().max():.1e}")


def compare_gradients(pairs: Path | None) -> None:
    from sobel import Sobel

    sobel = Sobel()
    plane = 0.1 * torch.arange(12.0).repeat(10, 1)[None, None]
    theirs = sobel(plane)[0, 0]
    print(f"a slope of {gradients(plane)[0][0, 0, 4, 4]:.2f} is {theirs[4, 4]:.2f} to Sobel", end=", ")
    print(f"{theirs[4, -1]:.2f} at a border")
    if not pairs:
        return
    rows = []
    for sample in islice(open_dataset(pairs, "val"), 8):
        depth_m = cv2.resize(sample.depth_m, (152, 114), interpolation=cv2.INTER_NEAREST)
        truth_m, pred_m = (
            torch.from_numpy(m)[None, None] for m in (depth_m, 1.05 * cv2.GaussianBlur(depth_m, (0, 0), 3))
        )
        valid = torch.ones_like(truth_m, dtype=torch.bool)
        error = (sobel(pred_m) - sobel(truth_m)).abs()
        normals = [torch.cat([-sobel(m), torch.ones_like(m)], dim=1) for m in (pred_m, truth_m)]
        ours = log_gradient_loss(pred_m, truth_m, valid), normal_loss(pred_m, truth_m, valid)
        sobels = (error + 0.5).log().mean() * 2, (1 - F.cosine_similarity(*normals)).abs().mean()
        rows.append([*map(float, ours), *map(float, sobels)])
    means = np.mean(rows, axis=0)
    print(f"l_grad {means[0]:.3f} here, {means[2]:.3f} with Sobel", end="; ")
    print(f"l_normal {means[1]:.4f} here, {means[3]:.4f} with Sobel")


if __name__ == "__main__":
    checkout = Path(sys.argv[1])
    sys.path[:0] = [str(checkout), str(checkout / "models")]
    compare_networks()
    compare_gradients(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
