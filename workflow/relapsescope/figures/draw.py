"""From a run's tables to source data, pictures and the list of them."""

import hashlib
import io
import traceback
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from relapsescope.errors import InputProblem
from relapsescope.figures import (
    ambient,
    antigen_detection,
    antigen_rates,
    anxa1_compartments,
    car_t_cycling,
    car_t_fraction,
    clone_fates,
    clonotype_tracking,
    composition,
    composition_shift,
    copy_number_map,
    course_forest,
    course_markers,
    course_salvage,
    course_survival,
    course_swimmer,
    distributions,
    enrichment,
    exhaustion,
    integration,
    libraries,
    ligand_receptor,
    light_chain,
    maps,
    markers,
    mechanism_matrix,
    patient_contrasts,
    suppression,
    t_cell_states,
    target_matrix,
    volcano,
)
from relapsescope.figures.evidence import Evidence
from relapsescope.figures.numbered_figures import (
    PAGES,
    compositions,
    page_names,
    print_png,
    write_figure_list,
)
from relapsescope.figures.page_layout import fits_page
from relapsescope.figures.page_parts import page_parts
from relapsescope.figures.panel import (
    NOT_ASSESSABLE,
    NotAssessableError,
    Panel,
    PanelData,
    PanelSettings,
)
from relapsescope.figures.pdf import to_pdf
from relapsescope.figures.theme import message, to_png, to_svg
from relapsescope.provenance.failures import Failure, note_failure, reason_of
from relapsescope.tables import frame_as_meant, harmless, read_tsv, whole_file, write_tsv

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
    car_t_fraction.PANEL,
    exhaustion.PANEL,
    car_t_cycling.PANEL,
    t_cell_states.PANEL,
    clonotype_tracking.PANEL,
    volcano.PANEL,
    enrichment.PANEL,
    composition_shift.PANEL,
    suppression.PANEL,
    ligand_receptor.PANEL,
    mechanism_matrix.PANEL,
    patient_contrasts.PANEL,
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


