"""The answer to "which cells came back, and why were they not killed?", in three sentences.

Generated from verdicts by rules, for every patient alike; never advice on treatment.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from relapsescope.mechanisms.beside import outside_marrow
from relapsescope.mechanisms.cited import Cited, Row, cited, joined, parse_cited
from relapsescope.mechanisms.patient_evidence import PatientEvidence
from relapsescope.mechanisms.tumour_findings import lost_arms, relation_words
from relapsescope.mechanisms.verdicts import Rules
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import NOT_ASSESSABLE, SUPPORTED

COLUMNS = ("patient_id", "place", "question", "answer", "answer_cells")
CAME_BACK, WHY, HOW_SURE = "What came back", "Why it was not killed", "How sure this is"


def answer_rows(
    patient: PatientEvidence, mechanisms: Sequence[Mapping[str, Any]], rules: Rules
) -> list[dict[str, Any]]:
    """Return the rows of `answers.tsv` of one patient: a question and its sentence each.

    Parameters
    ----------
    mechanisms
        The patient's rows of `mechanisms.tsv`; none for a patient without relapse.
    """
    if not mechanisms:
        words = [(CAME_BACK, _no_relapse(patient))]
    else:
        words = [
            (CAME_BACK, came_back(patient)),
            (WHY, why_not_killed(mechanisms, rules)),
            (HOW_SURE, how_sure(mechanisms, rules, patient.beliefs, outside_marrow(patient))),
        ]
    return [
        {
            "patient_id": patient.patient_id,
            "place": place,
            "question": question,
            "answer": answer.text,
            "answer_cells": answer.code,
        }
        for place, (question, answer) in enumerate(words, 1)
    ]


def came_back(patient: PatientEvidence) -> Cited:
    """Return when the disease came back and with which cells."""
    line, clone = patient.car_line, patient.relapse_clone
    when = Cited("The disease came back after CAR-T")
    if line is not None and line["progression_day"]:
        when = cited(
            "The disease progressed on day {day} after CAR-T", day=line.number("progression_day")
        )
    if line is not None and line["best_response"] not in ("", "NE"):
        when += cited(" (best response {best})", best=line.word("best_response"))
    if clone is None:
        return when + "; which cells came back is not known: " + patient.why_no_clone() + "."
    return when + cited(
        "; the cells that came back are clone {clone}, {own} of the {n} malignant plasma cells "
        "seen ({share} %, interval {interval} %): {relation}.",
        clone=clone.word("clone_id"),
        own=clone.number("n_cells"),
        n=clone.number("n_malignant"),
        share=clone.percent("fraction"),
        interval=clone.interval("fraction_ci_low", "fraction_ci_high", percent=True),
        relation=relation_words(clone) + lost_arms(clone),
    )


def why_not_killed(mechanisms: Sequence[Mapping[str, Any]], rules: Rules) -> Cited:
    """Return the primary mechanism with its evidence, and what else is supported."""
    first = [row for row in mechanisms if row["is_primary"]]
    others = [row for row in mechanisms if row["verdict"] == SUPPORTED and not row["is_primary"]]
    names = _named([row["mechanism"] for row in others], rules)
    if first:
        row = first[0]
        title = rules.title(row["mechanism"])
        words = Cited(f"{title} stands out: ") + parse_cited(row["evidence"], row["evidence_cells"])
        return words + (f"; also supported: {names}." if names else "; nothing else is supported.")
    likely = [row for row in mechanisms if row["primary_leaning"]]
    if likely:
        words = _leaning_answer(likely[0], rules)
    else:
        words = Cited(f"No mechanism stands out: {mechanisms[0]['primary_reason']}")
    others = [row for row in others if not row["primary_leaning"]]
    names = _named([row["mechanism"] for row in others], rules)
    return words + (f"; supported: {names}." if names else ".")


def _leaning_answer(values: Mapping[str, Any], rules: Rules) -> Cited:
    """Return the mechanism that the evidence leans to, its probability and the evidence."""
    title = lower_title(rules, values["mechanism"])
    words = parse_cited(values["evidence"], values["evidence_cells"])
    if values["verdict"] == SUPPORTED:
        lead = Cited(f"{rules.title(values['mechanism'])} is supported and most probably decides")
        return lead + ", though what would come before it is open: " + words
    row = _row_of(values)
    lead = cited(
        "No mechanism is shown; the evidence leans to {title} (probability {p}): ",
        title=title,
        p=row.number("leaning"),
    )
    return lead + words


def is_leaning(row: Mapping[str, Any] | Row) -> bool:
    """Return whether a mechanism's verdict is open and the data say something of it."""
    text = str(row["leaning"])
    return text not in ("", "nan", "None")


