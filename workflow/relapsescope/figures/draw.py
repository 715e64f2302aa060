"""From a run's tables to source data, pictures and the list of them."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from relapsescope.figures import (
    ambient,
    antigen_detection,
    antigen_rates,
    anxa1_compartments,
    clone_fates,
    composition,
    copy_number_map,
    course_forest,
    course_markers,
    course_salvage,
    course_survival,
    course_swimmer,
    distributions,
    integration,
    libraries,
    light_chain,
    maps,
    markers,
    target_matrix,
)
from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import message, to_png, to_svg
from relapsescope.tables import whole_file, write_tsv

PANELS: tuple[Panel, ...] = (
    libraries.PANEL,
    *distributions.PANELS,
    ambient.PANEL,
    *maps.PANELS,
    composition.PANEL,
    integration.PANEL,
    markers.PANEL,
    *light_chain.PANELS,
    copy_number_map.PANEL,
    clone_fates.PANEL,
    antigen_rates.PANEL,
    antigen_detection.PANEL,
    anxa1_compartments.PANEL,
    target_matrix.PANEL,
    course_swimmer.PANEL,
    course_markers.PANEL,
    course_survival.PANEL,
    course_survival.LANDMARK,
    course_salvage.PANEL,
    course_forest.PANEL,
)
PANEL_NAMES = tuple(panel.name for panel in PANELS)

MANIFEST_COLUMNS = (
    "panel",
    "title",
    "claim",
    "rule",
    "source_data",
    "n_cells",
    "n_patients",
    "test",
    "sha256",
    "reproducibility",
    "tolerance",
)
NOT_ASSESSABLE = "not assessable: "


def draw_figures(
    evidence: Evidence,
    results: Path,
    *,
    settings: PanelSettings,
    rule: str = "figures",
    panels: Sequence[Panel] = PANELS,
) -> pd.DataFrame:
    """Write source data and pictures of every panel and `figures/manifest.tsv`, and return it.

    A panel that this run does not allow has source data without a row, pictures that say why,
    and the reason in the manifest's `test`; so the files are the same in every run.

    Parameters
    ----------
    evidence
        The run's tables.
    results
        The run's folder; `source_data/` and `figures/` are written below it.
    rule
        The workflow's rule that makes the source data, for the manifest.
    """
    rows = []
    for panel in panels:
        try:
            data, test = panel.collect(evidence, settings), panel.test
        except NotAssessableError as reason:
            data, test = PanelData(pd.DataFrame(columns=list(panel.columns)), 0, 0), ""
            test = f"{NOT_ASSESSABLE}{reason}"
        source = write_source_data(panel, data.frame, results)
        draw_panel(panel, results, test=test)
        rows.append(
            {
                "panel": panel.name,
                "title": panel.title,
                "claim": panel.claim,
                "rule": rule,
                "source_data": source.relative_to(results).as_posix(),
                "n_cells": data.n_cells,
                "n_patients": data.n_patients,
                "test": test,
                "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
                "reproducibility": panel.reproducibility,
                "tolerance": panel.tolerance,
            }
        )
    write_tsv(results / "figures" / "manifest.tsv", MANIFEST_COLUMNS, rows)
    return read_manifest(results)


def read_manifest(results: Path) -> pd.DataFrame:
    """Return `figures/manifest.tsv` with all fields as text, indexed by panel."""
    path = results / "figures" / "manifest.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return table.set_index("panel", drop=False)


def write_source_data(panel: Panel, frame: pd.DataFrame, results: Path) -> Path:
    """Write the numbers of a panel with six digits and return the path."""
    path = results / "source_data" / f"{panel.name}.csv"
    with whole_file(path) as partial:
        partial.write_text(source_text(panel, frame), encoding="utf-8")
    return path


def source_text(panel: Panel, frame: pd.DataFrame) -> str:
    """Return the numbers of a panel as CSV text."""
    return frame[list(panel.columns)].to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read_source_data(panel: Panel, results: Path) -> pd.DataFrame:
    """Return the numbers of a panel as its chart takes them: text as text, "NA" and all."""
    path = results / "source_data" / f"{panel.name}.csv"
    return parse_source(panel, path.read_text(encoding="utf-8"))


def parse_source(panel: Panel, text: str) -> pd.DataFrame:
    """Return CSV text of `source_text` as the panel's chart takes it."""
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    for name, kind in panel.columns.items():
        if kind == "number":
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def draw_panel(panel: Panel, results: Path, *, test: str) -> None:
    """Draw one panel as SVG and PNG from its source data alone.

    Parameters
    ----------
    test
        The manifest's `test`; a panel that was not assessable is drawn as that sentence.
    """
    if test.startswith(NOT_ASSESSABLE):
        drawing = message(f"Not assessable: {test.removeprefix(NOT_ASSESSABLE)}.")
    else:
        drawing = panel.chart(read_source_data(panel, results))
    svg = to_svg(drawing, name=panel.name)
    with whole_file(results / "figures" / f"{panel.name}.svg") as partial:
        partial.write_text(svg, encoding="utf-8")
    with whole_file(results / "figures" / f"{panel.name}.png") as partial:
        partial.write_bytes(to_png(svg))
