"""The head of a patient's page: one picture of the course, and the same in words."""

from collections.abc import Sequence

from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.report.context import PatientContext, Section
from relapsescope.report.overview import (
    Library,
    head,
    overview_of,
    relevant_target,
    verdict_words,
)
from relapsescope.report.overview_drawing import NARROW, WIDE, drawing
from relapsescope.report.sections.patient import samples_by_day

TABLES = ("course", "assessments", "clones", "antigens", "car_t")


def build(context: PatientContext) -> Section:
    """Return the picture of course, clones, target and CAR-T cells, and a table that says it."""
    sheet = [context.evidence.sheet[sample] for sample in samples_by_day(context)]
    tables = {name: context.rows(name) for name in TABLES}
    antigens = context.config["antigens"]
    overview = overview_of(
        tables, sheet, verdicts=context.evidence.verdicts, car_target=antigens["car_target"]
    )
    limits = (antigens["lost_below"], antigens["reduced_below"])
    return Section(
        "At a glance",
        "glance",
        context.render(
            "patient_overview.html",
            wide=drawing(overview, width=WIDE, limits=limits),
            narrow=drawing(overview, width=NARROW, limits=limits),
            target=overview.target_name,
            rows=[_row(context, tables, library) for library in overview.libraries],
        ),
    )


def _row(
    context: PatientContext, tables: dict[str, list[Row]], library: Library
) -> dict[str, object]:
    """Return a library's lanes in words, each number linked to its cell."""
    own = {
        name: [row for row in rows if row["sample_id"] == library.sample_id]
        for name, rows in tables.items()
    }
    return {
        "sample_id": library.sample_id,
        "when": ", ".join(head(library)),
        "clones": context.cite(_clones(own["clones"])) if library.shares else library.clone_words,
        "target": context.cite(_target(own)) if library.target else library.target_words,
        "car": context.cite(_car(own["car_t"])) if library.car else library.car_words,
    }


def _clones(rows: Sequence[Row]) -> Cited:
    shares = [
        cited("{clone} {share} %", clone=row["clone_id"], share=row.percent("fraction"))
        for row in rows
        if row.value("fraction") > 0
    ]
    return joined(shares, ", ") + cited(" of {n} malignant cells", n=rows[0].number("n_malignant"))


def _target(own: dict[str, list[Row]]) -> Cited:
    row = relevant_target(own["antigens"], own["clones"])
    whose = "all malignant cells" if row["clone_id"] == "all_malignant" else row["clone_id"]
    return cited(
        "{verdict}: ratio {ratio} ({interval}), of {whose}",
        verdict=verdict_words(row),
        ratio=row.number("ratio"),
        interval=row.interval("ratio_ci_low", "ratio_ci_high"),
        whose=whose if " " in whose else f"clone {whose}",
    )


def _car(rows: Sequence[Row]) -> Cited:
    row = next(row for row in rows if row["population"] == "car_detected")
    limits = row.interval("fraction_ci_low", "fraction_ci_high", percent=True)
    if row["n_cells"] == "0":
        most = row.percent("fraction_ci_high")
        return cited("none found; at most {most} % of T cells", most=most)
    share = row.percent("fraction_of_t")
    return cited("{share} % of T cells ({limits} %)", share=share, limits=limits)
