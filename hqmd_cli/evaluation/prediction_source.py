"""What evaluate and compare judge: a model that sees the photo, or files that somebody has written.

Either is a function from a sample to its map, (H, W) of the truth's size, and says of which kind the map is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import explain_model_errors
from hqmd_cli.evaluation.masking import DoesNotFit
from hqmd_cli.evaluation.prediction_folder import PredictionFolder
from hqmd_cli.evaluation.protocol import ALIGNED_BY, Protocol
from hqmd_cli.files.hashes import file_hash
from hqmd_cli.units import NEEDED_FIT, Kind

Map = NDArray[np.floating]
Predict = Callable[[NDArray[np.uint8]], Map]  # (H, W, 3) RGB -> (H, W): metres, or what its kind says


@dataclass(frozen=True)
class Judged:
    """`judged(sample)` is the map for a sample: metres of kind "depth", otherwise as prediction_folder.py says.

    `predict` is the model itself, where there is one: only that can be shown the mirrored photo, too. `remark()` is
    what a reader of the figures has to know of it, asked when all maps were seen; it raises HqmdError where they are
    not to be scored.
    """

    map_of: Callable[[Sample], Map]
    kind: Kind = "depth"
    predict: Predict | None = None
    remark: Callable[[], str] = str
    identity: Callable[[], str] = str  # of all that decides the maps, in some words and hashes; empty: not known

    def __call__(self, sample: Sample) -> Map:
        return self.map_of(sample)


def judged_model(predict: Predict, kind: Kind = "depth", remark: str = "", identity: Callable[[], str] = str) -> Judged:
    """Any callable from a photo to its map."""

    def map_of(sample: Sample) -> Map:
        with explain_model_errors(sample.name):
            return predict(sample.image)

    return Judged(map_of, kind, predict, lambda: remark, identity)


def judged_files(
    predictions: PredictionFolder, read: Callable[[Sample], Map] | None = None, remark: Callable[[], str] = str
) -> Judged:
    """A folder of maps, read by itself or by somebody who looks at them on the way."""

    def identity() -> str:
        return f"{predictions.description}, {file_hash(*predictions.files.values())}"

    return Judged(read or predictions, predictions.kind, None, remark, identity)


def require_judgeable(judged: Judged, protocol: Protocol) -> None:
    """Refuse a protocol that asks for more than the judged can give. Raises DoesNotFit with the remedy."""
    if protocol.flip and judged.predict is None:
        raise DoesNotFit(
            f"protocol {protocol.name} averages with the mirrored photo's prediction, which no file holds; use another"
        )
    needed, aligned = NEEDED_FIT[judged.kind], ALIGNED_BY[protocol.alignment]
    if needed and aligned != f"aligned by {needed}":
        raise DoesNotFit(
            f"predictions of kind {judged.kind} claim no metres: they need a protocol whose alignment is "
            f"{needed}, and protocol {protocol.name} has {aligned}; write one, see --protocol FILE.toml"
        )
