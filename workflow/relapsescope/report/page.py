"""Put a page together: sections, styles and scripts in one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from relapsescope import __version__
from relapsescope.figures.draw import read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings, panel_settings
from relapsescope.report.context import TEMPLATES, Context, PatientContext, Section
from relapsescope.report.legends import legends_text
from relapsescope.report.methods_text import methods_text
from relapsescope.report.origin import Origin, origin_of
from relapsescope.report.policy import SCRIPT, asset, page_policy
from relapsescope.report.run_tables import RunTables
from relapsescope.report.sections import COHORT_SECTIONS, PATIENT_DETAILS, PATIENT_SECTIONS
from relapsescope.tables import whole_file

LARGEST_PAGE = 8_000_000
"""Bytes; what mail servers commonly let through after encoding is about 10 MB."""


def build_report(
    results: Path,
    page: Path,
    *,
    config: Mapping[str, Any],
    versions: Mapping[str, str],
    sheet: Sequence[Mapping[str, Any]] = (),
    patients: Sequence[str] = (),
    settings: PanelSettings | None = None,
    commit: str = "",
    sheet_sha256: str = "",
) -> Path:
    """Write the cohort's report as one HTML file and return its path; patients' pages below it.

    Beside it, `methods.md` holds the methods in words; `figures/legends.md` holds the captions of
    the page as legends of the figures.

    The same tables, figures, configuration and versions give the same bytes.

    Parameters
    ----------
    results
        The run's folder, with `tables/`, `source_data/` and `figures/` as `draw_figures` left it.
    page
        The file to write, `report/index.html`; a patient's is `patients/<patient_id>.html` beside.
    config
        The whole configuration, for captions, the methods and the list of parameters.
    versions
        Version by software, for the methods.
    sheet
        The sample sheet's rows.
    patients
        Patients to write a page for; their identifiers are safe in paths.
    settings
        What the figures were drawn with; from `config` by default.
    commit, sheet_sha256
        Of the code and the sample sheet, which every page names.
    """
    settings = settings or panel_settings(config)
    origin = origin_of(settings.title, sheet, commit=commit, sheet_sha256=sheet_sha256)
    common = {
        "evidence": read_evidence(results, sheet=sheet),
        "results": results,
        "manifest": read_manifest(results),
        "settings": settings,
        "config": config,
        "versions": versions,
        "patients": tuple(patients),
        "tables": RunTables(results),
    }
    # One context a page: it counts what the page carries.
    context = Context(**common)
    sections = [build(context) for build in COHORT_SECTIONS]
    _write(page, assemble("Cohort report", sections, origin=origin))
    for patient_id in patients:
        context = PatientContext(**common, patient_id=patient_id)
        sections = [build(context) for build in PATIENT_SECTIONS]
        sections += [replace(build(context), collapsed=True) for build in PATIENT_DETAILS]
        own = page.parent / "patients" / f"{patient_id}.html"
        heading = f"Patient {patient_id}"
        _write(own, assemble(heading, sections, home=f"../{page.name}", origin=origin))
    text = methods_text(common["evidence"], results, config=config, versions=versions)
    _write(page.parent / "methods.md", text)
    legends = legends_text(results, common["manifest"], config=config)
    _write(results / "figures" / "legends.md", legends)
    return page


def assemble(
    heading: str, sections: Sequence[Section], *, home: str = "", origin: Origin | None = None
) -> str:
    """Return a whole page; `home` links to the cohort's, `origin` says what it was made from.

    Its content security policy allows this page's own script and nothing from elsewhere, so
    that a page that was tampered with in a sheet still runs no foreign code.
    """
    return TEMPLATES.get_template("page.html").render(
        heading=heading,
        home=home,
        origin=origin or Origin(),
        policy=page_policy(),
        style=Markup(asset("page.css")),
        script=Markup(asset(SCRIPT)),
        sections=sections,
        version=__version__,
    )


def _write(page: Path, html: str) -> None:
    with whole_file(page) as partial:
        partial.write_text(html, encoding="utf-8")
