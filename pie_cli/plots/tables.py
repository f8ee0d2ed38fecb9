"""One table in the forms that readers want: terminal, CSV, Markdown, LaTeX."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pie_cli.io.files import write_text
from pie_cli.io.text import markdown_text, one_line

# LaTeX commands for symbols that not every LaTeX engine knows.
LATEX = {"ε₀²": r"$\varepsilon_0^2$", "±": r"$\pm$", "−": "$-$", "–": "--", "|": r"$|$", "é": r"\'e"}


def write_table(
    frame: pd.DataFrame, stem: Path, note: str, digits: int = 4, raw: pd.DataFrame | None = None
) -> list[Path]:
    """Write `frame` as stem.md and stem.tex, rounded and with a note below, and in full precision as stem.csv.

    `raw`, if given, replaces it in the CSV: the single runs behind a summary.
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("csv", "md", "tex")]
    write_text(paths[0], (frame if raw is None else raw).to_csv(index=False, lineterminator="\n"))
    write_text(paths[1], f"{markdown(frame, digits)}\n\n{markdown_text(note)}\n")
    styled = rounded(frame, digits).style.hide(axis="index")
    escaped = styled.format(escape="latex").format_index(escape="latex", axis="columns")
    text = escaped.to_latex(column_format="l" + "r" * (len(frame.columns) - 1), hrules=True)
    for symbol, command in LATEX.items():
        text = text.replace(symbol, command)
    write_text(paths[2], f"{text}% {one_line(note)}\n")
    return paths


def markdown(frame: pd.DataFrame, digits: int = 4) -> str:
    """Return `frame` as a Markdown table, rounded; markup in a cell is escaped."""
    text = rounded(frame, digits).map(markdown_text).rename(columns=lambda name: markdown_text(str(name)))
    align = ["left", *["right"] * (len(frame.columns) - 1)]
    return str(text.to_markdown(index=False, colalign=align, disable_numparse=True))


def print_table(console: Console, frame: pd.DataFrame, title: str, digits: int = 4) -> None:
    """Print `frame`, rounded; lines may be longer than a narrow terminal is wide, so that no number is cut."""
    table = Table(title=Text(title), title_justify="left")
    for index, column in enumerate(frame.columns):
        table.add_column(str(column), justify="left" if index == 0 else "right", no_wrap=True)
    for row in rounded(frame, digits).itertuples(index=False):
        table.add_row(*row)
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    Console(file=console.file, width=max(needed, console.width), markup=False, emoji=False).print(table)


def rounded(frame: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Return the cells as text, numbers with `digits` significant digits, missing ones as "–"."""

    def cell(value: object) -> str:
        if isinstance(value, str):
            return value
        if pd.isna(value):  # type: ignore[call-overload]
            return "–"
        if isinstance(value, float) and not value.is_integer():
            return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
        return f"{value:,.0f}"

    return frame.map(cell)
