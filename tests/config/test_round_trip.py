"""Settings: grouped in the code, flat in files; nothing is lost on the way there and back."""

import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from hqmd_cli.config.base import Settings
from hqmd_cli.config.network import DELETED, MOST_MEMBERS, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.config.view import ERROR_TERMS, View
from hqmd_cli.errors import HqmdError

WEIGHTS = Path(__file__).parents[2] / "weights"
BUNDLED = sorted(WEIGHTS.glob("*/config.json"))
RECIPES = sorted(WEIGHTS.glob("recipes/*.toml"))
MOST_FIELDS = 16


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """Values as a file holds them, tuples as lists."""
    return json.loads(json.dumps(values))


def without_deleted(model: dict[str, Any]) -> dict[str, Any]:
    """A bundled file's model without the settings that hqmd no longer has, further networks included."""
    kept = {name: value for name, value in model.items() if name not in DELETED}
    return {**kept, "also": [without_deleted(other) for other in model["also"]]}


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.parent.name)
def test_a_bundled_file_comes_back(path: Path) -> None:
    values = json.loads(path.read_text())
    model, training = ModelConfig.from_flat(values["model"]), TrainConfig.from_flat(values["training"])
    assert as_json(model.to_flat()) == without_deleted(values["model"])
    assert as_json(training.to_flat()) == values["training"]
    assert ModelConfig.from_flat(as_json(model.to_flat())) == model
    assert TrainConfig.from_flat(as_json(training.to_flat())) == training


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_lies_over_the_defaults(path: Path) -> None:
    sections = tomllib.loads(path.read_text())
    for config, section in ((ModelConfig, "model"), (TrainConfig, "training")):
        flat = as_json(config.from_flat(sections[section]).to_flat())
        assert flat == as_json(config().to_flat()) | sections[section]


def test_no_group_has_more_fields_than_a_reader_can_hold() -> None:
    groups: list[type[Settings]] = [ModelConfig, TrainConfig]
    for config in (ModelConfig(), TrainConfig()):
        values = (getattr(config, field.name) for field in fields(config))
        groups += [type(value) for value in values if isinstance(value, Settings)]
    assert len(groups) == 10
    assert all(len(fields(group)) <= MOST_FIELDS for group in groups)  # type: ignore[arg-type]


def test_flat_names_are_unique() -> None:
    """Two groups with a setting of one name would share one place in files."""
    for config in (ModelConfig(), TrainConfig()):
        parts = [getattr(config, field.name) for field in fields(config)]
        # Files leave out the text of a network of transformers where there is none.
        count = sum(len(part.to_flat()) if isinstance(part, Settings) else part != "" for part in parts)
        assert len(config.to_flat()) == count


def test_with_settings_changes_only_what_it_names() -> None:
    before = ModelConfig().with_settings(predict_sides=(224, 256), calibration=0.9)
    after = before.with_settings(calibration_power=1.1)
    assert after.view.sides == (224, 256) and (after.view.calibration, after.view.power) == (0.9, 1.1)
    assert after.with_settings(calibration_power=1.0) == before


@pytest.mark.parametrize(
    ("config", "values", "named"),
    [
        (ModelConfig, {"layers": 3}, "unknown ModelConfig setting layers"),
        (ModelConfig, {"size": 3}, "size cannot be 3"),
        (ModelConfig, {"sides": [224]}, "unknown ModelConfig setting sides"),  # the name in code, not in files
        (ModelConfig, {"predict_sides": [8]}, "at least 32 pixels"),
        (ModelConfig, {"calibration_power": 3.0}, "calibration_power must be near 1"),
        (ModelConfig, {"presets": [{"name": "fast", "sides": [224], "edges": 0.1}]}, "unknown preset setting edges"),
        (ModelConfig, {"also": [{"layers": 3}]}, "unknown ModelConfig setting layers"),
        (TrainConfig, {"rate": 0.1}, "unknown TrainConfig setting rate"),
        (TrainConfig, {"batch_size": "8"}, "batch_size cannot be '8'"),
        (TrainConfig, {"accumulate": 3}, "accumulate must divide the batch of 8"),
        (TrainConfig, {"warmup_steps": -1}, "warmup_steps must be in 0"),
    ],
)
def test_what_is_refused_is_named_as_in_the_file(config: Any, values: dict[str, Any], named: str) -> None:
    with pytest.raises(HqmdError, match=named):
        config.from_flat(values)


def test_errors_are_in_a_file_once_they_are_measured() -> None:
    """Files of models for which nobody has are as they were."""
    errors = {name: tuple(0.5 + place for place in range(len(terms))) for name, terms in ERROR_TERMS.items()}
    plain = ModelConfig.from_flat({"presets": [{"name": "fast", "sides": [224]}]})
    assert not (plain.to_flat().keys() | plain.to_flat()["presets"][0].keys()) & errors.keys()
    sure = plain.with_view("default", View((224,), **errors)).with_view("fast", View((256,), **errors))
    flat = as_json(sure.to_flat())
    assert all(flat[name] == flat["presets"][0][name] == list(values) for name, values in errors.items())
    assert ModelConfig.from_flat(flat) == sure and sure.at_size("fast").view.errors == errors
    assert ModelConfig.from_flat(flat).with_edge_share(0.1).view.errors == errors


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"scale_error": [0.1]}, "scale_error must be 4 numbers in 0..100"),
        ({"scale_error": [0.1, 0, 0, -1]}, "scale_error must be 4 numbers in 0..100"),
        ({"scale_error": [0.1, 0, 0, 0]}, "scale_error and shape_error go together"),
        ({"shape_error": "much"}, "shape_error cannot be 'much'"),
        ({"presets": [{"name": "fast", "sides": [224], "shape_error": 0.2}]}, "shape_error cannot be 0.2"),
    ],
)
def test_errors_that_are_none(values: dict[str, Any], named: str) -> None:
    with pytest.raises(HqmdError, match=named):
        ModelConfig.from_flat(values)


def test_all_presets_fit_depth_to_edges_as_the_default_does() -> None:
    """Files hold one edge_share for a model."""
    model = ModelConfig.from_flat({"edge_share": 0.02, "presets": [{"name": "fast", "sides": [224]}]})
    assert model.at_size("fast").view.edge_share == 0.02
    assert model.with_edge_share(0.05).at_size("fast").view.edge_share == 0.05


def test_a_merge_of_more_networks_than_a_file_may_hold_is_refused() -> None:
    """Or it would be written, and could not be opened."""
    member = ModelConfig()
    assert len(replace(member, others=(member,) * (MOST_MEMBERS - 1)).members) == MOST_MEMBERS
    with pytest.raises(HqmdError, match="at most 16 networks are averaged, not 17"):
        replace(member, others=(member,) * MOST_MEMBERS)
