"""Recipes: settings of a run in a TOML file, over the defaults of the paper that its network comes from.

[model]
backbone = "tf_efficientnet_lite2"
[training]
epochs = 40
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from hqmd_cli.config.base import mapping
from hqmd_cli.config.network import OURS, TRANSFORMERS, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.checked_json import read_toml
from hqmd_cli.files.home import bundled_folder
from hqmd_cli.models import SYSTEMS
from hqmd_cli.registry import resolve

PAPER, MODERN = "paper", "modern"

# Best for long runs on few pictures, whatever the network (docs/notebook.md).
MODERN_TRAINING: dict[str, Any] = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "backbone_lr_factor": 0.5,
    "first_layer_lr_factor": 0.2,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup_steps": 100,
    "ema_decay": 0.998,
    "augmentation": "strong",
}


def read_recipe(recipe: str | None, system: str | None = None) -> tuple[ModelConfig, TrainConfig]:
    """Return the settings of a recipe: "paper" (also for None), "modern", one that comes with hqmd, or a file.

    `system` is a key of models.SYSTEMS; None: the recipe's own. Raises HqmdError for an unknown name and a bad file.
    """
    if recipe in (None, PAPER):
        return from_paper(system or OURS, {})
    if recipe == MODERN:
        return from_paper(system or OURS, {"training": MODERN_TRAINING})
    path = bundled_recipes().get(recipe) or Path(recipe)
    if not path.suffix and not path.exists():
        raise HqmdError(f"no recipe {recipe!r}; there are {', '.join([PAPER, MODERN, *bundled_recipes()])}, or a file")
    try:
        values = read_toml(path)
    except (OSError, ValueError) as error:
        raise HqmdError(f"{path}: not a readable recipe: {error}") from error
    if unknown := sorted(values.keys() - {"model", "training"}):
        raise HqmdError(f"{path}: unknown section {', '.join(unknown)}; there are [model] and [training]")
    try:
        named = mapping("model", values.get("model", {})).get("system", OURS)
        return from_paper(system or str(named), values)
    except HqmdError as error:
        raise HqmdError(f"{path}: {error}") from error


def bundled_recipes() -> dict[str, Path]:
    """Return the recipes that come with hqmd, by name. A name wins over a file called so, which is `./NAME`."""
    return {file.stem: file for file in sorted((bundled_folder() / "recipes").glob("*.toml"))}


def from_paper(system: str, values: Mapping[str, Mapping[str, Any]]) -> tuple[ModelConfig, TrainConfig]:
    """Return a system's settings by its authors, with `values` over them. Raises HqmdError for wrong values."""
    model, training = (mapping(section, values.get(section, {})) for section in ("model", "training"))
    if system not in (OURS, TRANSFORMERS):  # whose settings are the defaults: torch is not imported to learn that
        paper = resolve(SYSTEMS, system, "model").paper
        model, training = {**paper.model, **model}, {**paper.training, **training}
    return ModelConfig.from_flat({**model, "system": system}), TrainConfig.from_flat(training)


C = TypeVar("C", ModelConfig, TrainConfig)


def override(config: C, options: Mapping[str, Any]) -> C:
    """Return a copy with the values of all options that are given (not None) and name one of its settings.

    Typer's StrEnum members become plain text, which a checkpoint can hold.
    """
    known = config.to_flat()
    given = {name: value for name, value in options.items() if value is not None and name in known}
    return config.with_settings(**{name: str(v) if isinstance(v, str) else v for name, v in given.items()})
