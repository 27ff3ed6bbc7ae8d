"""Two processes train on the objective of one: each loss, and its gradient, is that of the whole batch.

A loss that is registered in LOSSES is tested here without another line.
"""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hqmd_cli.losses import LOSSES, build_loss
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.ordinal import spacing_increasing

NAMES = (*LOSSES, "relative")
PLAIN = "plain means"
SIZE, BINS = (12, 16), 5
HALVES = (slice(0, 2), slice(2, 4))
# Share of valid pixels in each picture, by case. The mean of two halves' means is the batch's where they have equally
# many, so they don't.
VALID_SHARES = {"few": (0.9, 0.6, 0.2, 0.1), "none": (0.9, 0.6, 0.0, 0.0)}

Answer = tuple[Tensor, dict[str, Tensor]]  # a loss, and its gradient for each output of the network
Answers = dict[tuple[str, str], Answer]  # by loss and case


def plain_means(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """L1 over this process's pictures, as code for one process has it."""
    return (pred_m - depth_m)[valid].abs().sum() / valid.sum().clamp(min=1)


def take(name: str, case: str, pictures: slice = slice(None)) -> Answer:
    """A loss of some of the batch's pictures, for a network with a depth map and, where it is asked for, logits."""
    random = torch.Generator().manual_seed(0)
    pred_m, depth_m = 1 + 4 * torch.rand(2, 4, 1, *SIZE, generator=random, dtype=torch.float64)
    logits = torch.randn(4, BINS, *SIZE, generator=random, dtype=torch.float64)
    valid = torch.rand(4, 1, *SIZE, generator=random) < torch.tensor(VALID_SHARES[case]).view(-1, 1, 1, 1)
    outputs = {"pred_m": pred_m[pictures].requires_grad_(), "logits": logits[pictures].requires_grad_()}
    parts = {"ordinal": outputs["logits"], "thresholds_m": spacing_increasing(1, 5, BINS)} if name == "ordinal" else {}
    loss = build_loss(name)(Estimate(outputs["pred_m"], parts=parts), depth_m[pictures], valid[pictures])
    gradients = torch.autograd.grad(loss, list(outputs.values()), allow_unused=True, materialize_grads=True)
    return loss.detach(), dict(zip(outputs, gradients, strict=True))


def share_batch(rank: int, folder: Path) -> None:
    """Take every loss of one half while another process takes the other half; save them as RANK.pt."""
    torch.set_num_threads(1)  # a fork does not take threads along
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    answers = {(name, case): take(name, case, HALVES[rank]) for name in LOSSES for case in VALID_SHARES}
    torch.save(answers, folder / f"{rank}.pt")


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """Register the loss with plain means, which has to be found out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LOSSES, PLAIN, f"{__name__}:plain_means")
        patch.setitem(LOSSES, "relative", "hqmd_cli.losses.relative:of_disparity")  # not for --loss
        yield


@pytest.fixture(scope="module")
def of_halves(registered: None, tmp_path_factory: pytest.TempPathFactory) -> list[Answers]:
    """What each of two processes, started once for all losses, computed."""
    folder = tmp_path_factory.mktemp("halves")
    fork = multiprocessing.get_context("fork")  # torch need not be imported twice more
    processes = [fork.Process(target=share_batch, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def require_same(name: str, case: str, of_halves: list[Answers]) -> None:
    """Each process has the batch's loss, and the mean of both gradients, which DDP takes, is the batch's."""
    loss, gradients = take(name, case)
    for pictures, answers in zip(HALVES, of_halves, strict=True):
        own_loss, own_gradients = answers[name, case]
        torch.testing.assert_close(own_loss, loss, rtol=1e-9, atol=1e-12)
        for output, gradient in gradients.items():
            # For these pictures the other process has no gradient.
            torch.testing.assert_close(own_gradients[output] / 2, gradient[pictures], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", VALID_SHARES)
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_take_the_loss_of_the_whole_batch(name: str, case: str, of_halves: list[Answers]) -> None:
    loss, gradients = take(name, case)
    assert loss.isfinite() and any(gradient.any() for gradient in gradients.values())
    require_same(name, case, of_halves)


@pytest.mark.parametrize("case", VALID_SHARES)
def test_a_loss_with_plain_means_is_found_out(case: str, of_halves: list[Answers]) -> None:
    with pytest.raises(AssertionError, match="not close"):
        require_same(PLAIN, case, of_halves)
