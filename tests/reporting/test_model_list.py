"""`hqmd models`: systems with what is counted and measured, and the bundled checkpoints with the figures they bear."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hqmd_cli.checkpoints.catalogue import facts
from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models import SYSTEMS, build_model
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.registry import Registry
from hqmd_cli.reporting import model_list as catalogue
from hqmd_cli.reporting.model_list import (
    bundled_rows,
    bundled_table,
    parameters_of,
    seconds_of,
    system_rows,
    systems_table,
)


@pytest.fixture(scope="module", autouse=True)
def counted_once() -> Iterator[None]:
    """Each system is laid out once for all of these tests."""
    counts: dict[str, int] = {}

    def counted(config: ModelConfig) -> int:
        if repr(config) not in counts:
            counts[repr(config)] = parameters_of(config)
        return counts[repr(config)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "parameters_of", counted)
        yield


def test_every_system_and_every_bundled_model_in_json(hqmd: Callable) -> None:
    result = hqmd("models", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    listed = json.loads(result.stdout)
    assert [row["name"] for row in listed["systems"]] == list(SYSTEMS)
    assert all(row["parameters"] > 1000 and row["authors"] and row["source"] for row in listed["systems"])
    assert all("seconds" not in row for row in listed["systems"])  # nobody asked
    for row in listed["bundled"]:
        folder = bundled_models()[row["name"]]
        assert row["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
        assert row["figures"] == json.loads((folder / "config.json").read_text())["figures"]
    assert [row["name"] for row in listed["bundled"]] == list(bundled_models())


@pytest.mark.slow
def test_what_is_known_of_systems_is_what_their_classes_say() -> None:
    """The data file saves importing torch; a failing test prints what it needs."""
    for name in SYSTEMS:
        counted = catalogue.counted_row(name)
        lines = [f"{key} = {json.dumps(value)}" for key, value in counted.to_dict().items() if key != "name"]
        needed = "\n".join([f"[system.{name}]", *lines])
        known = facts()["system"].get(name)
        assert known and catalogue.system_row(name, known) == counted, f"checkpoints/catalogue.toml needs:\n{needed}"


def test_the_tables_name_them_too(hqmd: Callable) -> None:
    result = hqmd("models")
    assert result.returncode == 0
    assert all(f"│ {name} " in result.stdout for name in (*SYSTEMS, *bundled_models()))
    assert "s / picture" not in result.stdout


def test_parameters_are_those_of_the_network_itself() -> None:
    config = from_paper("fcrn", {})[0].with_settings(backbone="resnet18")
    assert parameters_of(config) == sum(p.numel() for p in build_model(config).parameters())


@pytest.mark.parametrize(("name", "millions"), [("fcrn", 63.6)])
def test_parameters_are_the_published_ones(name: str, millions: float) -> None:
    """Laina et al. give theirs in table 1."""
    assert parameters_of(from_paper(name, {})[0]) == pytest.approx(millions * 1e6, rel=1e-3)


@pytest.mark.slow
def test_time_is_measured(hqmd: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SYSTEMS", Registry("hqmd.none", {"fcrn": SYSTEMS["fcrn"]}, needs=()))
    monkeypatch.setattr(catalogue, "TIMED_PICTURES", 1)
    monkeypatch.setattr(catalogue, "seconds_of", lambda config: seconds_of(config.with_settings(backbone="resnet18")))
    (row,) = json.loads(hqmd("models", "--time", "--json").stdout)["systems"]
    assert 0.001 < row["seconds"] < 60


def test_time_has_a_column_when_it_was_measured() -> None:
    (row, *_) = system_rows(timed=False)
    table = systems_table([replace(row, seconds=1.2345)])
    assert (table.heads[-1], table.rows[0][-1]) == ("s / picture", "1.234")
    assert "CPU threads" in table.caption and "CPU threads" not in systems_table([row]).caption


def test_a_checkpoint_without_figures_has_none_in_the_table() -> None:
    (row, *_) = bundled_rows()
    table = bundled_table([replace(row, figures={})])
    assert table.rows[0][0] == row.name and set(table.rows[0][2:]) == {"-"}
