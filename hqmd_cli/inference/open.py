"""Open a model, whoever made it: predict, evaluate, compare and `hqmd_cli.load` all do so here.

Imports no NumPy: a cold `hqmd predict` imports it with the engine, and the rest while its model opens (opener).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hqmd_cli.checkpoints.hub import FOREIGN, find_here, find_model, scheme_of
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.limits import require_sides
from hqmd_cli.registry import resolve
from hqmd_cli.units import IN_WORDS, Kind, kind_named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hqmd_cli.checkpoints.catalogue import Entry
    from hqmd_cli.geometry.camera import Intrinsics
    from hqmd_cli.inference.engines import Engine
    from hqmd_cli.inference.uncertainty import Uncertainty

Predict: TypeAlias = "Callable[[NDArray[np.uint8]], NDArray[np.float32]]"  # (H, W, 3) RGB -> (H, W)


class Seen(NamedTuple):
    """What a model sees in a photo that finds the camera by itself, or leaves out parts such as the sky."""

    depth: NDArray[np.float32]  # (H, W), finite; metres, or what the model's kind says
    focal_px: float | None = None  # of the camera that the numbers hold for; None: the model does not tell
    remark: str = ""  # what readers must know of this map


Sees: TypeAlias = "Callable[[NDArray[np.uint8], float | None], Seen]"  # (photo, its focal length in pixels if known)


class SeenPhoto(NamedTuple):
    """What a model of any kind says of a photo."""

    depth: NDArray[np.float32]  # (H, W)
    camera: Intrinsics  # that the depth holds for
    remarks: tuple[str, ...] = ()
    uncertainty: Uncertainty | None = None  # None: the model does not know it


@dataclass(frozen=True)
class OpenOptions:
    """Options for opening a model. Raises HqmdError for options that exclude each other, and for an unknown kind."""

    backend: str = "auto"  # a key of engines.select.BACKENDS
    device: str = "auto"  # or cpu, cuda, mps
    sides: tuple[int, ...] = ()  # shorter sides, in pixels, of larger pictures for detail; empty: the model's own
    size: str = DEFAULT_SIZE  # one of the model's presets
    flip: bool = False  # average with the mirrored photo, even if the model does not ask for it
    threads: int = 0  # of ONNX Runtime, per photo; 0: one per core
    compiled: bool = False  # use torch.compile
    kind: str | None = None  # of a foreign model's maps, for models that do not declare it
    profile: str = ""  # of an onnx: model: a name in the catalogue, or a TOML file; empty: by what the file says

    def __post_init__(self) -> None:
        if self.sides and self.size != DEFAULT_SIZE:
            raise HqmdError("--side and --size both say where a photo's detail comes from; give one of them")
        if self.sides:
            require_sides(self.sides)
        if self.kind is not None:
            kind_named(self.kind)

    @property
    def view_in_words(self) -> str:
        """The options that change what models of ours see, for captions; empty without one."""
        size = f"--size {self.size}" if self.size != DEFAULT_SIZE else ""
        sides = f"--side {','.join(map(str, self.sides))}" if self.sides else ""
        return " ".join(filter(None, (size, sides, "--flip" if self.flip else "")))


@dataclass(frozen=True)
class OpenModel:
    """`model(image)`: (H, W, 3) uint8 RGB -> (H, W) float32, from any thread; metres, or what `kind` says."""

    name: str  # as the user gave it; of a foreign model, with its revision
    predict: Predict
    engine: str  # what computes, and how it sees photos, for messages
    precision: str  # of most of the arithmetic: fp32, bf16, int8; an empty string if unknown
    digest: Callable[[], str]  # SHA-256 of everything that decides its depth; called only when something is recorded
    sides: tuple[int, ...] = ()  # shorter sides, in pixels, at which it sees photos; empty if it chooses them itself
    detail_sides: tuple[int, ...] = ()  # of these, only the detail counts
    flips: bool = False  # True: it averages with the mirrored photo
    follows_camera: bool = False  # True: its metres are those of NYU's camera (Intrinsics.metres_factor)
    kind: Kind = "depth"
    fallback: str = ""  # why the CPU computes although there is an accelerator
    origin: str = ""  # how the kind of a foreign model is known; an empty string for hqmd's own, which give metres
    surely: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], Uncertainty]] | None = None  # None: unknown
    with_options: Callable[[OpenOptions], OpenModel] | None = None  # the same engine with other sides or size
    folder: Path | None = None  # of one of hqmd's own
    sees: Sees | None = None  # of foreign models that give a focal length or a remark; else None, and `predict` is all

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.predict(image)

    def see(self, image: NDArray[np.uint8], camera: Intrinsics, sure: bool = True) -> SeenPhoto:
        """Return everything the model says of a photo; with `sure`, also how sure it is, if it knows that.

        A model that `sees` is given the focal length if that is known, and tells its own if not.
        """
        if self.sees is None:
            depth, uncertainty = self.surely(image) if sure and self.surely else (self.predict(image), None)
            return SeenPhoto(depth, camera, uncertainty=uncertainty)
        seen = self.sees(image, camera.fx if camera.is_known else None)
        if seen.focal_px and not camera.is_known:
            origin = f"focal length of {seen.focal_px:.5g} pixels, as the model sees it"
            camera = replace(camera, fx=seen.focal_px, fy=seen.focal_px, origin=origin, is_known=True)
        return SeenPhoto(seen.depth, camera, (seen.remark,) if seen.remark else ())

    def require_uncertainty(self, what: str) -> None:
        """Raise HqmdError, which begins with what is asked for, if the model does not know how sure it is."""
        if self.surely is None:
            remedy = "use one of hqmd's own" if self.origin else "`hqmd calibrate` measures that on held-out photos"
            raise HqmdError(f"{what}: {self.name} does not know how sure it is; {remedy}")

    @property
    def why(self) -> str:
        """How its kind is known, in brackets."""
        return f" ({self.origin})" if self.origin else ""

    @property
    def remark(self) -> str:
        """What readers of its maps or figures must know; an empty string for hqmd's own models."""
        mirrored = ", averaged with the mirrored photo's" if self.flips else ""
        return f"{self.name}, {IN_WORDS[self.kind]}{self.why}{mirrored}" if self.origin else ""

    @property
    def in_words(self) -> str:
        """What was opened, for stderr."""
        return f"{self.remark or self.name}, {self.engine}"