def draw_figures(
    evidence: Evidence,
    results: Path,
    *,
    settings: PanelSettings,
    rule: str = "figures",
    panels: Sequence[Panel] = PANELS,
) -> pd.DataFrame:
    """Write source data and pictures of every panel and `figures/manifest.tsv`, and return it.

    The numbered figures are composed of the panels' pictures and listed in `figures/figures.tsv`.

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
            data, test = _nothing(panel), f"{NOT_ASSESSABLE}{reason}"
        except Exception as error:
            data, test = _nothing(panel), _failed(panel, results, error, rule)
        source = write_source_data(panel, data.frame, results)
        try:
            draw_panel(panel, results, test=test)
        except Exception as error:
            test = _failed(panel, results, error, rule)
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
    manifest = read_manifest(results)
    draw_numbered(results, manifest)
    return manifest


def _nothing(panel: Panel) -> PanelData:
    return PanelData(pd.DataFrame(columns=list(panel.columns)), 0, 0)


def _failed(panel: Panel, results: Path, error: Exception, rule: str) -> str:
    """Note a panel that failed, which keeps no other from being drawn; return its `test`."""
    traceback.print_exception(error)
    pictures = [results / "figures" / f"{panel.name}.{kind}" for kind in ("svg", "png")]
    reason = reason_of(error)
    log = str(results / "logs" / f"{rule}.log")
    failure = Failure(rule, f"panel {panel.name}", reason, log, tuple(map(str, pictures)))
    note_failure(results, failure)
    return f"{NOT_ASSESSABLE}the panel could not be made ({reason})"


def read_manifest(results: Path) -> pd.DataFrame:
    """Return `figures/manifest.tsv` with all fields as text, indexed by panel.

    Raises
    ------
    InputProblem
        When it is damaged.
    """
    path = results / "figures" / "manifest.tsv"
    try:
        table = read_tsv(path)
    except ValueError as problem:  # of pandas' parser and of the encoding
        what = " ".join(str(problem).split())
        raise InputProblem(f"{path}: not a table ({what}); run again, or copy it again") from None
    if "panel" not in table:
        raise InputProblem(f"{path}: no column panel; it is not a run's manifest")
    return table.set_index("panel", drop=False)


def write_source_data(panel: Panel, frame: pd.DataFrame, results: Path) -> Path:
    """Write the numbers of a panel with six digits and return the path."""
    path = results / "source_data" / f"{panel.name}.csv"
    with whole_file(path) as partial:
        partial.write_text(source_text(panel, frame), encoding="utf-8")
    return path


def source_text(panel: Panel, frame: pd.DataFrame) -> str:
    """Return the numbers of a panel as CSV text."""
    texts = {
        name: frame[name].map(lambda value: harmless(value) if isinstance(value, str) else value)
        for name, kind in panel.columns.items()
        if kind != "number"
    }
    written = frame[list(panel.columns)].assign(**texts)
    return written.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read_source_data(panel: Panel, results: Path) -> pd.DataFrame:
    """Return the numbers of a panel as its chart takes them: text as text, "NA" and all."""
    path = results / "source_data" / f"{panel.name}.csv"
    return parse_source(panel, path.read_text(encoding="utf-8"))


def parse_source(panel: Panel, text: str) -> pd.DataFrame:
    """Return CSV text of `source_text` as the panel's chart takes it."""
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    frame = frame_as_meant(frame[list(panel.columns)])
    for name, kind in panel.columns.items():
        if kind == "number":
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def draw_panel(panel: Panel, results: Path, *, test: str) -> bool:
    """Draw one panel as SVG and PNG from its source data alone; return whether a file changed.

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
    return write_picture(results, panel.name, svg, to_png(svg))


def draw_numbered(results: Path, manifest: pd.DataFrame) -> list[str]:
    """Compose the numbered figures of the panels' pictures; return the names of changed ones.

    Writes `figures/figure_<n>.svg` and `.png` (the first page, further ones in `figures/pages/`),
    `figures/figure_<n>.pdf` (all pages) and the list of them, `figures/figures.tsv`.
    """
    by_name = {panel.name: panel for panel in PANELS}

    def pictures(name: str) -> list[str]:
        svg = (results / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        if fits_page(svg):
            return [svg]
        return page_parts(by_name[name], read_source_data(by_name[name], results), svg)

    composed, changed, names = list(compositions(manifest, pictures)), [], []
    for one in composed:
        pages = page_names(one.figure.name, len(one.pages))
        names += pages
        changed += [
            name
            for name, svg in zip(pages, one.pages, strict=True)
            if write_picture(results, name, svg, print_png(svg))
        ]
        write_file(results / "figures" / f"{one.figure.name}.pdf", to_pdf(one.pages))
    remove_further_pages(results, keep=names)
    write_figure_list(results, manifest, composed)
    return changed


def remove_further_pages(results: Path, *, keep: Sequence[str]) -> None:
    """Remove pages of numbered figures that an earlier drawing needed; make their folder."""
    folder = results / "figures" / PAGES
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("figure_*_page_*.*"):
        if f"{PAGES}/{path.stem}" not in keep:
            path.unlink()


def write_picture(results: Path, name: str, svg: str, png: bytes) -> bool:
    """Write `figures/<name>.svg` and `.png` and return whether either changed."""
    path = results / "figures" / name
    drawn = write_file(path.with_suffix(".svg"), svg.encode())
    return write_file(path.with_suffix(".png"), png) or drawn


def write_file(path: Path, content: bytes) -> bool:
    """Write a file and return whether it changed.

    A file that has the same bytes is left alone: its time does not change, and Snakemake runs
    nothing again that depends on it.
    """
    if path.is_file() and path.read_bytes() == content:
        return False
    with whole_file(path) as partial:
        partial.write_bytes(content)
    return True
