"""One row a library: verdict, reason, and the cells kept and lost at each step."""

from collections.abc import Sequence
from typing import Any

from relapsescope.figures.libraries import cells_by_step
from relapsescope.reference.novelty import ALL, OUT, WARN
from relapsescope.report.context import Context, Section
from relapsescope.report.methods_text import is_placed
from relapsescope.tables import is_true
from relapsescope.vocabulary import TIMEPOINTS, VERDICTS

UMI_CEILING = (
    "UMI ceiling suspected: cells above a number of counts seem to be missing from the matrix"
)


def build(context: Context) -> Section:
    """Return the table of libraries and the picture of what was kept."""
    steps = cells_by_step(context.evidence)
    rows = library_rows(context, context.evidence.sample_ids)
    return Section(
        "Libraries",
        "libraries",
        context.render(
            "libraries.html",
            rows=rows,
            steps=[name for name in steps.columns if name != "kept"],
            panel=context.panel("cells_kept"),
        ),
    )


def library_rows(context: Context, sample_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the tables of libraries say of each of `sample_ids`."""
    steps = cells_by_step(context.evidence)
    table = context.evidence.samples.set_index("sample_id", drop=False)
    return [
        _row(context, sample, table.loc[sample].to_dict(), dict(steps.loc[sample]))
        for sample in sample_ids
    ]


def _row(context: Context, sample: str, row: dict[str, str], steps: dict[str, int]) -> dict:
    library = context.evidence.libraries.get(sample, {})
    sheet = context.evidence.sheet.get(sample, {})
    people = context.evidence.cells.loc[
        context.evidence.cells["sample_id"] == sample, ["patient_id", "timepoint"]
    ].drop_duplicates()
    known: dict[str, Any] = people.iloc[0].to_dict() if len(people) else {}
    timepoint = str(sheet.get("timepoint") or known.get("timepoint", ""))
    suspected = is_true(row.get("umi_ceiling_suspected", ""))
    ceiling = [UMI_CEILING] if suspected and "UMI ceiling" not in row["reason"] else []
    return {
        **row,
        "patient_id": sheet.get("patient_id") or known.get("patient_id", ""),
        "href": context.patient_href(sheet.get("patient_id", "")),
        "timepoint": timepoint,
        "day": sheet.get("day", ""),
        "material": " · ".join(
            value.replace("_", " ")
            for value in (sheet.get(name) for name in ("tissue", "site", "sorting", "chemistry"))
            if value and value != "none"
        ),
        "place": VERDICTS.index(row["verdict"]) if row["verdict"] in VERDICTS else "",
        "time": _time(timepoint, sheet.get("day", "")),
        "notes": [
            *ceiling,
            *strange_to_the_reference(context, sample),
            *(library.get("notes") or []),
        ],
        "steps": steps,
        "n_steps": sum(steps.values()),
    }


def strange_to_the_reference(context: Context, sample: str) -> list[str]:
    """Return in what a library that was placed on a reference does not resemble it."""
    if not is_placed(context.results, context.config):
        return []
    rows = [row for row in context.tables.rows("novelty") if row["sample_id"] == sample]
    told = []
    for row in rows:
        if row["verdict"] in (WARN, OUT) and row["reason"]:
            what = "the library" if row["cell_type"] == ALL else row["cell_type"]
            told.append(f"Against the reference, {what}: {row['reason']}")
    return told


def _time(timepoint: str, day: str) -> str:
    """Return a number that sorts by timepoint, then by day."""
    place = TIMEPOINTS.index(timepoint) if timepoint in TIMEPOINTS else len(TIMEPOINTS)
    return str(place * 100_000 + int(day or 0))
