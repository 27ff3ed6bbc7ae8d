"""The one way to open a model, whoever made it: what predict, evaluate, compare and load all call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints.hub import FOREIGN, find_checkpoint, scheme_of
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines import Engine
from hqmd_cli.registry import resolve
from hqmd_cli.units import IN_WORDS, Kind, kind_named

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (H, W, 3) RGB -> (H, W)


@dataclass(frozen=True)
class Wish:
    """How the user wants models to be opened; see predictor.load_predictor for all but `kind`."""

    backend: str = "auto"
    device: str = "auto"
    sides: tuple[int, ...] = ()
    size: str = DEFAULT_SIZE
    flip: bool = False
    threads: int = 0
    compiled: bool = False
    kind: str | None = None  # what a foreign model gives, in case that it does not say so itself

    def __post_init__(self) -> None:
        if self.kind is not None:
            kind_named(self.kind)


@dataclass(frozen=True)
class OpenModel:
    """`model(image)`: (H, W, 3) uint8 RGB -> (H, W) float32 of the same size, from any thread; metres, or its kind."""

    name: str  # what records call it: as the user did, of a foreign model with its revision
    predict: Predict
    engine: str  # what computes it, and how it sees photos, in words
    precision: str  # in what most of it is computed: fp32, bf16, int8; empty where it does not say
    digest: Callable[[], str]  # SHA-256 of all that decides its answers; asked for only where something is recorded
    sides: tuple[int, ...] = ()  # pixels; the shorter sides at which it sees photos; none: its own affair
    flips: bool = False  # whether the mirrored photo counts, too
    kind: Kind = "depth"
    origin: str = ""  # how that is known, in words; empty of hqmd's own, which all give metres

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.predict(image)

    @property
    def why(self) -> str:
        """How its kind is known, in brackets."""
        return f" ({self.origin})" if self.origin else ""

    @property
    def remark(self) -> str:
        """What a reader of its maps or figures has to know of it; nothing of hqmd's own."""
        mirrored = ", averaged with the mirrored photo's" if self.flips else ""
        return f"{self.name}, {IN_WORDS[self.kind]}{self.why}{mirrored}" if self.origin else ""

    @property
    def in_words(self) -> str:
        """What was opened, for stderr."""
        return f"{self.remark or self.name}, {self.engine}"


def open_models(names: Sequence[str], wish: Wish) -> dict[str, OpenModel]:
    """Every model by its name; hqmd's own are all found before the first is loaded.

    Raises HqmdError for a model or a wish that cannot be had, and where none of them is of the kind that is wished.
    """
    folders = {name: None if scheme_of(name) else find_checkpoint(name) for name in names}
    opened = {
        name: open_ours(name, folder, wish) if folder else open_theirs(name, wish) for name, folder in folders.items()
    }
    require_wished_kind(opened, wish)
    return opened


def open_model(name: str, wish: Wish, engine: Engine | None = None) -> OpenModel:
    """One model; as open_models. `engine` is that of a checkpoint of ours that is open already."""
    model = open_theirs(name, wish) if scheme_of(name) else open_ours(name, find_checkpoint(name), wish, engine)
    require_wished_kind({name: model}, wish)
    return model


def require_wished_kind(opened: dict[str, OpenModel], wish: Wish) -> None:
    """Refuse a --model-kind that no model has."""
    if wish.kind and wish.kind not in {model.kind for model in opened.values()}:
        given = "; ".join(f"{name} gives {IN_WORDS[model.kind]}{model.why}" for name, model in opened.items())
        raise HqmdError(
            f"--model-kind {wish.kind} is for hf: and py: models that do not say what they give; {given or 'name one'}"
        )


def open_theirs(name: str, wish: Wish) -> OpenModel:
    """A foreign model, by its scheme."""
    model: OpenModel = resolve(FOREIGN, name.partition(":")[0], "scheme")(name, wish)
    return model


def open_ours(name: str, folder: Path, wish: Wish, engine: Engine | None = None) -> OpenModel:
    """A checkpoint of ours."""
    from hqmd_cli.checkpoints.checkpoint import model_hash
    from hqmd_cli.inference.predictor import load_predictor, predictor_with

    if engine:
        predictor = predictor_with(engine, folder, wish.sides, wish.flip, wish.size)
    else:
        predictor = load_predictor(
            folder, wish.backend, wish.device, wish.sides, wish.flip, wish.threads, wish.compiled, wish.size
        )
    return OpenModel(
        name,
        predictor,
        f"{predictor.engine.name}, {predictor.in_words}",
        predictor.engine.precision,
        lambda: model_hash(folder),
        predictor.sides,
        predictor.flip,
    )
