"""The tables of the pages for users say what the registries say. A failing test prints the table to paste."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.checkpoints.weights import count_parameters
from hqmd_cli.commands.predict import OUTPUTS_IN_WORDS
from hqmd_cli.data import DATASETS, published_sets
from hqmd_cli.evaluation.metrics.registry import METRICS
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.inference.engines.select import BACKENDS
from hqmd_cli.losses import LOSSES
from hqmd_cli.models import DECODERS, SYSTEMS
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.reporting.comparison import FORMATS
from hqmd_cli.reporting.literature import published_rows
from hqmd_cli.reporting.model_list import SHOWN_METRICS, bundled_rows, system_rows
from hqmd_cli.visualization import COLORMAPS

ROOT = Path(__file__).parents[1]


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows))


def outputs_table() -> str:
    rows = [
        [", ".join(f"`{suffix}`" for suffix in output.suffixes), f"`{name}`", output.note_of("depth")]
        for name, output in OUTPUTS.items()
    ]
    return markdown(["suffix", "`--format`", "contents"], rows)


def protocols_table() -> str:
    rows = [[f"`{name}`", *protocol.row()[1:]] for name, protocol in PROTOCOLS.items()]
    return markdown(["protocol", "ground truth", "region", "depth range"], rows)


def measures_table() -> str:
    """In Markdown a bar ends a cell."""
    rows = [
        [
            f"`{name}`",
            f"{metric.arrow} {'' if metric.unit == '1' else metric.unit}".strip(),
            metric.formula,
            metric.source,
        ]
        for name, metric in METRICS.items()
    ]
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return markdown(["measure", "better", "formula: d the prediction, g the truth", "source"], rows)


def sets_table() -> str:
    rows = [
        [f"[{reader.title}]({reader.home})", reader.licence, "`" + reader.layout.replace("|", r"\|") + "`"]
        for reader in published_sets()
    ]
    return markdown(["set", "licence", "layout"], rows)


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("predict", outputs_table()),
        ("protocols", protocols_table()),
        ("own_data", sets_table()),
        ("evaluate", measures_table()),
    ],
)
def test_tables_of_formats_protocols_sets_and_measures(page: str, table: str) -> None:
    assert table in (ROOT / "docs" / f"{page}.md").read_text("utf-8"), f"docs/{page}.md needs this table:\n\n{table}\n"


def test_every_published_set_says_where_it_is_had_and_under_which_licence() -> None:
    own = {".csv", ".tsv", ".txt", "NYU's raw recordings/", "pairs/"}
    assert len(published_sets()) == len(DATASETS) - len(own)
    for reader in published_sets():
        assert reader.home.startswith(("https://", "http://")) and reader.licence and reader.title, reader


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_each_protocol_has_its_rules_and_its_source(protocol: Protocol) -> None:
    rules, source = protocol.recipe(protocol.ground_truth), protocol.source
    told = f"- Rules: {rules}.\n- Hash: `{protocol.digest}`\n- Source: {source}.\n"
    section = (ROOT / "docs" / "protocols.md").read_text("utf-8").partition(f"### `{protocol.name}`\n")[2]
    assert told in section.partition("\n#")[0], f"### `{protocol.name}` in docs/protocols.md needs this:\n\n{told}"


def test_the_table_of_systems() -> None:
    """Each system of the registry has its row; the seconds in the last column are measured, and not compared."""
    rows = [f"| `{r.name}` | {r.size[0]} x {r.size[1]} | {r.parameters / 1e6:.2f} |" for r in system_rows(False)]
    page = (ROOT / "docs" / "table1.md").read_text("utf-8")
    missing = [row for row in rows if page.count(f"\n{row}") != 1]
    assert not missing, "docs/table1.md needs these rows (system, picture, million parameters):\n" + "\n".join(missing)


def test_the_table_of_bundled_models() -> None:
    """Each bundled model has its row in the README, with its parameters and bytes; figures are measured elsewhere."""
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    folders = bundled_models()
    for row in bundled_rows():
        sizes = f"| {count_parameters(folders[row.name]) / 1e6:.1f} M | {row.bytes / 1e6:.0f} MB |"
        told = [line for line in lines if line.startswith(f"| `{row.name}`")]
        assert len(told) == 1 and sizes in told[0], f"README.md needs a row for {row.name} with {sizes}"


def test_columns_are_metrics() -> None:
    assert set(SHOWN_METRICS) | set(published_rows()[0].figures) <= set(METRICS)


@pytest.mark.parametrize(
    ("command", "registries"),
    [
        ("predict", [[OUTPUTS_IN_WORDS], OUTPUTS, COLORMAPS, BACKENDS]),
        ("train", [SYSTEMS, DECODERS, LOSSES, PROTOCOLS]),
        ("evaluate", [PROTOCOLS, BACKENDS]),
        ("compare", [PROTOCOLS, BACKENDS, FORMATS]),
    ],
)
def test_the_help_names_every_choice(command: str, registries: Sequence[Sequence[str]], hqmd) -> None:
    help_text = "".join(hqmd(command, "--help").stdout.split())
    missing = [name for registry in registries for name in registry if "".join(name.split()) not in help_text]
    assert not missing, f"hqmd {command} --help does not name {', '.join(missing)}"
