"""Tables for people: in Markdown and on a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.table


def one_line(text: str) -> str:
    """A text with spaces in place of line breaks, which names in a configuration may have."""
    return " ".join(text.splitlines())


@dataclass(frozen=True)
class Table:
    """A table of words; the first column names the row.

    Attributes:
        title: title of the table.
        head: names of the columns.
        rows: rows as wide as the head; comparisons of arms are instances of ``Cell``, which has a verdict.
        judge: label of the network whose qualities are compared, ``picture`` for PSNR; empty if the table is
            not about a single judge.
        shared: whether the table is about arms whose bits are shared over all pictures.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    judge: str = ""
    shared: bool = False

    def markdown(self) -> str:
        """The table as Markdown, with the title above; words cannot break cells or lines."""
        lines = [self.head, ("---", *["---:"] * (len(self.head) - 1)), *self.rows]
        cells = [[one_line(word).replace("|", r"\|") for word in line] for line in lines]
        return "\n".join([f"**{one_line(self.title)}**", "", *(f"| {' | '.join(line)} |" for line in cells)])

    def rich(self) -> rich.table.Table:
        """The table as one of rich, for a terminal."""
        from rich.markup import escape
        from rich.table import Table as RichTable

        table = RichTable(title=escape(self.title), title_justify="left")
        for i, name in enumerate(self.head):
            table.add_column(escape(name), justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table
