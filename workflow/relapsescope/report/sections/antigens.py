"""What the clones show of the antigens, where ANXA1 rose, and what could still be targeted."""

from collections.abc import Mapping
from typing import Any

from relapsescope.intake.feature_types import ANTIBODIES, antibody_of
from relapsescope.report.context import Context, Section
from relapsescope.report.sections.clones import percent
from relapsescope.vocabulary import SOURCE_WORDS, antigen_name

PANELS = ("antigen_rates", "antigen_detection", "anxa1_compartments", "target_matrix")
REFERENCES = {
    "pre_treatment_clone": "own cells before treatment",
    "normal_plasma_cells": "normal plasma cells",
    "untreated_panel": "untreated patients",
}


def build(context: Context) -> Section:
    """Return the antigens of each relapse clone; without malignant cells, a sentence."""
    molecular = context.evidence.molecular
    rows = relapse_antigens(molecular)
    return Section(
        "Antigens and ANXA1",
        "antigens",
        context.render(
            "antigens.html",
            nothing="no library holds malignant plasma cells"
            if molecular["antigens"].empty
            else "",
            panels={name: context.panel(name) for name in PANELS},
            rows=[verdict_row(row) for row in rows],
            protein=any(row["protein_fraction"] for row in rows),
            antibodies=antibody_words(
                context.evidence.libraries, context.config["antigens"]["car_target"]
            ),
            untreated=[
                untreated_row(row) for row in molecular["anxa1_untreated"].to_dict("records")
            ],
        ),
    )


def antibody_words(libraries: Mapping[str, Mapping[str, Any]], target: str) -> str:
    """Return whether the cohort's antibodies see the CAR's target; empty where there are none.

    Parameters
    ----------
    libraries
        The content of each library's `library.json`.
    target
        Gene symbol.
    """
    panels = [
        names
        for library in libraries.values()
        if (names := (library.get("features") or {}).get(ANTIBODIES))
    ]
    if not panels:
        return ""
    seen = sum(antibody_of(target, names) is not None for names in panels)
    n = len(panels)
    lead = f"Antibodies were counted in {n} {'library' if n == 1 else 'libraries'}: "
    name = antigen_name(target)
    if not seen:
        return lead + f"no antibody of the panel is against {name}, so its protein is not seen."
    where = "it" if n == 1 else "each" if seen == n else f"{seen} of them"
    return lead + f"one is against {name} in {where}; its share stands beside the RNA."


def relapse_antigens(molecular: dict[str, Any], patient_id: str | None = None) -> list[dict]:
    """Return the rows of `antigens.tsv` of relapse clones at relapse, targets' columns joined."""
    antigens, targets = molecular["antigens"], molecular["targets"]
    if antigens.empty or targets.empty:
        return []
    keys = ["patient_id", "clone_id", "antigen", "verdict"]
    at_relapse = antigens[antigens["timepoint"] == "relapse"]
    rows = at_relapse.merge(targets.drop_duplicates(keys), on=keys, how="inner")
    if patient_id is not None:
        rows = rows[rows["patient_id"] == patient_id]
    return rows.to_dict("records")


def reference_words(reference: str, source: str) -> str:
    """Return with whose cells an antigen is compared, and whose people these are."""
    return REFERENCES.get(reference, reference) + SOURCE_WORDS.get(source, "")


def verdict_row(row: dict[str, str]) -> dict[str, str]:
    """Return an antigen in a clone as a page shows it."""
    return row | {
        "verdict": row["verdict"].lower(),
        "rate": with_interval(row["rate_cpm"], row["rate_ci_low"], row["rate_ci_high"]),
        "ratio_words": with_interval(row["ratio"], row["ratio_ci_low"], row["ratio_ci_high"]),
        "reference": reference_words(row["reference"], row.get("reference_source", "")),
        "protein": f"on {percent(row['protein_fraction'])} of the cells"
        if row["protein_fraction"]
        else "",
    }


def untreated_row(row: dict[str, str]) -> dict[str, str]:
    """Return a library before CAR-T with the share of malignant cells of high ANXA1."""
    ends = [percent(row[name]) for name in ("fraction_ci_low", "fraction_ci_high")]
    return row | {
        "timepoint": row["timepoint"].replace("_", " "),
        "share": f"{percent(row['fraction_high'])} ({' to '.join(ends)})",
        "chance": percent(row["chance_fraction"]),
    }


def with_interval(value: str, low: str, high: str) -> str:
    """Return a number with its interval in three digits; empty where there is none."""
    if not value:
        return ""
    return f"{number(value)} ({number(low) or '–'} to {number(high) or '–'})"


def number(text: str) -> str:
    """Return a number in words that readers use: three digits, no exponents."""
    if not text:
        return ""
    value = float(text)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
