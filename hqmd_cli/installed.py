"""How hqmd was installed, and the one command that installs what is missing.

hqmd comes as two distributions of one package: `hqmd`, and `hqmd-light` without torch (packaging/light). Every cold
start imports this module, so importlib.metadata, shlex and urllib are imported by what needs them.
"""

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import Distribution

FULL, LIGHT = "hqmd", "hqmd-light"
# Package -> the extra that brings it, of both distributions. What `hqmd` brings anyway is an extra of hqmd-light.
EXTRAS = {
    "torch": "torch",
    "torchvision": "torch",
    "timm": "torch",
    "accelerate": "torch",
    "safetensors": "torch",
    "psutil": "torch",
    "matplotlib": "picture",
    "trimesh": "3d",
    "onnx": "export",
    "onnxscript": "export",
    "transformers": "hub",
    "scipy": "fill",
    "pyarrow": "parquet",
    "fsspec": "cloud",
    "s3fs": "cloud",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "starlette": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
}
# Distributions that put the same files in place: where one of them is removed or installed last, the others break.
ONNX_RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-migraphx",
    "onnxruntime-qnn",
)
RIVALS = (
    (LIGHT, FULL),  # the last one that is found is kept
    ("opencv-python-headless", "opencv-contrib-python-headless", "opencv-python", "opencv-contrib-python"),
    ONNX_RUNTIMES,
)


def require(package: str, purpose: str) -> None:
    """Raise HqmdError, with the command that installs it, unless a package is there for this purpose."""
    if find_spec(package) is None:
        raise missing(package, purpose)


def missing(package: str, purpose: str) -> HqmdError:
    """Return the error for a package that cannot be imported, and is needed for this purpose."""
    return HqmdError(f"{purpose} needs {package}; {how_to_install(package)}")


def how_to_install(package: str) -> str:
    """Return the shell command that installs a package: as an extra of hqmd, or else by its own name."""
    if package not in EXTRAS:
        return pip_install(package)
    return pip_install(*source_of(distribution(FULL) or distribution(LIGHT), EXTRAS[package]))


def pip_install(*words: str) -> str:
    """Return `pip install` with these words, quoted for this system's shell."""
    import shlex

    return " ".join(["pip install", *(f'"{word}"' if os.name == "nt" else shlex.quote(word) for word in words)])


def distribution(name: str) -> "Distribution | None":
    """Return an installed distribution, or None."""
    from importlib import metadata

    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def source_of(found: "Distribution | None", extra: str = "") -> list[str]:
    """Return what pip takes to install hqmd from where it came, with an extra.

    That is the clone's folder, a file or an address as in the distribution's direct_url.json, or the name on the
    index. What lies there no more is of no use: then, the packages of the extra.
    """
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    brackets = f"[{extra}]" if extra else ""
    if found is None:  # it runs in a clone, and is not installed
        return [f"{Path(__file__).parents[1]}{brackets}"]
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    name, address = f"{found.name}{brackets}", origin.get("url", "")
    if "vcs_info" in origin:
        return [f"{name} @ {origin['vcs_info']['vcs']}+{address}@{origin['vcs_info']['commit_id']}"]
    if not address.startswith("file:"):
        return [f"{name} @ {address}" if address else name]
    place = Path(url2pathname(urlsplit(address).path))
    if not place.exists():
        return packages_of(found, extra) if extra else [found.name]
    editable = ["-e"] if origin.get("dir_info", {}).get("editable") else []
    return [*editable, f"{place}{brackets}"]


def packages_of(found: "Distribution", extra: str) -> list[str]:
    """Return the requirements of one extra of a distribution."""
    marker = re.compile(rf"\s*;.*extra\s*==\s*['\"]{extra}['\"].*")
    return [marker.sub("", requirement) for requirement in found.requires or () if marker.search(requirement)]


def explain_missing(error: ModuleNotFoundError) -> HqmdError | None:
    """Turn the failed import of a package that hqmd may have into an error with a remedy; None for any other."""
    package = (error.name or "").partition(".")[0]
    return missing(package, " ".join(["hqmd", *sys.argv[1:2]])) if package in EXTRAS else None


def rivals(names: "Sequence[str]") -> str:
    """Say which of these distributions are there together, and the command that leaves one; empty if none clash."""
    there = [name for name in names if distribution(name)]
    if len(there) < 2:
        return ""
    headless = [name for name in there if name.endswith("-headless")]  # what hqmd-light requires
    kept = headless[-1] if headless and not distribution(FULL) else there[-1]
    return f"{' and '.join(there)} overwrite each other's files; to keep {kept}: {to_keep(kept, there)}"


def to_keep(name: str, there: "Sequence[str]") -> str:
    """Return the command that installs one distribution in place of all those that are there."""
    source = source_of(distribution(name)) if name in (FULL, LIGHT) else [name]
    return f"pip uninstall -y {' '.join(there)} && {pip_install('--no-deps', *source)}"


def versions() -> dict[str, str | None]:
    """Return the versions of hqmd, torch and ONNX Runtime, by distribution, from their metadata; None if not there."""
    runtimes = [name for name in ONNX_RUNTIMES if distribution(name)] or ["onnxruntime"]
    own = LIGHT if distribution(LIGHT) and not distribution(FULL) else FULL
    others = {name: found.version if (found := distribution(name)) else None for name in ("torch", *runtimes)}
    return {own: __version__} | others


def commit() -> str | None:
    """Return the commit that hqmd is from: of its clone, or of the repository pip took it from; None if unknown."""
    import subprocess

    clone = Path(__file__).parents[1]
    if (clone / ".git").exists():
        try:
            command = ["git", "-C", str(clone), "describe", "--always", "--dirty", "--exclude", "*"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):  # no git, or a folder that it does not trust
            return None
    found = distribution(FULL) or distribution(LIGHT)
    origin = json.loads(found.read_text("direct_url.json") or "{}") if found else {}
    return origin.get("vcs_info", {}).get("commit_id")


def in_words() -> list[str]:
    """Say what is installed: versions, and a line for each clash with the command that mends it."""
    from_commit = f" (commit {known})" if (known := commit()) else ""
    (own, version), *others = versions().items()
    lines = [f"{own} {version}{from_commit}", *(f"{name} {at or 'is not installed'}" for name, at in others)]
    return lines + [clash for names in RIVALS if (clash := rivals(names))]
