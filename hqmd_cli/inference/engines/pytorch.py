"""The network in torch, on any device."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqmd_cli.errors import HqmdError
from hqmd_cli.models.backbone import Backbone

BATCH = 8  # pictures at most that a GPU computes at once


class TorchEngine:
    """(h, w, 3) uint8 RGB -> float32 metres, an Engine.

    One call at a time computes, as torch spreads it over all cores or the whole GPU; pictures of the same size that
    wait meanwhile are computed together with the next, up to `batch` of them. By default that is done on a GPU only: a
    CPU has no time to gain by it (benchmarks/predict.md). `compiled` lets torch.compile make code for this network: the
    first photo of a size takes a minute, the rest less.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, compiled: bool = False, batch: int | None = None
    ) -> None:
        network = network.to(memory_format=torch.channels_last).eval()
        photo_to_depth = PhotoToDepth(network)
        self.photo_to_depth = torch.compile(photo_to_depth, dynamic=True) if compiled else photo_to_depth
        self.device, self.name = device, f"torch on {device}"
        self.precision = "bf16" if any(isinstance(part, ShortBackbone) for part in network.modules()) else "fp32"
        self.batch = batch or (1 if device.type == "cpu" else BATCH)
        self.computing = Lock()
        self.waiting: deque[Request] = deque()

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        mine = Request(np.ascontiguousarray(picture))
        self.waiting.append(mine)
        with self.computing:
            if not mine.answer.done():
                self.answer_waiting(mine)
        return mine.answer.result()

    def answer_waiting(self, first: "Request") -> None:
        """Compute `first` and others of its size; what goes wrong goes wrong for all of them."""
        others = (request for request in list(self.waiting) if request is not first and request.size == first.size)
        requests = [first, *islice(others, self.batch - 1)]
        for request in requests:
            self.waiting.remove(request)
        try:
            depths_m = self.compute(np.stack([request.picture for request in requests]))
        except Exception as error:
            for request in requests:
                request.answer.set_exception(error)
            return
        for request, depth_m in zip(requests, depths_m, strict=True):
            request.answer.set_result(depth_m)

    @torch.inference_mode()
    def compute(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, h, w, 3) uint8 -> (B, ...) metres, what __call__ gives of each."""
        try:
            return self.photo_to_depth(torch.from_numpy(pictures).to(self.device)).cpu().numpy()
        except torch.OutOfMemoryError as error:
            size = pictures.shape[:3]
            raise HqmdError(f"no memory left on {self.device} for pictures of {size}: lower --side") from error


@dataclass(frozen=True, eq=False)
class Request:
    """A picture whose depth somebody waits for."""

    picture: NDArray[np.uint8]
    answer: "Future[NDArray[np.float32]]" = field(default_factory=Future)

    @property
    def size(self) -> tuple[int, ...]:
        """Height and width."""
        return self.picture.shape[:2]


class PhotoToDepth(nn.Module):
    """The network between bytes and metres, as all engines compute it: (B, h, w, 3) uint8 -> (B, ...) metres."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        return self.network(rgb.permute(0, 3, 1, 2).float() / 255)[:, 0]


class ShortBackbone(nn.Module):
    """A backbone in bfloat16. Only the backbone: eight bits of a depth's logarithm would be steps of 2 cm at 5 m."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(rgb.device.type, torch.bfloat16):
            low, high = self.backbone(rgb)
        return low.float(), high.float()

    def maps(self, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the backbone's maps in float32."""
        with torch.autocast(rgb.device.type, torch.bfloat16):
            low, high = self.backbone.maps(rgb)
        return [m.float() for m in low], [m.float() for m in high]


def with_short_backbones(network: nn.Module) -> None:
    """Wrap each backbone of the network, or the committee, in place."""
    for part in list(network.modules()):
        if isinstance(getattr(part, "backbone", None), Backbone):
            part.backbone = ShortBackbone(part.backbone)  # type: ignore[arg-type]
