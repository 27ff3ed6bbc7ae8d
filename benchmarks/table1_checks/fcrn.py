"""Compare table1/fcrn.py with a PyTorch port that unpools with zeros and then convolves, as the paper's figure 2c does.

    git --git-dir=MIRROR archive HEAD | tar -x -C CHECKOUT      # of https://github.com/dontLoveBugs/FCRN_pytorch
    python benchmarks/table1_checks/fcrn.py CHECKOUT

Its last convolution has no bias, the authors' has: it gets ours. Logits are compared, before either one enlarges them.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper

PARTS = {"long.0": "conv1", "long.1": "batchnorm1", "long.3": "conv2", "long.4": "batchnorm2"}
PARTS |= {"short.0": "conv", "short.1": "batchnorm"}
BRANCHES = {"long": "upper_branch", "short": "bottom_branch"}
HEAD = {"narrow.0": "conv2", "narrow.1": "bn2", "logits": "conv3"}


def renamed(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Our name and tensor as the port has them."""
    if name.startswith("up."):
        _, block, branch, layer, kind = name.split(".")
        if layer == "0":  # of a transposed convolution, the convolution of the unpooled map
            tensor = tensor.transpose(0, 1).flip(-1, -2)
        return f"upSample.layer{int(block) + 1}.{BRANCHES[branch]}.{PARTS[f'{branch}.{layer}']}.{kind}", tensor
    layer, _, kind = name.removeprefix("backbone.net.").rpartition(".")
    return f"{HEAD.get(layer, layer)}.{kind}", tensor


def shake(network: nn.Module) -> None:
    """Batch norm whose every number shows."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.weight.data, 0.8, 1.2),
                (part.bias.data, -0.1, 0.1),
                (part.running_mean, -0.1, 0.1),
                (part.running_var, 0.5, 1.5),
            ):
                tensor.uniform_(low, high)


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]) / "network"))
    import FCRN

    torch.manual_seed(0)
    ours = build_model(from_paper("fcrn", {})[0]).eval()
    shake(ours)
    theirs = FCRN.ResNet(layers=50, pretrained=False).eval()
    theirs.conv3 = nn.Conv2d(64, 1, 3, padding=1)
    theirs.load_state_dict(dict(renamed(*entry) for entry in ours.state_dict().items()))
    maps: list[Tensor] = []
    for layer in (ours.logits, theirs.conv3):
        layer.register_forward_hook(lambda _, __, logits: maps.append(logits))
    rgb = torch.rand(1, 3, 228, 304)
    with torch.no_grad():
        ours(rgb)
        theirs(ours.backbone.normalise(rgb))
    count = sum(p.numel() for p in ours.parameters()), sum(p.numel() for p in theirs.parameters())
    print(f"parameters {count[0]} and {count[1]}, logits {tuple(maps[0].shape)} with a spread of {maps[1].std():.3f}")
    print(f"largest difference {(maps[0] - maps[1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
