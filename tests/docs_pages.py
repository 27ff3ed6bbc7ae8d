"""The pages of the documentation, and the shell and Python lines in them."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLLOWED = "adding_a_model"  # tests/models/test_adding_a_model.py runs this page from top to bottom
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != FOLLOWED}
# A block of shell lines; before it, invisibly, why no test runs it.
BLOCK = re.compile(r"(?:<!-- no-run: (?P<reason>[^\n]+) -->\n)?```(?P<kind>sh|console)\n(?P<text>.*?)```", re.DOTALL)


class ShellLine(NamedTuple):
    """A line that a reader may paste into a shell."""

    page: str
    text: str
    no_run: str  # why no test runs it; empty if one does


def shell_lines() -> list[ShellLine]:
    """Return all lines of the README and of the pages, in order."""
    return [
        ShellLine(page, line.removeprefix("$ "), block["reason"] or "")
        for page, text in {"README": README, **PAGES}.items()
        for block in BLOCK.finditer(text)
        for line in block["text"].splitlines()
    ]


def python_blocks(text: str) -> list[str]:
    """Return the Python of a page."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)
