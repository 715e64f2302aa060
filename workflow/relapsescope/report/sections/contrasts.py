"""Contrasts between patients: what was named beforehand, and what this cohort could show of it."""

from collections.abc import Mapping

from relapsescope.mechanisms.contrast_words import (
    by_contrast,
    contrast_sentence,
    difference_words,
    group_words,
    measure_words,
    power_words,
    value_words,
)
from relapsescope.report.context import Context, Section
from relapsescope.vocabulary import DIFFERENT, TOO_FEW

VERDICTS = {DIFFERENT: "different", TOO_FEW: "too few patients"}
MARKS = {DIFFERENT: "●", TOO_FEW: "?"}


def build(context: Context) -> Section:
    """Return each contrast in a sentence, the points of patients, and a row a measure."""
    table = context.evidence.answers["patient_contrasts"]
    groups = by_contrast(table.to_dict("records")).values()
    return Section(
        "Contrasts between patients",
        "contrasts",
        context.render(
            "contrasts.html",
            panel=context.panel("patient_contrasts"),
            settings=context.config["contrasts"],
            contrasts=[
                {
                    "sentence": contrast_sentence(rows),
                    "groups": [group_words(rows[0][name]) for name in ("group_1", "group_2")],
                    "rows": [_row(row) for row in rows],
                }
                for rows in groups
            ],
        ),
    )


def _row(row: Mapping[str, str]) -> dict[str, str]:
    name = row["measure"]
    medians = [value_words(name, row[f"median_{i}"]) for i in (1, 2)]
    return {
        "measure": measure_words(name),
        "first": _of(medians[0], row["n_1"]),
        "second": _of(medians[1], row["n_2"]),
        "difference": _difference(row),
        "p": _p(row["p"]),
        "adjusted": _p(row["p_adjusted"]),
        "power": power_words(row),
        "answer": VERDICTS.get(row["verdict"], "not shown"),
        "mark": MARKS.get(row["verdict"], "○"),
    }


def _of(median: str, n: str) -> str:
    return f"{median} ({n})" if median else f"({n})"


def _difference(row: Mapping[str, str]) -> str:
    name = row["measure"]
    middle, low, high = (
        difference_words(name, row[column])
        for column in ("difference", "difference_ci_low", "difference_ci_high")
    )
    if not middle:
        return ""
    return f"{middle} ({low} to {high})" if low else f"{middle} (no interval)"


def _p(text: str) -> str:
    return f"{float(text):.2g}" if text else ""
