"""The numbered figures: which panels each holds, and their pictures put together on pages."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from relapsescope.figures.page_layout import Picture, compose
from relapsescope.figures.panel import NOT_ASSESSABLE
from relapsescope.figures.theme import message, to_png, to_svg
from relapsescope.paths import RESOURCES
from relapsescope.tables import write_tsv

FIGURE_COLUMNS = (
    "figure",
    "title",
    "panels",
    "not_assessable",
    "reproducibility",
    "sha256",
    "drawn",
    "n_pages",
)
CLASSES = ("deterministic", "seeded", "not_deterministic")
DOTS_AN_INCH = 300
"""Of a numbered figure's PNG at the width of the page, which the file says."""
PAGES = "pages"
"""Folder in `figures/` with the second and later pages of numbered figures."""


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


@dataclass(frozen=True)
class Composition:
    """A numbered figure of a run: the panels drawn, in the order of their letters, and pages."""

    figure: NumberedFigure
    drawn: tuple[str, ...]
    pages: tuple[str, ...]


def numbered_figures(path: Path = RESOURCES / "figures.yaml") -> tuple[NumberedFigure, ...]:
    """Return the numbered figures as `resources/figures.yaml` lists them."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(
        NumberedFigure(entry["name"], entry["title"], tuple(map(tuple, entry["rows"])))
        for entry in listed
    )


def compositions(
    manifest: pd.DataFrame,
    pictures: Callable[[str], Sequence[str]],
    figures: Sequence[NumberedFigure] | None = None,
) -> Iterator[Composition]:
    """Yield each numbered figure, composed of its panels' pictures.

    Parameters
    ----------
    manifest
        `figures/manifest.tsv` by panel. A panel that it does not list (a run of an older
        version) or that was not assessable is left out of its figure; a figure that it lists no
        panel of is left out, and one without an assessable panel says so.
    pictures
        Returns the pictures of a panel, each of which fits a page.
    """
    for figure in numbered_figures() if figures is None else figures:
        listed = [panel for panel in figure.panels if panel in manifest.index]
        if not listed:
            continue
        drawn = [p for p in listed if not manifest.loc[p, "test"].startswith(NOT_ASSESSABLE)]
        rows: list[list[Picture]] = []
        for row in figure.rows:
            own = [[*_parts(panel, manifest, pictures)] for panel in row if panel in drawn]
            in_parts = any(len(parts) > 1 for parts in own)
            single = [[picture] for parts in own for picture in parts]
            rows += single if in_parts else [[parts[0] for parts in own]] if own else []
        if not rows:
            words = message("Not assessable in this run: " + _reasons(listed, manifest))
            rows = [[Picture(to_svg(words, name=figure.name), figure.title)]]
        yield Composition(figure, tuple(drawn), tuple(compose(rows, title=figure.title)))


def _parts(
    panel: str, manifest: pd.DataFrame, pictures: Callable[[str], Sequence[str]]
) -> Iterator[Picture]:
    for number, svg in enumerate(pictures(panel)):
        yield Picture(svg, manifest.loc[panel, "title"], continues=number > 0)


def _reasons(panels: Sequence[str], manifest: pd.DataFrame) -> str:
    reasons = (manifest.loc[panel, "test"].removeprefix(NOT_ASSESSABLE) for panel in panels)
    return "; ".join(dict.fromkeys(reasons)) + "."


def page_names(figure: str, n_pages: int) -> list[str]:
    """Return where the pages of a figure lie in `figures/`, without the ending."""
    return [figure, *(f"{PAGES}/{figure}_page_{number}" for number in range(2, n_pages + 1))]


def write_figure_list(
    results: Path, manifest: pd.DataFrame, composed: Sequence[Composition]
) -> None:
    """Write `figures/figures.tsv`: a row a numbered figure with its panels and its hash."""
    rows = []
    for one in composed:
        figure = one.figure
        own = manifest.loc[[panel for panel in figure.panels if panel in manifest.index]]
        absent = own.loc[own["test"].str.startswith(NOT_ASSESSABLE), "panel"]
        rows.append(
            {
                "figure": figure.name,
                "title": figure.title,
                "panels": ";".join(own["panel"]),
                "not_assessable": ";".join(absent),
                "reproducibility": max(own["reproducibility"], key=CLASSES.index),
                "sha256": hashlib.sha256("".join(one.pages).encode()).hexdigest(),
                "drawn": ";".join(one.drawn),
                "n_pages": len(one.pages),
            }
        )
    write_tsv(results / "figures" / "figures.tsv", FIGURE_COLUMNS, rows)


def print_png(svg: str) -> bytes:
    """Return a numbered figure as PNG at 300 dots an inch."""
    return to_png(svg, dots=DOTS_AN_INCH)
