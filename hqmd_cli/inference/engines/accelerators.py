"""Try an accelerator on a model before it is used, and remember what came out.

ONNX Runtime leaves nodes that a provider refuses on the CPU without a word, and an accelerator may compute plausible
but wrong depth. So its first depth is compared with the CPU's.
"""

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.checked_json import read_json
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.engines.check_pictures import CHECKED_SIZES, check_pictures
from hqmd_cli.inference.engines.onnx import Accelerator
from hqmd_cli.inference.engines.onnx_runtime import onnxruntime
from hqmd_cli.inference.engines.providers import Provider, options_of

LARGEST_DIFFERENCE = 0.01  # from the CPU's depth: the median of any tile
TILES = 4  # each way; a median of the whole picture would not show that a quadrant is wrong
# Files that a new driver replaces; kernel and system are in platform.platform().
DRIVERS = (
    Path("/proc/driver/nvidia/version"),
    Path("/sys/module/amdgpu/version"),
    Path("/usr/lib/wsl/lib/libcuda.so.1"),
    Path(r"C:\Windows\System32\nvcuda.dll"),
    Path(r"C:\Windows\System32\DirectML.dll"),
)
LARGEST_VERSION = 4096  # bytes; a larger file is a library, known by its size and time


class Tried(Engine, Protocol):
    """What can be tried: an engine that knows how many nodes its accelerator took."""

    nodes: int
    said: str  # what ONNX Runtime printed when it opened the accelerator


E = TypeVar("E", bound=Tried)
Make: TypeAlias = Callable[[Accelerator | None], E]  # opens the graph there; None: on the CPU


def open_accelerated(
    make: Make[E], graph: Path, about: Callable[[], list[str]], providers: Sequence[Provider], device: str
) -> tuple[E | None, str]:
    """Open a graph on the first provider that computes it right; None if none does, and why.

    `about` tells what a verdict holds for: the model's hash and the graph's name.
    """
    reasons = []
    for provider in providers:
        accelerator = Accelerator(provider, options_of(provider, device))
        place = verdict_file(about(), accelerator)
        reason = remembered(place)
        if not reason:
            engine, reason, is_lasting = tried(make, graph, accelerator, is_known=reason is not None)
            if engine:
                remember(place, "")
                return engine, ""
            if is_lasting:
                remember(place, reason)
        reasons.append(f"not on {provider.words}: {reason}")
    return None, "; ".join(reasons)


def tried(make: Make[E], graph: Path, accelerator: Accelerator, is_known: bool) -> tuple[E | None, str, bool]:
    """Open a graph on an accelerator and, unless it `is_known` to be right, compare its depth with the CPU's.

    Returns the engine or None, why not, and whether that stays so for this model, runtime and driver.
    """
    engine = None
    try:
        engine = make(accelerator)
        off = 0.0 if is_known or not engine.nodes else largest_difference(engine, make(None))
    except HqmdError as error:
        return None, str(error).removeprefix(f"{graph}: ").removeprefix("ONNX Runtime cannot open it: "), engine is None
    if not engine.nodes:
        return None, engine.said or "it computes no part of the network", False
    if not off <= LARGEST_DIFFERENCE:  # NaN, too
        return None, f"its depth is {off:.1%} off the CPU's", True
    return engine, "", True


def largest_difference(one: Engine, other: Engine) -> float:
    """Return the largest of the tiles' medians of |one / other - 1|, over two pictures."""
    medians = []
    for picture in check_pictures(CHECKED_SIZES[:2]):
        off = np.abs(one(picture) / other(picture) - 1)
        rows = np.array_split(off, TILES)
        medians += [np.median(tile) for row in rows for tile in np.array_split(row, TILES, axis=1)]
    return float(max(medians))


def verdict_file(about: Sequence[str], accelerator: Accelerator) -> Path | None:
    """Return the file of a verdict, which holds for one model, accelerator, ONNX Runtime, system and driver.

    None for a user without a home folder.
    """
    known = [
        *about, accelerator.provider.name, sorted(accelerator.options.items()),
        onnxruntime.__version__, platform.platform(), [*map(driver_version, DRIVERS)],
    ]  # fmt: skip
    try:
        return hqmd_home() / "providers" / f"{sha256(json.dumps(known).encode()).hexdigest()[:32]}.json"
    except HqmdError:
        return None


def driver_version(path: Path) -> str:
    """Return what changes with a driver: the text of its version, or the size and time of its library."""
    try:
        about = path.stat()
        if about.st_size <= LARGEST_VERSION:  # 0 in /proc
            return path.read_text("utf-8", "replace")
        return f"{about.st_size} {about.st_mtime_ns}"
    except OSError:
        return ""


def remembered(place: Path | None) -> str | None:
    """Return why an accelerator is not used: an empty string if it is, None if it was not tried."""
    try:
        verdict: dict[str, Any] = read_json(place, dict) if place else {}
    except (OSError, ValueError):
        return None
    reason = verdict.get("refused")
    return reason if isinstance(reason, str) else None


def remember(place: Path | None, reason: str) -> None:
    """Write a verdict. Where nothing can be written, the next run tries again."""
    if place is None:
        return
    with suppress(HqmdError, OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, json.dumps({"refused": reason}))
