"""Compare models/eigen2014.py with a PyTorch port, and the loss `silog` with the port's.

    git --git-dir=MIRROR archive HEAD | tar -x -C CHECKOUT      # of https://github.com/imran3180/depth-map-prediction
    python benchmarks/table1_checks/eigen2014.py CHECKOUT

Both maps of logits are compared. The port's loss stands in a script that trains when imported: its function is cut out.
"""

import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.system import Estimate
from hqmd_cli.recipes import from_paper

COARSE = {"coarse.0": "conv1", "coarse.3": "conv2", "coarse.6": "conv3", "coarse.8": "conv4", "coarse.10": "conv5"}
COARSE |= {"view.hidden.0": "fc1", "view.spread": "fc2"}
FINE = {"see.0": "conv1", "refine.0": "conv2", "logits": "conv3"}


def load(theirs: nn.Module, ours: nn.Module, names: dict[str, str]) -> None:
    """Our weights into one of the port's two networks."""
    state = ours.state_dict()
    theirs.load_state_dict({f"{new}.{kind}": state[f"{old}.{kind}"] for old, new in names.items() for kind in KINDS})


KINDS = ("weight", "bias")


def losses(script: Path) -> tuple[float, float]:
    """Ours and the port's, of the same two maps of log depth."""
    source = re.search(r"def custom_loss_function.*?return loss\.mean\(\)", script.read_text(), re.DOTALL)
    assert source
    port: dict[str, Any] = {"torch": torch, "output_height": 55, "output_width": 74}
    exec(source[0], port)  # the port, which the user names
    pred, truth = torch.randn(2, 4, 1, 55, 74)
    valid = torch.ones_like(truth, dtype=torch.bool)
    ours = build_loss("silog")(Estimate(pred.exp()), truth.exp(), valid)
    return ours.item(), port["custom_loss_function"](pred, truth).item()


def main() -> None:
    checkout = Path(sys.argv[1])
    sys.path.insert(0, str(checkout))
    import model as port

    torch.manual_seed(0)
    ours = build_model(from_paper("eigen2014", {})[0]).eval()
    coarse_net, fine_net = port.coarseNet(init_weights=False).eval(), port.fineNet(init_weights=False).eval()
    load(coarse_net, ours, COARSE)
    load(fine_net, ours, FINE)
    rgb = torch.rand(1, 3, 228, 304)
    with torch.no_grad():
        estimate, seen = ours.estimate(rgb), (rgb - ours.mean) / ours.std
        fine_maps: list[torch.Tensor] = []
        ours.logits.register_forward_hook(lambda _, __, logits: fine_maps.append(logits))
        ours.estimate(rgb)
        coarse = coarse_net(seen)
        fine = fine_net(seen, coarse)
    count = (
        sum(p.numel() for p in ours.parameters()),
        sum(p.numel() for net in (coarse_net, fine_net) for p in net.parameters()),
    )
    print(f"parameters {count[0]} and {count[1]}, logits {tuple(fine.shape)}")
    for name, mine, other in (("coarse", estimate.aux_m[0].log(), coarse), ("fine", fine_maps[0], fine)):
        print(f"{name}: largest difference {(mine - other).abs().max():.1e}, spread {other.std():.3f}")
    print("silog {:.6f}, theirs {:.6f}".format(*losses(checkout / "main.py")))


if __name__ == "__main__":
    main()
