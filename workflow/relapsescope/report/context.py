"""What a section of a page is given, and what it gives back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from relapsescope.figures.draw import NOT_ASSESSABLE, PANELS, parse_source, source_text
from relapsescope.figures.evidence import Evidence
from relapsescope.figures.panel import NotAssessableError, Panel, PanelData, PanelSettings
from relapsescope.figures.theme import to_svg
from relapsescope.mechanisms.cited import Cited, Row
from relapsescope.paths import REPOSITORY
from relapsescope.report.citations import Citations
from relapsescope.report.download import DownloadLink, csv_link, csv_text_link
from relapsescope.report.inline_svg import inline_svg
from relapsescope.report.run_tables import RunTables

UNITS = {panel.name: panel.unit for panel in PANELS}

LARGEST_PICTURE = 1_200_000
"""Characters of SVG up to which a page carries a picture; larger ones are named instead."""
PICTURES_AND_DATA = 5_000_000
"""Characters that a page's pictures and downloads may take together; the rest is its tables and its
map. What no longer fits is named instead, so that any cohort's page can be mailed."""

CAPTIONS = REPOSITORY / "workflow" / "report"
"""Captions are written once, for `snakemake --report` and for our pages."""

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("relapsescope.report", "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


@dataclass(frozen=True)
class Section:
    """A part of a page: its title, the name that links lead to, and its HTML.

    A `collapsed` one shows its title only until it is opened, and is left out in print.
    """

    title: str
    anchor: str
    html: Markup
    collapsed: bool = False


@dataclass(frozen=True)
class PanelView:
    """A panel as a page shows it; `reason` says why it could not be made, else it is empty."""

    name: str
    title: str
    caption: Markup
    svg: Markup
    n_cells: int
    n_patients: int
    unit: str
    reason: str
    download: DownloadLink


@dataclass(frozen=True)
class Context:
    """Everything a section may use.

    Attributes
    ----------
    results
        The run's folder, for source data and pictures.
    manifest
        `figures/manifest.tsv` by panel, all fields text.
    config
        The run's configuration.
    versions
        Version by software.
    patients
        Patients with a page of their own.
    tables
        The run's tables, shared by all pages; read from `results` by default.
    carried
        Characters of each picture and download that the page carries so far.
    """

    evidence: Evidence
    results: Path
    manifest: pd.DataFrame
    settings: PanelSettings
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    patients: tuple[str, ...] = ()
    tables: RunTables | None = None
    carried: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.tables is None:
            object.__setattr__(self, "tables", RunTables(self.results))

    def patient_href(self, patient_id: str) -> str:
        """Return the link from the cohort's page to a patient's; empty where there is none."""
        return f"patients/{quote(patient_id)}.html" if patient_id in self.patients else ""

    def panel(self, name: str) -> PanelView:
        """Return a panel with its picture, caption and download."""
        row = self.manifest.loc[name]
        test = row["test"]
        reason = test.removeprefix(NOT_ASSESSABLE) if test.startswith(NOT_ASSESSABLE) else ""
        return PanelView(
            name=name,
            title=row["title"],
            caption=caption(name, self.config),
            svg=Markup("") if reason else self._picture(name, row["title"]),
            n_cells=int(row["n_cells"]),
            n_patients=int(row["n_patients"]),
            unit=UNITS[name],
            reason=reason,
            download=self._download(row["source_data"]),
        )

    def _picture(self, name: str, title: str) -> Markup:
        """Return a picture where the page has room for it, else nothing."""
        drawn = (self.results / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        if len(drawn) > LARGEST_PICTURE:
            return Markup("")
        picture = inline_svg(drawn, title)
        return picture if self._has_room(len(picture)) else Markup("")

    def _download(self, source_data: str) -> DownloadLink:
        """Return a download with its data where the page has room for them, else named."""
        link = csv_link(self.results / source_data)
        return link if self._has_room(len(link.href)) else replace(link, href="")

    def _has_room(self, size: int) -> bool:
        """Return whether the page still has room for so many characters, and take it."""
        if sum(self.carried) + size > PICTURES_AND_DATA:
            return False
        self.carried.append(size)
        return True

    def render(self, template: str, **values: Any) -> Markup:
        """Return a template of this package filled in; all values are escaped."""
        return Markup(TEMPLATES.get_template(template).render(context=self, **values))


@dataclass(frozen=True)
class PatientContext(Context):
    """What a section of a patient's page may use: the cohort's tables, and who it is about.

    Attributes
    ----------
    citations
        The cells behind the page's numbers, collected while its sections are made.
    """

    patient_id: str = ""
    citations: Citations = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "citations", Citations(self.tables))

    def rows(self, table: str) -> list[Row]:
        """Return this patient's rows of a table of the run, all fields text."""
        return self.tables.of_patient(table, self.patient_id)

    def cite(self, told: Cited | str) -> Markup:
        """Return a text with its numbers linked to the cells that they come from."""
        return self.citations.markup(told if isinstance(told, Cited) else Cited(told))

    def course(self, name: str) -> pd.DataFrame:
        """Return this patient's rows of a table of the clinical course."""
        table = self.evidence.course[name]
        return table if table.empty else table[table["patient_id"] == self.patient_id]

    def draw(self, panel: Panel, words: str) -> PanelView:
        """Return a panel drawn from this patient's rows, for this page alone.

        Parameters
        ----------
        words
            The caption.
        """
        own = replace(
            self.evidence,
            course={
                name: self.course(name) if "patient_id" in table else table
                for name, table in self.evidence.course.items()
            },
            sheet={
                sample: row
                for sample, row in self.evidence.sheet.items()
                if row["patient_id"] == self.patient_id
            },
        )
        data, reason, svg = PanelData(pd.DataFrame(columns=list(panel.columns)), 0, 0), "", ""
        try:
            data = panel.collect(own, self.settings)
        except NotAssessableError as problem:
            reason = str(problem)
        text = source_text(panel, data.frame)
        if not reason:
            svg = inline_svg(
                to_svg(panel.chart(parse_source(panel, text)), name=panel.name), panel.title
            )
        return PanelView(
            name=panel.name,
            title=panel.title,
            caption=Markup("<p>{}</p>").format(words),
            svg=Markup(svg),
            n_cells=data.n_cells,
            n_patients=0,
            unit=panel.unit,
            reason=reason,
            download=csv_text_link(f"{self.patient_id}_{panel.name}.csv", text),
        )


def caption(name: str, config: Mapping[str, Any]) -> Markup:
    """Return the caption of a panel or numbered figure as HTML."""
    paragraphs = caption_paragraphs(name, config)
    marked = [re.sub(r"``(.+?)``", r"<code>\1</code>", str(escape(part))) for part in paragraphs]
    return Markup("".join(f"<p>{part}</p>" for part in marked))


def caption_paragraphs(name: str, config: Mapping[str, Any]) -> list[str]:
    """Return the paragraphs of `workflow/report/<name>.rst` with the configuration's values.

    Of reStructuredText only paragraphs, ``literals`` and comments (the category in Snakemake's
    report, left out here) are used.
    """
    source = (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8")
    text = jinja2.Template(source, undefined=jinja2.StrictUndefined).render(
        snakemake=SimpleNamespace(config=config)
    )
    parts = [part for part in text.strip().split("\n\n") if not part.startswith(".. ")]
    return [" ".join(part.split()) for part in parts]
