"""Numbers on a page as links to the table cells that they come from, listed at the page's end."""

import re
from urllib.parse import unquote

from markupsafe import Markup, escape

from relapsescope.mechanisms.cited import NUMBER, Cell, Cited
from relapsescope.report.run_tables import RunTables


class Citations:
    """The cells behind one page's numbers, in the order in which the page first shows them."""

    def __init__(self, tables: RunTables) -> None:
        self._tables = tables
        self._places: dict[Cell, int] = {}
        self._uses: dict[int, int] = {}

    def markup(self, told: Cited) -> Markup:
        """Return a text whose cited numbers link to the list of cells."""
        html, at = Markup(""), 0
        for start, end, cell in told.spans:
            html += escape(told.text[at:start])
            html += self._part(told.text[start:end], cell)
            at = end
        return html + escape(told.text[at:])

    def listed(self) -> list[dict[str, str]]:
        """Return the cells linked to so far, each with its place and the value that it holds."""
        return [
            {
                "place": str(place),
                "table": f"{cell.table}.tsv",
                "row": " / ".join(unquote(part) for part in cell.row.split("/")),
                "column": cell.column,
                "value": self._value(cell),
            }
            for cell, place in self._places.items()
        ]

    def _part(self, text: str, cell: Cell) -> Markup:
        if not re.search(r"\d", text):
            return escape(text)
        place = self._places.setdefault(cell, len(self._places) + 1)
        use = self._uses[place] = self._uses.get(place, 0) + 1
        kind = "cell" if NUMBER.fullmatch(text) else "cell words"
        return Markup('<a class="{}" id="use-{}-{}" href="#cell-{}" title="{}">{}</a>').format(
            kind, place, use, place, cell.name, text
        )

    def _value(self, cell: Cell) -> str:
        row = self._tables.row(cell.table, cell.row)
        return row[cell.column] if row else ""
