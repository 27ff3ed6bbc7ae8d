"""What a cold `hqmd predict` reads of a checkpoint: config.json's model, and the hash. Imports no training settings."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hqmd_cli import __version__
from hqmd_cli.checkpoints.hub import CONFIG_FILE, ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.config.base import UnknownSetting
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.checked_json import read_json
from hqmd_cli.files.regular import file_hash

Part = TypeVar("Part")


def read_config(folder: Path, part_of: Callable[[Mapping[str, Any]], Part]) -> Part:
    """Return what `part_of` makes of config.json. Raises HqmdError, which names the file, if hqmd did not write it."""
    path, values = folder / CONFIG_FILE, {}
    try:
        values = read_json(path, dict)
        return part_of(values)
    except HqmdError as error:  # an unknown setting, or a wrong value
        raise HqmdError(f"{path}: {by_newer(values, error)}{error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if "model_type" in values:
            raise HqmdError(f"{path}: the config of a transformers model; put hf: before its name") from error
        raise HqmdError(f"{path}: not an hqmd checkpoint's config: {type(error).__name__} {error}") from error


def by_newer(values: Mapping[str, Any], error: HqmdError) -> str:
    """Say whether a config that is refused was written by a newer hqmd, or may have been; empty if it was not."""
    theirs = str(values.get("hqmd_version", ""))[:30]
    if version_of(theirs) > version_of(__version__):
        return f"written by a newer hqmd, {printable(theirs)}, and this is {__version__}; update it: "
    return "perhaps written by a newer hqmd; update this one: " if isinstance(error, UnknownSetting) else ""


def version_of(text: str) -> list[int]:
    """Parse a version's numbers: "1.10.0" -> [1, 10, 0]; an empty list if it has none."""
    return [int(number) for number in re.findall(r"\d{1,9}", text)[:3]]


def read_version(folder: Path) -> str:
    """Read the version of hqmd that wrote config.json; an empty string if it does not say. Raises as read_config."""
    return read_config(folder, lambda values: str(values.get("hqmd_version", "")))


def read_model_config(folder: Path) -> ModelConfig:
    """Read the model of config.json. Raises HqmdError as read_config."""
    return read_config(folder, lambda values: ModelConfig.from_flat(values["model"]))


def model_hash(checkpoint: Path) -> str:
    """Return the SHA-256 of a checkpoint's settings, weights and graphs."""
    graphs = [checkpoint / name for name in ONNX_FILES.values() if (checkpoint / name).exists()]
    return file_hash(checkpoint / CONFIG_FILE, checkpoint / WEIGHTS_FILE, *graphs)
