"""The legends of the figures as text: what each panel draws, of how many, and from which table."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import escape

from relapsescope.figures.draw import PANELS, read_source_data
from relapsescope.figures.numbered_figures import page_names
from relapsescope.figures.panel import NOT_ASSESSABLE, Panel
from relapsescope.report.context import caption_paragraphs
from relapsescope.tables import read_tsv

HEAD = """# Legends of the figures

Drawn panels have letters in the order in which they stand. *n* counts what is drawn. The numbers
of a panel are in `source_data/`; they were taken from the tables named after them. A figure's PDF
has all its pages; as SVG and PNG, each page is a file.
"""


def legends_text(results: Path, manifest: pd.DataFrame, *, config: Mapping[str, Any]) -> str:
    """Return `figures/legends.md`: an entry a numbered figure and panel, then the other panels.

    Parameters
    ----------
    results
        The run's folder with `figures/figures.tsv` and `source_data/`.
    manifest
        `figures/manifest.tsv` by panel.
    config
        The whole configuration, whose values the captions hold.
    """
    panels = {panel.name: panel for panel in PANELS if panel.name in manifest.index}
    figures = read_tsv(results / "figures" / "figures.tsv").to_dict("records")
    parts = [HEAD]
    for figure in figures:
        parts += _figure(figure, panels, results, manifest, config)
    inside = {name for figure in figures for name in figure["panels"].split(";")}
    parts.append("## Panels that stand alone\n")
    for name, panel in panels.items():
        if name not in inside:
            parts.append(_panel(panel, f"`{name}`", results, manifest, config))
    return "\n".join(parts)


def _figure(
    figure: Mapping[str, str],
    panels: Mapping[str, Panel],
    results: Path,
    manifest: pd.DataFrame,
    config: Mapping[str, Any],
) -> Iterator[str]:
    number = figure["figure"].removeprefix("figure_")
    yield f"## Figure {number}. {figure['title']}\n"
    yield "\n\n".join(_plain(caption_paragraphs(figure["figure"], config))) + "\n"
    pages = page_names(figure["figure"], int(figure["n_pages"]))
    yield (
        f"Files: `{figure['figure']}.pdf`; " + ", ".join(f"`{page}.svg`" for page in pages) + ".\n"
    )
    drawn = [name for name in figure["drawn"].split(";") if name]
    for letter, name in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", drawn, strict=False):
        yield _panel(panels[name], letter, results, manifest, config)
    for name in figure["not_assessable"].split(";"):
        if name:
            yield _absent(panels[name], manifest)


def _panel(
    panel: Panel,
    letter: str,
    results: Path,
    manifest: pd.DataFrame,
    config: Mapping[str, Any],
) -> str:
    row = manifest.loc[panel.name]
    if row["test"].startswith(NOT_ASSESSABLE):
        return _absent(panel, manifest)
    caption = " ".join(_plain(caption_paragraphs(panel.name, config)))
    tables = ", ".join(f"`{table}`" for table in panel.tables)
    return (
        f"**{letter}. {panel.title}.** {caption} *n* = {_counted(panel, row, results)}. "
        f"Statistic: {row['test']}. Numbers: `{row['source_data']}`, from {tables}.\n"
    )


def _absent(panel: Panel, manifest: pd.DataFrame) -> str:
    reason = manifest.loc[panel.name, "test"].removeprefix(NOT_ASSESSABLE)
    return f"Not drawn: {panel.title}; not assessable: {escape(reason)}.\n"


def _counted(panel: Panel, row: Mapping[str, str], results: Path) -> str:
    """Return in words how many patients, libraries and cells a panel draws, as far as counted."""
    words = [_several(int(row["n_patients"]), "patient")]
    frame = read_source_data(panel, results)
    if "sample_id" in frame and "patient_id" in frame:
        # A row over all patients names a library of nobody.
        own = frame.loc[frame["patient_id"] != "", "sample_id"]
        words.append(_several(own[own != ""].nunique(), "library"))
    if panel.unit:
        words.append(f"{int(row['n_cells']):,} {panel.unit}")
    return ", ".join(words)


def _several(n: int, word: str) -> str:
    if n == 1:
        return f"1 {word}"
    return f"{n:,} " + (f"{word[:-1]}ies" if word.endswith("y") else f"{word}s")


def _plain(paragraphs: list[str]) -> list[str]:
    return [paragraph.replace("``", "`") for paragraph in paragraphs]
