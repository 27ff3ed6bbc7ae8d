"""Any Python callable as a model: py:package.module:function, where the current folder can be imported from.

It takes a copy of the photo, (H, W, 3) uint8 RGB, and returns (H, W) numbers; one call at a time. They are metres, or
what its attribute `kind` says: "depth", "disparity" or "relative".
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from sysconfig import get_paths
from threading import Lock
from traceback import extract_tb
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.regular import file_hash
from hqmd_cli.inference.foreign.adapter import refuse_options, settled_kind, with_mirror
from hqmd_cli.inference.open import OpenModel, OpenOptions
from hqmd_cli.units import Kind, kind_named

OURS = str(Path(__file__).parents[2])  # in a checkout it lies outside the libraries
LIBRARIES = ("<", OURS, *(get_paths()[name] for name in ("stdlib", "purelib", "platlib")))  # "<": "<frozen importlib>"


def open_model(name: str, wish: OpenOptions) -> OpenModel:
    """Open py:module:function. Raises HqmdError if there is no such callable."""
    refuse_options(name, wish, ("auto",), "computes as it likes")
    if wish.device != "auto":
        raise HqmdError(f"--device {wish.device}: {name} computes where it likes; choose the device in it")
    module_name, colon, path = name.partition(":")[2].partition(":")
    if not (module_name and colon and path):
        raise HqmdError(f"{name}: a function is py:package.module:function")
    module = imported(name, module_name)
    function: Any = module
    for part in path.split("."):
        try:
            function = getattr(function, part)
        except AttributeError as error:
            raise HqmdError(f"{name}: {place_of(module)} has no {path}") from error
    if not callable(function):
        raise HqmdError(f"{name}: not a function but {type(function).__name__}; name something that can be called")
    assumed: tuple[Kind, str] = ("depth", "assumed, as neither its attribute kind nor --model-kind says")
    kind, origin = settled_kind(name, stated_kind(name, function), wish, assumed)
    predict = Function(name, function)
    return OpenModel(
        name=name,
        predict=with_mirror(predict) if wish.flip else predict,
        engine="Python",
        precision="",
        digest=lambda: file_hash(*files_of(module)),
        flips=wish.flip,
        kind=kind,
        origin=f"{origin}; {place_of(module)}, SHA-256 {file_hash(*files_of(module))[:12]}",
    )


def imported(name: str, module: str) -> ModuleType:
    """Import a module, from the current folder first, as `python -m` does."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise HqmdError(
                f"{name}: no module {module} in the current folder or among what is installed; for my/model.py it is "
                "called my.model"
            ) from error
        raise HqmdError(f"{name}: {module} needs {error.name}, which is not installed") from error
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise HqmdError(f"{name}: {module} cannot be imported: {described(error)}") from error


def stated_kind(name: str, function: Any) -> tuple[Kind, str] | None:
    """Read a function's attribute `kind`; None if it has none. Raises HqmdError for an unknown kind."""
    kind = getattr(function, "kind", None)
    if kind is None:
        return None
    try:
        return kind_named(kind), "as its attribute kind says"
    except (HqmdError, TypeError) as error:
        raise HqmdError(f"{name}: its attribute kind is {kind!r}; {first_line(error)}") from error


class Function:
    """Call the user's function and check its result. One call at a time, as it may not be thread-safe."""

    def __init__(self, name: str, function: Callable[[NDArray[np.uint8]], Any]) -> None:
        self.name, self.function = name, function
        self.calling = Lock()

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            with self.calling:
                values = np.asarray(self.function(image.copy()))  # it may write on its copy
                # A copy, as the function may reuse its array.
                numbers = values.astype(np.float32) if values.dtype.kind in "fiu" else None
        except (HqmdError, MemoryError):
            raise
        except (Exception, SystemExit) as error:  # the user's function may raise anything
            raise HqmdError(f"{self.name} failed: {described(error)}") from error
        if numbers is None or numbers.shape != image.shape[:2]:
            raise HqmdError(
                f"{self.name}: gave {values.dtype} of shape {values.shape} for a photo of shape {image.shape}; return "
                f"numbers of shape {image.shape[:2]}"
            )
        return numbers


def described(error: BaseException) -> str:
    """Describe an error in one line, with the last line of the user's own code that it passed."""
    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(LIBRARIES)]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {first_line(error)}{place}"


def files_of(module: ModuleType) -> list[Path]:
    """Return the module's file. Other files that its answers depend on, such as weights, are unknown."""
    return [Path(module.__file__)] if getattr(module, "__file__", None) else []  # type: ignore[arg-type]


def place_of(module: ModuleType) -> str:
    """Return the name of the module's file, for messages."""
    return next((path.name for path in files_of(module)), module.__name__)