def leaning_words(row: Row, beliefs: LeaningSettings) -> Cited:
    """Return where an open verdict leans, with its probability."""
    chance = row.value("leaning")
    words = "as likely as not, probability {p}"
    if chance >= beliefs.leaning_from:
        words = "leaning to it, probability {p}"
    elif chance <= 1 - beliefs.leaning_from:
        words = "leaning against it, probability {p}"
    return cited(words, p=row.number("leaning"))


def _row_of(values: Mapping[str, Any]) -> Row:
    """Return a row of `mechanisms.tsv` as its readers see it."""
    return Row(
        "mechanisms",
        {name: "" if _is_missing(value) else str(value) for name, value in values.items()},
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def how_sure(
    mechanisms: Sequence[Mapping[str, Any]],
    rules: Rules,
    beliefs: LeaningSettings,
    elsewhere: Cited,
) -> Cited:
    """Return what speaks against the primary mechanism, what leans and what is not assessable.

    `elsewhere` warns of disease that was not sampled; it is empty where none was seen.
    """
    parts: list[Cited | str] = []
    for values in mechanisms:
        if values["is_primary"]:
            row = _row_of(values)
            parts.append(
                cited(
                    "strength {s} of at most one ({meaning})",
                    s=row.number("strength"),
                    meaning=rules.mechanisms[row["mechanism"]]["strength_in_short"],
                )
            )
            told = parse_cited(row["against"], row["against_cells"])
            if told:
                parts.append(Cited("against it: ") + told)
    leaning = [_row_of(row) for row in mechanisms if is_leaning(row)]
    if leaning:
        told = [
            cited("{name} ({words})", name=lower_title(rules, r["mechanism"]), words=words)
            for r in leaning
            if (words := leaning_words(r, beliefs))
        ]
        parts.append(Cited("undecided: ") + joined(told, ", "))
    unknown = [
        row["mechanism"]
        for row in mechanisms
        if row["verdict"] == NOT_ASSESSABLE and not is_leaning(row)
    ]
    if unknown:
        parts.append(f"not assessable: {_named(unknown, rules)}")
    if not leaning and not unknown:
        parts.append("all six mechanisms could be decided")
    parts.append(elsewhere)
    told = joined(parts)
    return Cited(told.text[0].upper() + told.text[1:], told.spans) + "."


def _no_relapse(patient: PatientEvidence) -> Cited:
    given = bool(patient.tables["course"])
    course = "no confirmed progression after CAR-T" if given else "there are no clinical tables"
    words = Cited(
        f"No relapse is recorded: there is no library at relapse, and {course}; so there is "
        "nothing to explain."
    )
    line = patient.car_line
    if line is not None and line["best_response"] not in ("", "NE"):
        words += cited(" The best response was {best}.", best=line.word("best_response"))
    return words


def _named(names: Sequence[str], rules: Rules) -> str:
    return ", ".join(lower_title(rules, name) for name in names)


def lower_title(rules: Rules, mechanism: str) -> str:
    """Return a mechanism's title for the middle of a sentence."""
    title = rules.title(mechanism)
    return title if title.startswith(("CAR-T", "T-cell")) else title[0].lower() + title[1:]
