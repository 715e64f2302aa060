"""The head of a patient's page: the answer, why the cells were not killed, what stays open."""

from typing import Any

from relapsescope.mechanisms.answers import is_leaning, leaning_words
from relapsescope.mechanisms.cited import Cited, Row, parse_cited
from relapsescope.mechanisms.verdicts import read_rules
from relapsescope.report.context import PatientContext, Section
from relapsescope.settings import settings_of
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import NOT_ASSESSABLE, NOT_SUPPORTED, SUPPORTED

VERDICT_WORDS = {
    SUPPORTED: "supported",
    NOT_SUPPORTED: "not supported",
    NOT_ASSESSABLE: "not assessable",
}
VERDICT_MARKS = {SUPPORTED: "●", NOT_SUPPORTED: "○", NOT_ASSESSABLE: "?"}
"""Told apart without colour."""
UNDECIDED_MARK = "◐"
NO_ANSWER = "this run has no table of answers (tables/answers.tsv)"


def build_answer(context: PatientContext) -> Section:
    """Return the answer in up to three sentences, each number linked to its cell."""
    answers = [
        {"question": row["question"], "answer": context.cite(_told(row, "answer"))}
        for row in context.rows("answers")
    ]
    return Section(
        "The answer",
        "answer",
        context.render("patient_answer.html", answers=answers, nothing=NO_ANSWER),
    )


def build_mechanisms(context: PatientContext) -> Section:
    """Return the six mechanisms with verdict, strength, evidence and what speaks against."""
    rows = context.rows("mechanisms")
    return Section(
        "Why they were not killed",
        "mechanisms",
        context.render(
            "patient_mechanisms.html",
            rows=[_mechanism(context, row) for row in rows],
            reason=rows[0]["primary_reason"] if rows else "",
            primary=any(row.is_true("is_primary") for row in rows),
        ),
    )


def build_limits(context: PatientContext) -> Section:
    """Return what could not be assessed in this patient, and why."""
    rules = read_rules()
    mechanisms = context.rows("mechanisms")
    items = [
        {
            "what": rules.title(row["mechanism"]) + _kind_of_limit(row),
            "why": context.cite(_told(row, "not_assessed")),
        }
        for row in mechanisms
        if row["not_assessed"]
    ]
    n_decided = sum(row["verdict"] != NOT_ASSESSABLE for row in mechanisms)
    sheet = context.evidence.sheet
    items += [
        {"what": f"Library {row['sample_id']}", "why": context.cite(row.word("reason"))}
        for row in context.tables.rows("samples")
        if row["verdict"] == "fail"
        and sheet.get(row["sample_id"], {}).get("patient_id") == context.patient_id
    ]
    summary = context.evidence.clone_summaries.get(context.patient_id, {})
    reasons = [*summary.get("reasons", []), summary.get("cnv_reason") or ""]
    items += [{"what": "Clones", "why": why} for why in dict.fromkeys(filter(None, reasons))]
    if not summary:
        items.append({"what": "Cells", "why": "no library of this patient is in the sample sheet"})
    return Section(
        "What could not be assessed",
        "limits",
        context.render(
            "patient_limits.html",
            items=items,
            relapsed=bool(mechanisms),
            all_decided=bool(mechanisms) and n_decided == len(mechanisms),
        ),
    )


def _kind_of_limit(row: Row) -> str:
    """Return whether a mechanism is open altogether, or decided with a part of it open."""
    if row["verdict"] != NOT_ASSESSABLE:
        return " (decided; open in part)"
    return " (undecided)" if is_leaning(row) else " (not assessable)"


def _mechanism(context: PatientContext, row: Row) -> dict[str, Any]:
    rules = read_rules()
    strength = row.value("strength")
    words = VERDICT_WORDS.get(row["verdict"], row["verdict"])
    mark, leaning = VERDICT_MARKS.get(row["verdict"], ""), ""
    if is_leaning(row):
        words, mark = "undecided", UNDECIDED_MARK
        beliefs = settings_of(LeaningSettings, context.config["leaning"], name="leaning")
        leaning = context.cite(leaning_words(row, beliefs))
    return {
        "title": rules.title(row["mechanism"]),
        "statement": rules.mechanisms[row["mechanism"]]["statement"],
        "verdict": row["verdict"],
        "words": words,
        "mark": mark,
        "leaning": leaning,
        "primary": row.is_true("is_primary"),
        "likely": row.is_true("primary_leaning"),
        "width": None if strength != strength else round(100 * strength),
        "strength": context.cite(row.number("strength")) if row["strength"] else "",
        "evidence": context.cite(_told(row, "evidence")),
        "against": context.cite(_told(row, "against")),
        "not_assessed": context.cite(_told(row, "not_assessed")),
        "meaning_in_short": rules.mechanisms[row["mechanism"]]["strength_in_short"],
        "meaning": rules.mechanisms[row["mechanism"]]["strength"],
    }


def _told(row: Row, column: str) -> Cited:
    return parse_cited(row[column], row[f"{column}_cells"])
