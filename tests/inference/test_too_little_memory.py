"""A side at which memory runs out in torch: the message names the option to lower. ONNX Runtime's: test_graphs.py."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.pytorch import TorchEngine

PICTURE = np.zeros((64, 96, 3), np.uint8)
TOO_MUCH = 2**50  # bytes, and more


class Hungry(nn.Module):
    """A network that asks for a petabyte."""

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.empty(TOO_MUCH)


def test_torch_names_the_option() -> None:
    with pytest.raises(HqmdError, match=r"^torch on cpu: too little memory for 64 x 96 pixels; lower --side$"):
        TorchEngine(Hungry(), torch.device("cpu"))(PICTURE)


def test_another_error_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        TorchEngine(nn.Linear(7, 7), torch.device("cpu"))(PICTURE)
