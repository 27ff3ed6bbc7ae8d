"""Activations: from a network's last layer to metres."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN_DEPTH_M = 2.75  # about the mean of NYU's training depths: where an untrained network starts


class Activation(NamedTuple):
    """Logits to metres, and the inverse, which gives the bias that training starts with."""

    to_metres: Callable[[Tensor], Tensor]
    to_logit: Callable[[float], float]

    def start(self, *last_layers: nn.Module) -> None:
        """Set the biases of layers whose output is logits, so that depth starts at MEAN_DEPTH_M."""
        for layer in last_layers:
            nn.init.constant_(layer.bias, self.to_logit(MEAN_DEPTH_M))  # type: ignore[arg-type]


# The paper does not name its activation. Both of these keep depth positive, so that no metric needs a clip. softplus is
# linear in metres beyond about 1 m, nearest to a plain regression on metres, hence the default; exp makes the network
# regress log depth.
ACTIVATIONS = {
    "softplus": Activation(F.softplus, lambda depth_m: math.log(math.expm1(depth_m))),
    "exp": Activation(torch.exp, math.log),
}
