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

from hqmd_cli.inference.engines.memory import too_large
from hqmd_cli.models.backbone import Backbone

BATCH = 8  # most pictures that a GPU computes at once


class TorchEngine:
    """Engine for a network, which it switches to evaluation and to channels_last in place.

    One call computes at a time, on all cores or the whole GPU. Pictures of one size that wait meanwhile are computed
    together, up to `batch` of them: by default 8 on a GPU, and 1 on a CPU, which gains nothing by it
    (benchmarks/predict.md). `compiled` uses torch.compile: the first photo of a size takes a minute, later ones less.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, compiled: bool = False, batch: int | None = None
    ) -> None:
        network = network.to(memory_format=torch.channels_last).eval()
        photo_to_depth = PhotoToDepth(network)
        self.photo_to_depth = torch.compile(photo_to_depth, dynamic=True) if compiled else photo_to_depth
        self.device, self.name, self.fallback = device, f"torch on {device}", ""
        self.precision = "bf16" if any(isinstance(part, Bfloat16Backbone) for part in network.modules()) else "fp32"
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
        """Compute `first` and others of its size. An error goes to all of them."""
        shape = first.picture.shape
        others = (request for request in list(self.waiting) if request is not first and request.picture.shape == shape)
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
        """(B, h, w, 3) uint8 -> (B, ...) float32 metres."""
        try:
            return self.photo_to_depth(torch.from_numpy(pictures).to(self.device)).cpu().numpy()
        except RuntimeError as error:  # an accelerator's torch.OutOfMemoryError is one, too
            if explained := too_large(error, self.name, *pictures.shape[1:3]):
                raise explained from error
            raise


@dataclass(frozen=True, eq=False)
class Request:
    """A picture, and the depth that its caller waits for."""

    picture: NDArray[np.uint8]
    answer: "Future[NDArray[np.float32]]" = field(default_factory=Future)


class PhotoToDepth(nn.Module):
    """The network from bytes to metres, as every engine computes it: (B, h, w, 3) uint8 -> (B, ...) metres."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Tensor:
        return self.network(rgb.permute(0, 3, 1, 2).float() / 255)[:, 0]


class Bfloat16Backbone(nn.Module):
    """A backbone in bfloat16. The rest stays in float32: bfloat16 logits would be steps of 2 cm at 5 m."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(rgb.device.type, torch.bfloat16):
            low, high = self.backbone(rgb)
        return low.float(), high.float()

    def maps(self, rgb: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Call the backbone's `maps` in bfloat16, and return float32."""
        with torch.autocast(rgb.device.type, torch.bfloat16):
            low, high = self.backbone.maps(rgb)
        return [m.float() for m in low], [m.float() for m in high]


def use_bfloat16_backbones(network: nn.Module) -> None:
    """Compute each backbone of a network or an ensemble in bfloat16 from now on, in place."""
    for part in list(network.modules()):
        if isinstance(getattr(part, "backbone", None), Backbone):
            part.backbone = Bfloat16Backbone(part.backbone)  # type: ignore[arg-type]
