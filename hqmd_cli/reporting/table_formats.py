"""A table of texts as rich text, Markdown and LaTeX."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as ScreenTable

TEX_ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\to$", "λ": r"$\lambda$", "µ": r"$\mu$"}
TEX_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@dataclass(frozen=True)
class Table:
    """Plain texts, a list a row; nothing in them is markup."""

    heads: list[str]
    rows: list[list[str]]
    caption: str
    bold: frozenset[tuple[int, int]] = frozenset()  # (row, column)
    words: int = 1  # leading columns that hold words, set to the left


def for_screen(table: Table) -> "ScreenTable":
    """A rich table."""
    from rich.markup import escape
    from rich.table import Table as ScreenTable

    screen = ScreenTable(caption=escape(table.caption), caption_justify="left")
    for column, head in enumerate(table.heads):
        if column < table.words:
            screen.add_column(escape(head), overflow="fold")
        else:
            widest = max((len(row[column]) for row in table.rows), default=0)
            screen.add_column(escape(head), justify="right", overflow="fold", min_width=widest)  # heads may break
    for row in marked(table, [[escape(cell) for cell in row] for row in table.rows], "[bold]{}[/bold]"):
        screen.add_row(*row)
    return screen


def as_markdown(table: Table) -> str:
    """A Markdown table, the caption below."""
    heads, *rows = [[cell.replace("|", r"\|") for cell in row] for row in (table.heads, *table.rows)]
    rules = [":---" if column < table.words else "---:" for column in range(len(heads))]
    lines = [heads, rules, *marked(table, rows, "**{}**")]
    caption = table.caption.replace("\n", "\n\n")  # a single line end would not be one
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{caption}\n"


def as_latex(table: Table) -> str:
    """A booktabs table."""
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
    """The table's rows, as a format has escaped them, with its markup round what is bold."""
    return [
        [bold.format(cell) if (i, j) in table.bold else cell for j, cell in enumerate(row)]
        for i, row in enumerate(rows)
    ]


def tex(text: str) -> str:
    """Plain text for LaTeX. A bracket at the start of a row would be an argument of the line break before it."""
    escaped = "".join((TEX_SPECIAL | TEX_ARROWS).get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)
    return f"{{[}}{escaped[1:]}" if escaped.startswith("[") else escaped
