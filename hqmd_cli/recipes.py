"""Recipes: a run's settings in a TOML file, over the paper's defaults.

[model]
backbone = "tf_efficientnet_lite2"
[training]
epochs = 40
"""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hqmd_cli.config import ModelConfig, TrainConfig
from hqmd_cli.errors import HqmdError


def read_recipe(path: Path | None) -> tuple[ModelConfig, TrainConfig]:
    """The settings of a recipe; the paper's without one. Raises HqmdError naming the file."""
    if path is None:
        return ModelConfig(), TrainConfig()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable recipe: {error}") from error
    if unknown := sorted(values.keys() - {"model", "training"}):
        raise HqmdError(f"{path}: unknown section {', '.join(unknown)}; there are [model] and [training]")
    try:
        return ModelConfig.from_dict(values.get("model", {})), TrainConfig.from_dict(values.get("training", {}))
    except (HqmdError, TypeError) as error:
        raise HqmdError(f"{path}: {error}") from error


C = TypeVar("C", ModelConfig, TrainConfig)


def override(config: C, flags: dict[str, Any]) -> C:
    """The config with every flag that was given (is not None).

    The members of a StrEnum that Typer makes of a choice become plain text, which every checkpoint can hold.
    """
    given: dict[str, Any] = {name: str(v) if isinstance(v, str) else v for name, v in flags.items() if v is not None}
    return replace(config, **given)
