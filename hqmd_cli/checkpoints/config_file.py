"""What a cold `hqmd predict` reads of a checkpoint: config.json's model, and the hash. Imports no training settings."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hqmd_cli.checkpoints.hub import CONFIG_FILE, ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.hashes import file_hash

Part = TypeVar("Part")


def read_config(folder: Path, part_of: Callable[[Mapping[str, Any]], Part]) -> Part:
    """Return what `part_of` makes of config.json. Raises HqmdError, which names the file, if hqmd did not write it."""
    path, values = folder / CONFIG_FILE, None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return part_of(values)
    except HqmdError as error:  # an unknown setting, or a wrong value
        raise HqmdError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(values, dict) and "model_type" in values:
            raise HqmdError(f"{path}: the config of a transformers model; put hf: before its name") from error
        raise HqmdError(f"{path}: not an hqmd checkpoint's config: {type(error).__name__} {error}") from error


def read_model_config(folder: Path) -> ModelConfig:
    """Read the model of config.json. Raises HqmdError as read_config."""
    return read_config(folder, lambda values: ModelConfig.from_flat(values["model"]))


def model_hash(checkpoint: Path) -> str:
    """Return the SHA-256 of a checkpoint's settings, weights and graphs."""
    graphs = [checkpoint / name for name in ONNX_FILES.values() if (checkpoint / name).exists()]
    return file_hash(checkpoint / CONFIG_FILE, checkpoint / WEIGHTS_FILE, *graphs)
