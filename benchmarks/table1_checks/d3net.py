"""Compare table1/d3net.py with the authors' PyTorch code: class DenseUNet of pytorch/networks/dense_decoders.py.

    git --git-dir=MIRROR archive HEAD pytorch | tar -x -C CHECKOUT      # of marcelampc/d3net_depth_estimation
    python benchmarks/table1_checks/d3net.py CHECKOUT

Ours has no biases in front of batch norms and one behind its last convolution, theirs the other way round: theirs get
zeros, and so does our last one. Our transitions to the skips get the weights of their transitions, which serve both.
"""

import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper

UP = {"0": "conv1", "1": "bn1", "4": "conv2", "5": "bn2"}
HALVE = {"0": "downconv0", "1": "norm1"}
SKIP = {"0": "norm", "2": "conv"}
TRANSITIONS = {"4": "transition1", "8": "transition2", "16": "transition3"}


def renamed(name: str) -> str:
    """Our tensor's name as theirs; the two transitions of a stage have one."""
    part, *rest = name.removeprefix("backbone.net.").split(".")
    kind = rest[-1]
    match part:
        case "blocks":
            return f"decoder.d_block{5 - int(rest[0])}.0.{UP[rest[1]]}.{kind}"
        case "skips":
            return f"features.{TRANSITIONS[rest[0]]}.{SKIP[rest[1]]}.{kind}"
        case "logits":
            return f"last_conv.{kind}"
        case "features_pool0":
            return f"features.{HALVE[rest[0]]}.{kind}"
    return ".".join(["features", part.removeprefix("features_"), *rest])


def shake(network: nn.Module, rgb: Tensor) -> None:
    """Batch norm whose every number shows, and which normalises: otherwise deep maps fade behind the first skips."""
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.8, 1.2)
        norm.bias.data.uniform_(-0.1, 0.1)
        norm.momentum = 1.0  # the statistics become this batch's
    network.train()(rgb)
    network.eval()


def load_theirs(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy both ways: what is theirs alone is zero or nothing, and what ours doubles becomes one."""
    known, given = theirs.state_dict(), {renamed(name): tensor for name, tensor in ours.state_dict().items()}
    for name, tensor in given.items():
        assert name in known or name == "last_conv.bias", name
        assert name == "last_conv.bias" or tensor.shape == known[name].shape, name
    left = {name for name in known if name not in given}
    assert all(name.endswith("conv1.bias") or name.startswith("last_conv_sem") for name in left), left
    biases = {name: torch.zeros_like(known[name]) for name in left}
    theirs.load_state_dict({name: biases.get(name, given.get(name, known[name])) for name in known})
    ours.load_state_dict({name: theirs.state_dict().get(renamed(name), t) for name, t in ours.state_dict().items()})


def logits_of(ours: nn.Module, rgb: Tensor, deepest: float = 1.0) -> Tensor:
    """What our last convolution gives, the deepest map multiplied by a number."""
    kept: list[Tensor] = []
    hooks = [
        ours.logits.register_forward_hook(lambda _, __, logits: kept.append(logits)),
        ours.blocks[0].register_forward_pre_hook(lambda _, inputs: (inputs[0] * deepest,)),
    ]
    ours(rgb)
    for hook in hooks:
        hook.remove()
    return kept[0]


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]) / "pytorch"))
    for name, entry in (("ipdb", "set_trace"), ("networks.cdropout", "CDropout")):  # imported there, and not used
        sys.modules[name] = unused = ModuleType(name)
        setattr(unused, entry, None)
    from networks.dense_decoders import denseUnet121

    torch.manual_seed(0)
    ours = build_model(from_paper("d3net", {})[0]).eval()
    theirs = denseUnet121(use_skips=True, use_dropout=True, model="regression").eval()
    rgb = torch.rand(2, 3, 256, 320)
    nn.init.zeros_(ours.logits.bias)
    with torch.no_grad():
        load_theirs(ours, theirs)  # of the two transitions of a stage, the first
        shake(ours, rgb)
        load_theirs(ours, theirs)
        mine, their = logits_of(ours, rgb), theirs(ours.backbone.normalise(rgb))
        flat = mine - logits_of(ours, rgb, deepest=0.0)
    used = sum(p.numel() for name, p in theirs.named_parameters() if not name.startswith("last_conv_sem"))
    print(f"parameters {sum(p.numel() for p in ours.parameters())}, theirs {used} without those for labels")
    print(f"of ours, transitions to skips {sum(p.numel() for p in ours.skips.parameters())}")
    print(f"logits {tuple(mine.shape)} with a spread of {their.std():.3f}, {flat.std():.3f} by the deepest map")
    print(f"largest difference {(mine - their).abs().max():.1e}")


if __name__ == "__main__":
    main()
