"""What foreign models share: options that they refuse, the kind of their numbers, and the mirrored photo."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.select import BACKENDS
from hqmd_cli.inference.open import OpenOptions, Predict, Seen, Sees, mirrored
from hqmd_cli.registry import pick
from hqmd_cli.units import Kind, kind_named


def refuse_options(name: str, wish: OpenOptions, backends: Collection[str], why: str) -> None:
    """Raise HqmdError for options that only hqmd's own models have. `why` says what computes this model instead."""
    pick(BACKENDS, wish.backend, "backend")
    for flag, given in {"--side": wish.sides, "--size": wish.size != DEFAULT_SIZE, "--compile": wish.compiled}.items():
        if given:
            raise HqmdError(f"{flag} is for hqmd's own models; {name} {why}")
    if wish.backend not in backends:
        raise HqmdError(f"--backend {wish.backend} is for hqmd's own models; {name} {why}")


def settled_kind(
    name: str,
    stated: tuple[Kind, str] | None,
    wish: OpenOptions,
    assumed: tuple[Kind, str] | None = None,
    why_open: str = "",
) -> tuple[Kind, str]:
    """Return the kind of a model's numbers, and how it is known.

    The model's own statement counts first, then --model-kind, then `assumed`. Without any of the three, raises
    HqmdError saying why the kind is open.
    """
    if stated:
        return stated
    if wish.kind:
        return kind_named(wish.kind), "as --model-kind says"
    if assumed:
        return assumed
    why = f" ({why_open})" if why_open else ""
    raise HqmdError(
        f"{name} does not say what its numbers are{why}; state it with --model-kind: depth (metres), disparity (larger "
        "is nearer) or relative (larger is farther)"
    )


def with_mirror(predict: Predict) -> Predict:
    """Return a function that averages a photo's map with the map of its mirror image."""
    return lambda image: (predict(image) + mirrored(predict, image)) / np.float32(2)


def seen_with_mirror(sees: Sees) -> Sees:
    """Return a function that averages a photo's map with the map of its mirror image, for one focal length."""

    def both(image: NDArray[np.uint8], focal_px: float | None) -> Seen:
        seen = sees(image, focal_px)
        other = sees(image[:, ::-1].copy(), focal_px or seen.focal_px)
        return seen._replace(depth=(seen.depth + other.depth[:, ::-1]) / np.float32(2))

    return both