def open_models(names: Sequence[str], options: OpenOptions) -> dict[str, OpenModel]:
    """Open every model, by its name. All of hqmd's own are found before the first is loaded.

    Raises HqmdError for a model or an option that is not available, and if no model has the kind in the options.
    """
    places = {name: find_model(name) for name in names}
    opened = {name: open_at(name, place, options) for name, place in places.items()}
    require_kind(opened, options)
    return opened


def open_at(name: str, place: Path | str | Entry, options: OpenOptions) -> OpenModel:
    """Open what find_model found."""
    if isinstance(place, Path):
        model = open_checkpoint(name, place, options)
    else:
        model = open_foreign(place, options) if isinstance(place, str) else open_entry(place, options)
    if options.profile and not model.name.startswith("onnx:"):
        raise HqmdError(f"--onnx-profile works with onnx: models only; {name} is not one")
    return model


def open_foreign(address: str, options: OpenOptions) -> OpenModel:
    """Open a model by its scheme and place, such as hf:org/name."""
    model: OpenModel = resolve(FOREIGN, address.partition(":")[0], "scheme")(address, options)
    return model


def open_entry(entry: Entry, options: OpenOptions) -> OpenModel:
    """Open a model of the catalogue, and keep the commit of its first download.

    Raises HqmdError if it gives something else than the catalogue says: its files, or an old library, would be wrong.
    """
    from hqmd_cli.checkpoints.catalogue import keep_commit

    address = entry.address(options.backend)
    by_onnx = address.startswith("onnx:")
    profile = (options.profile or entry.profile) if by_onnx else options.profile
    model = open_foreign(address, replace(options, profile=profile))
    if model.kind != entry.kind:
        raise HqmdError(
            f"{entry.name}: the catalogue says {IN_WORDS[entry.kind]}, but {model.name} gives {IN_WORDS[model.kind]}"
            f"{model.why}; its files are of another model, or the library is too old for it"
        )
    keep_commit(entry, model.name)
    return replace(model, origin="; ".join(filter(None, (model.origin, entry.licence_note))))


def open_model(name: str, options: OpenOptions) -> OpenModel:
    """Open one model. Raises HqmdError as open_models."""
    return open_models([name], options)[name]


def opener(name: str, options: OpenOptions, at_once: bool = False) -> Callable[[int], OpenModel]:
    """Return a function that opens the model with so many threads per photo (0: one per core).

    With `at_once`, a model on this machine opens now, in a thread of its own and with all cores, while the caller
    imports what it needs; the function waits for it and raises its errors. That saves 7 % of the time of a
    cold `hqmd predict` (hqmd-indoor-small and hqmd-indoor, medians of 15 pairs of runs).
    """
    if at_once and not scheme_of(name) and (folder := find_here(name)):
        from hqmd_cli.inference.engines.select import import_onnx

        import_onnx(folder, options.backend, options.device)
        opening = ThreadPoolExecutor(1).submit(open_model, name, options)
        import_module("hqmd_cli.inference.predictor")  # which the thread needs after it has opened the engine
        return lambda threads: opening.result()
    return lambda threads: open_model(name, replace(options, threads=threads))


def require_kind(opened: dict[str, OpenModel], options: OpenOptions) -> None:
    """Raise HqmdError for a --model-kind that no model has."""
    if options.kind and options.kind not in {model.kind for model in opened.values()}:
        given = "; ".join(f"{name} gives {IN_WORDS[model.kind]}{model.why}" for name, model in opened.items())
        raise HqmdError(
            f"--model-kind {options.kind} is for third-party models that do not say this; {given or 'name one'}"
        )


def open_checkpoint(name: str, folder: Path, options: OpenOptions) -> OpenModel:
    """Open one of hqmd's own models."""
    from hqmd_cli.inference.engines.select import open_engine

    engine = open_engine(folder, options.backend, options.device, options.threads, options.compiled)
    return shown_by(engine, name, folder, options)


def shown_by(engine: Engine, name: str, folder: Path, options: OpenOptions) -> OpenModel:
    """Return one of hqmd's own models, whose engine is open, with the sides, size and flip of these options."""
    # After the engine, which is opened beside the caller's imports.
    from hqmd_cli.checkpoints.config_file import model_hash, read_model_config
    from hqmd_cli.inference.predictor import DepthPredictor

    predictor = DepthPredictor(engine, read_model_config(folder).at_size(options.size), options.sides, options.flip)
    return OpenModel(
        name,
        predictor,
        f"{engine.name}, {predictor.in_words}",
        engine.precision,
        lambda: model_hash(folder),
        predictor.sides,
        predictor.detail_sides,
        predictor.flip,
        follows_camera=True,
        fallback=engine.fallback,
        surely=predictor.with_uncertainty if predictor.model.view.errors else None,
        with_options=lambda others: shown_by(engine, name, folder, others),
        folder=folder,
    )


def mirrored(predict: Predict, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict the mirrored image, and mirror the map back."""
    return predict(image[:, ::-1].copy())[:, ::-1]
