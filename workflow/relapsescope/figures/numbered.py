"""The numbered figures: which panels each holds, and their pictures put together."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from relapsescope.figures.composite import Picture, compose
from relapsescope.figures.theme import to_png
from relapsescope.paths import RESOURCES
from relapsescope.tables import write_tsv

FIGURE_COLUMNS = ("figure", "title", "panels", "not_assessable", "reproducibility", "sha256")
CLASSES = ("deterministic", "seeded", "not_deterministic")
DOTS_AN_INCH = 300
"""Of a numbered figure's PNG at the width of the page, which the file says."""


@dataclass(frozen=True)
class NumberedFigure:
    """A figure of several panels; `rows` names them in the order of their letters."""

    name: str
    title: str
    rows: tuple[tuple[str, ...], ...]

    @property
    def panels(self) -> tuple[str, ...]:
        """Names of its panels, A first."""
        return tuple(panel for row in self.rows for panel in row)


def numbered_figures(path: Path = RESOURCES / "figures.yaml") -> tuple[NumberedFigure, ...]:
    """Return the numbered figures as `resources/figures.yaml` lists them."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(
        NumberedFigure(entry["name"], entry["title"], tuple(map(tuple, entry["rows"])))
        for entry in listed
    )


def compositions(
    results: Path, manifest: pd.DataFrame, figures: Sequence[NumberedFigure] | None = None
) -> Iterator[tuple[NumberedFigure, str]]:
    """Yield each numbered figure with its SVG, composed of `figures/<panel>.svg`.

    Parameters
    ----------
    manifest
        `figures/manifest.tsv` by panel. A panel that it does not list (a run of an older
        version) is left out of its figure, and a figure without a panel is left out.
    """
    for figure in numbered_figures() if figures is None else figures:
        rows = [[panel for panel in row if panel in manifest.index] for row in figure.rows]
        pictures = [
            [
                Picture(
                    (results / "figures" / f"{panel}.svg").read_text(encoding="utf-8"),
                    manifest.loc[panel, "title"],
                )
                for panel in row
            ]
            for row in rows
            if row
        ]
        if pictures:
            yield figure, compose(pictures, title=figure.title)


def write_figure_list(
    results: Path, manifest: pd.DataFrame, composed: Sequence[tuple[NumberedFigure, str]]
) -> None:
    """Write `figures/figures.tsv`: a row a numbered figure with its panels and its hash."""
    rows = []
    for figure, svg in composed:
        own = manifest.loc[[panel for panel in figure.panels if panel in manifest.index]]
        absent = own.loc[own["test"].str.startswith("not assessable: "), "panel"]
        rows.append(
            {
                "figure": figure.name,
                "title": figure.title,
                "panels": ";".join(own["panel"]),
                "not_assessable": ";".join(absent),
                "reproducibility": max(own["reproducibility"], key=CLASSES.index),
                "sha256": hashlib.sha256(svg.encode()).hexdigest(),
            }
        )
    write_tsv(results / "figures" / "figures.tsv", FIGURE_COLUMNS, rows)


def print_png(svg: str) -> bytes:
    """Return a numbered figure as PNG at 300 dots an inch."""
    return to_png(svg, dots=DOTS_AN_INCH)
