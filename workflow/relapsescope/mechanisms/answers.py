"""The answer to "which cells came back, and why were they not killed?", in three sentences.

Generated from verdicts by rules, for every patient alike; never advice on treatment.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from relapsescope.mechanisms.cited import Cited, Row, cited, joined, parse_cited
from relapsescope.mechanisms.patient_evidence import PatientEvidence
from relapsescope.mechanisms.tumour_findings import RELATIONS
from relapsescope.mechanisms.verdicts import NOT_ASSESSABLE, SUPPORTED, Rules

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
        told = [(CAME_BACK, _no_relapse(patient))]
    else:
        told = [
            (CAME_BACK, came_back(patient)),
            (WHY, why_not_killed(mechanisms, rules)),
            (HOW_SURE, how_sure(mechanisms, rules)),
        ]
    return [
        {
            "patient_id": patient.patient_id,
            "place": place,
            "question": question,
            "answer": answer.text,
            "answer_cells": answer.code,
        }
        for place, (question, answer) in enumerate(told, 1)
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
        why = patient.why_no_relapse() or Cited("no malignant cells were found at relapse")
        return when + "; which cells came back is not known: " + why + "."
    return when + cited(
        "; the cells that came back are clone {clone}, {share} % of the {n} malignant plasma cells "
        "seen, {relation}.",
        clone=clone.word("clone_id"),
        share=clone.percent("fraction"),
        n=clone.number("n_malignant"),
        relation=RELATIONS.get(
            clone["relation"], "its relation to the cells before CAR-T not assessable"
        ),
    )


def why_not_killed(mechanisms: Sequence[Mapping[str, Any]], rules: Rules) -> Cited:
    """Return the primary mechanism with its evidence, and what else is supported."""
    first = [row for row in mechanisms if row["is_primary"]]
    others = [row for row in mechanisms if row["verdict"] == SUPPORTED and not row["is_primary"]]
    names = _named([row["mechanism"] for row in others], rules)
    if first:
        row = first[0]
        title = rules.title(row["mechanism"])
        told = Cited(f"{title} stands out: ") + parse_cited(row["evidence"], row["evidence_cells"])
        return told + (f"; also supported: {names}." if names else "; nothing else is supported.")
    reason = mechanisms[0]["primary_reason"]
    told = Cited(f"No mechanism stands out: {reason}")
    return told + (f"; supported: {names}." if names else ".")


def how_sure(mechanisms: Sequence[Mapping[str, Any]], rules: Rules) -> Cited:
    """Return what speaks against the primary mechanism and what could not be assessed."""
    parts: list[Cited | str] = []
    for values in mechanisms:
        if values["is_primary"]:
            row = Row("mechanisms", {name: str(value) for name, value in values.items()})
            parts.append(
                cited(
                    "the evidence has strength {s} on a scale up to one", s=row.number("strength")
                )
            )
            told = parse_cited(row["against"], row["against_cells"])
            if told:
                parts.append(Cited("against it: ") + told)
    unknown = [row["mechanism"] for row in mechanisms if row["verdict"] == NOT_ASSESSABLE]
    if unknown:
        parts.append(f"not assessable: {_named(unknown, rules)}")
    else:
        parts.append("all six mechanisms could be assessed")
    told = joined(parts)
    return Cited(told.text[0].upper() + told.text[1:], told.spans) + "."


def _no_relapse(patient: PatientEvidence) -> Cited:
    given = bool(patient.tables["course"])
    course = "no confirmed progression after CAR-T" if given else "no clinical course was given"
    told = Cited(
        f"No relapse is recorded: there is no library at relapse, and {course}; so there is "
        "nothing to explain."
    )
    line = patient.car_line
    if line is not None and line["best_response"] not in ("", "NE"):
        told += cited(" The best response was {best}.", best=line.word("best_response"))
    return told


def _named(names: Sequence[str], rules: Rules) -> str:
    return ", ".join(lower_title(rules, name) for name in names)


def lower_title(rules: Rules, mechanism: str) -> str:
    """Return a mechanism's title for the middle of a sentence."""
    title = rules.title(mechanism)
    return title if title.startswith(("CAR-T", "T-cell")) else title[0].lower() + title[1:]
