"""A table of texts, for the screen (rich), as Markdown and as LaTeX."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hqmd_cli.errors import printable

if TYPE_CHECKING:
    from rich.table import Table as ScreenTable

TEX_ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\to$", "λ": r"$\lambda$", "µ": r"$\mu$", "±": r"$\pm$"}
TEX_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@dataclass(frozen=True)
class Table:
    """Plain texts, a list a row. No text holds markup."""

    heads: list[str]
    rows: list[list[str]]
    caption: str
    bold: frozenset[tuple[int, int]] = frozenset()  # (row, column)
    words: int = 1  # leading columns of words, aligned left


def for_screen(table: Table, lines: bool = True) -> "ScreenTable":
    """Make a rich table, with lines around its cells or with one line below its heads."""
    from rich.box import HEAVY_HEAD, SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table as ScreenTable

    def shown(text: str) -> str:
        return escape("\n".join(map(printable, text.split("\n"))))

    box, padding = (HEAVY_HEAD, (0, 1)) if lines else (SIMPLE_HEAD, (0, 0))
    screen = ScreenTable(
        caption=shown(table.caption), caption_justify="left", box=box, padding=padding, show_edge=lines
    )
    for column, head in enumerate(table.heads):
        if column < table.words:
            screen.add_column(shown(head), overflow="fold")
        else:
            widest = max((len(row[column]) for row in table.rows), default=0)
            screen.add_column(shown(head), justify="right", overflow="fold", min_width=widest)  # only heads may wrap
    for row in marked(table, [[shown(cell) for cell in row] for row in table.rows], "[bold]{}[/bold]"):
        screen.add_row(*row)
    return screen


def as_markdown(table: Table) -> str:
    """Write a Markdown table with its caption below."""
    heads, *rows = [[cell.replace("|", r"\|") for cell in row] for row in (table.heads, *table.rows)]
    rules = [":---" if column < table.words else "---:" for column in range(len(heads))]
    lines = [heads, rules, *marked(table, rows, "**{}**")]
    caption = table.caption.replace("\n", "\n\n")  # Markdown ignores a single line end
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{caption}\n"


def as_latex(table: Table) -> str:
    """Write a LaTeX table for the package booktabs."""
    heads, *rows = [[tex(cell) for cell in row] for row in (table.heads, *table.rows)]
    head, *body = (" & ".join(row) + r" \\" for row in (heads, *marked(table, rows, r"\textbf{{{}}}")))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\begin{{tabular}}{{{'l' * table.words}{'r' * (len(heads) - table.words)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{tex(table.caption)}}}",
            r"\end{table}",
            "",
        ]
    )


def marked(table: Table, rows: list[list[str]], bold: str) -> list[list[str]]:
    """Put a format's markup around the bold cells of `rows`, whose texts are escaped already."""
    return [
        [bold.format(cell) if (i, j) in table.bold else cell for j, cell in enumerate(row)]
        for i, row in enumerate(rows)
    ]


def tex(text: str) -> str:
    """Escape plain text for LaTeX. A bracket that opens a row is braced, or the line break before it would take it."""
    escaped = "".join((TEX_SPECIAL | TEX_ARROWS).get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
    return f"{{[}}{escaped[1:]}" if escaped.startswith("[") else escaped
