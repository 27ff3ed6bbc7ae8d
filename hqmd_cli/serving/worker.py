"""The process that opens the models and does all the work of a photo, so that the one that answers only moves bytes.

Decoding, encoding, and freeing what is large hold Python's lock, and whoever asks meanwhile would wait for it.
"""

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError, complain
from hqmd_cli.inference.open import OpenModel, OpenOptions, open_models
from hqmd_cli.parallel.guarded import Guarded
from hqmd_cli.registry import pick

TOO_MUCH = "the process that computes ended at this photo, as when the memory runs out; send a smaller JPEG"


class Worker(Guarded[Any, Any]):
    """Call it, from one thread at a time, with the arguments of depth_of besides the models, to get an Answer."""

    def __init__(self, names: Sequence[str], options: OpenOptions) -> None:
        super().__init__(partial(at_work, names, options), tries=1)
        self.opening = ThreadPoolExecutor(1).submit(super().__call__, ())  # gives what is known of the models

    def __call__(self, asked: Any) -> Any:
        """Raises Problem, also if the process ends; then it is started anew."""
        from hqmd_cli.serving.problems import Problem

        try:
            return super().__call__(asked)
        except Problem:
            raise
        except HqmdError as error:
            complain(HqmdError(f"a photo {error}; it is started anew"))
            with suppress(HqmdError):  # which the next request gets
                self.start()
            raise Problem(500, TOO_MUCH) from error


def at_work(names: Sequence[str], options: OpenOptions) -> Callable[[Any], Any]:
    """Open the models in the process of a Worker, and return what answers; without a photo, with the models."""
    from hqmd_cli.serving.depth import depth_of

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends with the server, which may have to finish photos first
    models = served(names, options)
    known = {name: bare(model) for name, model in models.items()}
    return lambda asked: depth_of(asked[0], asked[1], models) if asked else known


def served(names: Sequence[str], options: OpenOptions) -> dict[str, OpenModel]:
    """Open models by the names that clients use: of a folder its own name, which tells nothing of this machine."""
    opened = open_models(names, options)
    short = {name: name.replace("\\", "/").rstrip("/").rpartition("/")[2] for name in opened}
    if len(set(short.values())) < len(short):
        raise HqmdError(f"--model: two of them would be called alike: {', '.join(short.values())}; rename one folder")
    return {short[name]: replace(model, name=short[name]) for name, model in opened.items()}


def bare(model: OpenModel) -> OpenModel:
    """Return a model without what computes, so that another process can check requests by it."""
    surely, others = model.surely and absent, None
    if model.with_options and model.folder:
        from hqmd_cli.checkpoints.config_file import read_model_config

        names = (DEFAULT_SIZE, *read_model_config(model.folder).presets)
        sizes = {name: OpenOptions(size=name) for name in names}
        seen = {name: replace(model.with_options(size), with_options=None) for name, size in sizes.items()}
        others = partial(of_size, {name: bare(each) for name, each in seen.items()})
    return replace(model, predict=absent, digest=absent, surely=surely, sees=None, with_options=others)


def of_size(models: dict[str, OpenModel], options: OpenOptions) -> OpenModel:
    """Return the model that sees photos at the preset `options.size`. Raises HqmdError for an unknown preset."""
    return pick(models, options.size, "size")


def absent(*asked: Any) -> Any:
    """Stand for a function of the other process."""
    raise NotImplementedError
