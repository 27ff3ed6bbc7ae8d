"""Where predictions come from: a model that sees the photo, or a folder of files that any tool has written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints.photo_hashes import copies_in_words
from hqmd_cli.data.check.near_duplicates import Hashes, hash_of, thumbnail
from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.units import Kind

if TYPE_CHECKING:
    from hqmd_cli.inference.uncertainty import Uncertainty

Map = NDArray[np.floating]
Predict = Callable[[NDArray[np.uint8]], Map]  # (H, W, 3) RGB -> (H, W): metres, or what its kind says


@dataclass(frozen=True, eq=False)
class Said:
    """What a model says of its map besides the depth; None where it says nothing."""

    focal_px: float | None = None  # of the camera that it sees in the photo, at the photo's size
    uncertainty: "Uncertainty | None" = None


NOTHING = Said()
Tell = Callable[[NDArray[np.uint8]], tuple[Map, Said]]  # as Predict, with what the model says besides


@dataclass(frozen=True)
class PredictionSource:
    """Maps for samples: `source(sample)` is (H, W) of the truth's size, metres or what `kind` says (units.py).

    `predict` is the model, which can be shown the mirrored photo as well; None for files. If it `follows_camera`, its
    metres are those of NYU's camera, and `map_of` scales them to the sample's. `remark()` is a note for readers of the
    figures, asked for when all maps have been read; it raises HqmdError if they must not be scored. `identity()` names
    and hashes everything that decides the maps; empty if unknown.
    """

    map_of: Callable[[Sample], Map]
    kind: Kind = "depth"
    predict: Predict | None = None
    follows_camera: bool = False
    remark: Callable[[], str] = str
    identity: Callable[[], str] = str
    tells: Callable[[Sample], tuple[Map, Said]] | None = None  # as map_of, with what the model says besides

    def __call__(self, sample: Sample) -> Map:
        return self.map_of(sample)


def model_source(
    predict: Predict,
    kind: Kind = "depth",
    remark: str = "",
    identity: Callable[[], str] = str,
    follows_camera: bool = False,
    tell: Tell | None = None,
    learned_from: Hashes | None = None,
) -> PredictionSource:
    """Predict with any callable from a photo to its map. Its HqmdErrors get the name of the photo.

    `follows_camera`: its metres are those of NYU's camera, and are scaled where the data knows another focal length.
    `tell`: the same predictions, with what the model says besides.
    `learned_from`: hashes of photos; the remark counts the copies among those that it has predicted.
    """
    seen: dict[str, NDArray[np.number]] = {}  # by name: thumbnails

    def remark_on_all() -> str:
        if learned_from is None or not seen:
            return remark
        return "; ".join(filter(None, (remark, copies_in_words([*seen], map(hash_of, seen.values()), learned_from))))

    def asked(ask: Tell) -> Callable[[Sample], tuple[Map, Said]]:
        def told(sample: Sample) -> tuple[Map, Said]:
            if learned_from is not None:
                seen[sample.name] = thumbnail(sample.image)
            try:
                pred, said = ask(sample.image)
                return scaled(pred, sample) if follows_camera and sample.focal_px else pred, said
            except HqmdError as error:
                raise HqmdError(f"{sample.name}: {error}") from error

        return told

    plain, tells = asked(lambda image: (predict(image), NOTHING)), asked(tell) if tell else None
    return PredictionSource(
        lambda sample: plain(sample)[0], kind, predict, follows_camera, remark_on_all, identity, tells
    )


def scaled(pred: Map, sample: Sample) -> Map:
    """Scale metres as NYU's camera would see them to those of a sample's camera."""
    return pred * np.float32(sample.camera_factor)
