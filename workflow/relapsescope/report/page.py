"""Put a page together: sections, styles and scripts in one file that needs nothing else."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from relapsescope import __version__
from relapsescope.figures.draw import read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings, panel_settings
from relapsescope.provenance.failures import (
    Failure,
    failed_patients,
    failures_of,
    note_failure,
    reason_of,
)
from relapsescope.report.context import TEMPLATES, Context, PatientContext, Section
from relapsescope.report.legends import legends_text
from relapsescope.report.methods_text import methods_text
from relapsescope.report.origin import Origin, origin_of
from relapsescope.report.policy import SCRIPT, asset, page_policy
from relapsescope.report.run_tables import RunTables
from relapsescope.report.sections import (
    COHORT_SECTIONS,
    PATIENT_DETAILS,
    PATIENT_SECTIONS,
    SECTIONS_WITHOUT_STEPS,
)
from relapsescope.tables import whole_file

Builder = Callable[[Any], Section]
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
    of_cohort = _sections(Context(**common), COHORT_SECTIONS)
    (page.parent / "patients").mkdir(parents=True, exist_ok=True)
    failed = failed_patients(results)
    for patient_id in patients:
        context = PatientContext(**common, patient_id=patient_id)
        sections = patient_sections(context, failed=patient_id in failed)
        own = page.parent / "patients" / f"{patient_id}.html"
        at = {"home": f"../{page.name}", "origin": origin, "missing": _missing(results)}
        _write(own, assemble(f"Patient {patient_id}", sections, **at))
    # Last, because it names what failed in all of them.
    _write(page, assemble("Cohort report", of_cohort, origin=origin, missing=_missing(results)))
    text = methods_text(common["evidence"], results, config=config, versions=versions)
    _write(page.parent / "methods.md", text)
    legends = legends_text(results, common["manifest"], config=config)
    _write(results / "figures" / "legends.md", legends)
    return page


def patient_sections(context: PatientContext, *, failed: bool) -> list[Section]:
    """Return the sections of a patient's page.

    Where a step of the patient's `failed`, only what rests on libraries and the course: what
    stands in for the step would read as a marrow without tumour.
    """
    if failed:
        return _sections(context, SECTIONS_WITHOUT_STEPS)
    sections = _sections(context, PATIENT_SECTIONS)
    details = _sections(context, PATIENT_DETAILS)
    return sections + [replace(section, collapsed=True) for section in details]


def _missing(results: Path) -> list[str]:
    return [failure.told for failure in failures_of(results)]


def _sections(context: Context, builders: Sequence[Builder]) -> list[Section]:
    """Return the sections of a page; one that fails says so and keeps no other from being made."""
    sections = []
    for build in builders:
        try:
            sections.append(build(context))
        except Exception as error:
            traceback.print_exception(error)
            part = f"section {build.__module__.rpartition('.')[2]}"
            log = str(context.results / "logs" / "page.log")
            # The methods are the page's own output: without them the next run makes it anew.
            again = (str(context.results / "report" / "methods.md"),)
            note_failure(context.results, Failure("page", part, reason_of(error), log, again))
            anchor = f"missing-{len(sections)}"
            html = Markup("<p class='absent'>Could not be made: {}</p>").format(reason_of(error))
            sections.append(Section(part.capitalize(), anchor, html))
    return sections


def assemble(
    heading: str,
    sections: Sequence[Section],
    *,
    home: str = "",
    origin: Origin | None = None,
    missing: Sequence[str] = (),
) -> str:
    """Return a whole page; `home` links to the cohort's, `origin` says what it was made from.

    What is `missing` is said before anything else.

    Its content security policy allows this page's own script and nothing from elsewhere, so
    that a page that was tampered with in a sheet still runs no foreign code.
    """
    return TEMPLATES.get_template("page.html").render(
        heading=heading,
        home=home,
        origin=origin or Origin(),
        missing=missing,
        policy=page_policy(),
        style=Markup(asset("page.css")),
        script=Markup(asset(SCRIPT)),
        sections=sections,
        version=__version__,
    )


def _write(page: Path, html: str) -> None:
    with whole_file(page) as partial:
        partial.write_text(html, encoding="utf-8")
