"""The site of these pages: `sphinx-build -W -c docs . site`, which needs no network.

Its source folder is the whole clone, so a link between README, docs/, benchmarks/ and weights/ is the same here as in
the repository. docs/commands.md is filled from the command line itself, and docs/api.md from the docstrings.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from typer.main import get_command  # noqa: E402

from hqmd_cli import __version__  # noqa: E402
from hqmd_cli.app import build_app  # noqa: E402

project = "hqmd"
html_title = f"hqmd {__version__}"
copyright = "the maintainers of hqmd; code Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "docs/*.md",
    "benchmarks/*.md",
    "examples/README.md",
    "weights/*.md",
    "weights/hqmd-*/README.md",
]
templates_path = ["_templates"]
html_additional_pages = {"index": "to_the_start.html"}  # the top of the site leads to docs/index.html
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
highlight_language = "text"  # of blocks that do not say theirs
smartquotes = False  # they make one dash of the two before an option
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

COMMANDS_PAGE = "docs/commands"
EXAMPLES = "\b\n"  # what follows it in a command's help keeps its line breaks


def setup(app: Any) -> None:
    """Let Sphinx call what fills pages."""
    app.connect("source-read", fill_commands)
    app.connect("autodoc-process-docstring", backticks_as_in_rst)


def fill_commands(app: Any, page: str, source: list[str]) -> None:
    """Add a section for each command to docs/commands.md; `source` is a list of its one text."""
    if page == COMMANDS_PAGE:
        top = get_command(build_app())
        context = top.context_class(top, info_name="hqmd")
        source[0] = "\n".join([source[0], *sections(top, context)])


def sections(group: Any, context: Any) -> Iterator[str]:
    """Describe each command of a group, and those of groups in it, as Markdown."""
    for name, command in group.commands.items():
        inner = command.context_class(command, info_name=name, parent=context)
        yield f"\n## {inner.command_path}\n"
        if hasattr(command, "commands"):
            yield from [command.help, *sections(command, inner)]
            continue
        text, _, examples = command.help.partition(EXAMPLES)
        yield f"{escaped(text)}\n\n```text\n{command.get_usage(inner).removeprefix('Usage: ')}\n```\n"
        if examples:
            yield f"For example:\n\n```sh\n{examples}\n```\n"
        for parameter in command.params:
            names, told = parameter.get_help_record(inner)
            yield f"`{names}`\n: {escaped(told)}\n"


def escaped(text: str) -> str:
    """Quote what Markdown would take for markup; `code` stays code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>|#])", r"\\\1", part) for part in parts)


def backticks_as_in_rst(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Turn the `code` of our docstrings into reStructuredText's ``code``."""
    lines[:] = [re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line) for line in lines]
