"""Claims of the relapse study, tested for their direction, and findings of other studies beside."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import yaml

from relapsescope.course.genetics import GENETIC_LOSS, UNKNOWN
from relapsescope.mechanisms.beside import BCMA
from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.mechanisms.patient_evidence import PatientEvidence
from relapsescope.mechanisms.settings import ClaimSettings
from relapsescope.mechanisms.tumour_findings import relation_words
from relapsescope.paths import RESOURCES
from relapsescope.statistics.proportions import exact_proportion
from relapsescope.vocabulary import (
    AT_LEAST_VGPR,
    EXHAUSTED,
    HIGH,
    INDETERMINATE,
    LOST,
    NOT_PROLIFERATING,
    RESPONDED,
)

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
NOT_DECIDED = "not decided here"
NOT_ASSESSABLE, NOT_COMPUTABLE = "not assessable", "not computable"
COMPATIBLE, DIFFERS = "compatible with the published figure", "differs from the published figure"
NOT_COMPARED = "no published figure to compare"
COLUMNS = (
    *("number", "claim", "computed", "result", "verdict", "reason", "n_showing", "n_assessable"),
    *("unit", "tables", "citation", "result_cells", "published", "min_patients"),
)
# Models of a bulk cohort that take myeloid contamination into account, the fuller one first.
ADJUSTED = ("covariates and myeloid", "myeloid")


@dataclass(frozen=True)
class Shown:
    """What a patient (or library) shows of a claim; None in `shows` where it was not decided."""

    shows: bool | None
    words: Cited


@dataclass(frozen=True)
class Outcome:
    """A claim's verdict with the cases it rests on."""

    verdict: str
    reason: str
    cases: tuple[Shown, ...] = ()
    result: Cited | None = None


@cache
def read_claims() -> Mapping[str, Any]:
    """Return the content of `resources/claims.yaml`."""
    return yaml.safe_load((RESOURCES / "claims.yaml").read_text(encoding="utf-8"))


def claim_rows(
    patients: Sequence[PatientEvidence],
    tables: Mapping[str, Sequence[Row]],
    settings: ClaimSettings,
) -> list[dict[str, Any]]:
    """Return the rows of `claims.tsv`, one a claim.

    A claim of the study is about one patient; it counts as reproduced where at least one
    patient of this cohort shows the same, as not reproduced where some could have and none does,
    and is not decided here where fewer than `min_decided` patients were decided.

    Parameters
    ----------
    patients
        The relapsed patients.
    tables
        The whole cohort's rows.
    """
    content = read_claims()
    low, high = content["about_days"]
    of_patients = {
        1: [_remission(p, low, high) for p in patients],
        2: [_car_t(p, "exhaustion_verdict", EXHAUSTED) for p in patients],
        3: [_car_t(p, "proliferation_verdict", NOT_PROLIFERATING) for p in patients],
        4: [_target(p) for p in patients],
        5: [_relation(p) for p in patients],
        6: [_anxa1(p) for p in patients],
    }
    outcomes: dict[int, Outcome] = {
        **{n: _existence(cases, settings.min_decided) for n, cases in of_patients.items()},
        7: _untreated_and_outcome(tables),
        8: _wet_laboratory(patients),
    }
    study = {"citation": settings.citation, "published": ""}
    beside = {
        9: [_first_salvage(p) for p in patients],
        10: [_second_car_t(p) for p in patients],
        11: [_target(p, "GPRC5D") if p.target == "GPRC5D" else None for p in patients],
        12: [_both_alleles(p) for p in patients],
    }
    return [
        *(_row(claim | study, outcomes[claim["number"]], settings) for claim in content["claims"]),
        *(
            _row(
                one | {"published": one["figure"]},
                _share(beside[one["number"]], one["share"], settings.min_decided),
                settings,
            )
            for one in content["published"]
        ),
    ]


def _share(cases: Sequence[Shown | None], published: float | None, min_decided: int) -> Outcome:
    """Return how many patients show a finding, and whether the published share lies within."""
    outcome = _existence(cases, min_decided)
    if outcome.verdict in (NOT_ASSESSABLE, NOT_DECIDED):
        return outcome
    decided = [case.shows for case in outcome.cases if case.shows is not None]
    shown = exact_proportion(sum(decided), len(decided))
    words = f"{outcome.reason} (95 % interval {100 * shown.low:.0f} to {100 * shown.high:.0f} %)"
    verdict = NOT_COMPARED
    if published is not None:
        verdict = COMPATIBLE if shown.low <= published <= shown.high else DIFFERS
    return replace(outcome, verdict=verdict, reason=words)


def _row(claim: Mapping[str, Any], outcome: Outcome, settings: ClaimSettings) -> dict[str, Any]:
    known = [case for case in outcome.cases if case.words]
    result = outcome.result or joined([case.words for case in known])
    decided = [case.shows for case in outcome.cases if case.shows is not None]
    return {
        **{name: claim[name] for name in ("number", "claim", "computed", "unit", "tables")},
        **{name: claim[name] for name in ("citation", "published")},
        "min_patients": settings.min_decided,
        "result": result.text,
        "result_cells": result.code,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
        "n_showing": sum(decided),
        "n_assessable": len(decided),
    }


def _existence(cases: Sequence[Shown | None], min_decided: int) -> Outcome:
    found = tuple(case for case in cases if case is not None)
    decided = [case.shows for case in found if case.shows is not None]
    if not decided:
        why = "no relapsed patient in this cohort" if not cases else "in no patient decided"
        return Outcome(NOT_ASSESSABLE, why, found)
    n = f"{sum(decided)} of {len(decided)} patients in whom it was decided show it"
    if len(decided) < min_decided:
        return Outcome(
            NOT_DECIDED, f"{n}; at least {min_decided} decided patients are asked", found
        )
    return Outcome(REPRODUCED if any(decided) else NOT_REPRODUCED, n, found)


def _remission(patient: PatientEvidence, low: float, high: float) -> Shown | None:
    line = patient.car_line
    if line is None or not line["progression_day"]:
        return None
    if not line["duration_of_response_days"]:
        return Shown(False, cited("{p}: no response", p=line.word("patient_id")))
    days = line.value("duration_of_response_days")
    return Shown(
        low <= days <= high,
        cited(
            "{p}: response ({best}) for {days} days",
            p=line.word("patient_id"),
            best=line.word("best_response"),
            days=line.number("duration_of_response_days"),
        ),
    )


def _car_t(patient: PatientEvidence, column: str, word: str) -> Shown | None:
    rows = [r for r in patient.at_relapse("car_t") if r["population"] == "car_detected"]
    decided = [row for row in rows if row[column] not in ("", INDETERMINATE)]
    if not rows:
        return None
    row = (decided or rows)[0]
    words = cited("{p}: {v}", p=row.word("patient_id"), v=row.verdict(column))
    return Shown(row[column] == word if decided else None, words)


def _target(patient: PatientEvidence, antigen: str = "TNFRSF17") -> Shown | None:
    clone = patient.relapse_clone
    rows = [
        row
        for row in patient.tables["antigens"]
        if clone is not None
        and row["antigen"] == antigen
        and row["sample_id"] == clone["sample_id"]
        and row["clone_id"] == clone["clone_id"]
    ]
    if not rows:
        return None
    row = rows[0]
    words = cited(
        "{p}: {v}",
        p=row.word("patient_id"),
        v=row.verdict(),
    )
    if row["ratio"]:
        words += cited(
            ", ratio {r} ({i})",
            r=row.number("ratio"),
            i=row.interval("ratio_ci_low", "ratio_ci_high"),
        )
    return Shown(None if row["verdict"] == INDETERMINATE else row["verdict"] == LOST, words)


def _first_salvage(patient: PatientEvidence) -> Shown | None:
    """Return whether the line after the CAR-T line brought a response."""
    line = patient.car_line
    later = [row for row in patient.tables["course"] if line is not None and _after(row, line)]
    return _responded(later[0], RESPONDED) if later else None


def _after(row: Row, line: Row) -> bool:
    return row.value("line") > line.value("line")


def _second_car_t(patient: PatientEvidence) -> Shown | None:
    """Return whether the second CAR-T line brought a VGPR or better."""
    lines = [row for row in patient.tables["course"] if row["therapy_class"] == "car_t"]
    return _responded(lines[1], AT_LEAST_VGPR) if len(lines) > 1 else None


def _responded(row: Row, wanted: Sequence[str]) -> Shown:
    best = row["best_response"]
    words = cited("{p}: {best}", p=row.word("patient_id"), best=row.word("best_response"))
    return Shown(best in wanted if best not in ("", "NE") else None, words)


def _both_alleles(patient: PatientEvidence) -> Shown | None:
    """Return whether genetics found both alleles of BCMA's gene hit; None where it was not read."""
    state = patient.target_genetics.state
    if patient.target != BCMA or state == UNKNOWN:
        return None
    lost = state == GENETIC_LOSS
    return Shown(lost, Cited(f"{patient.patient_id}: {'both alleles hit' if lost else 'not both'}"))


def _relation(patient: PatientEvidence) -> Shown | None:
    clone = patient.relapse_clone
    if clone is None:
        return None
    words = cited("{p}: {v}", p=clone.word("patient_id"), v=relation_words(clone))
    known = clone["relation"] not in ("", "not_assessable")
    return Shown(clone["relation"] != "same_ig_same_subclone" if known else None, words)


def _anxa1(patient: PatientEvidence) -> Shown | None:
    rows = [r for r in patient.at_relapse("anxa1") if r["compartment"] == "relapse_clone"]
    if not rows:
        return None
    row = rows[0]
    words = cited(
        "{p}: {v}",
        p=row.word("patient_id"),
        v=row.verdict(),
    )
    if row["did_log2_ratio"]:
        words += cited(
            ", {f} (log2 change {r}, interval {i})",
            f=row.fold("did_log2_ratio"),
            r=row.number("did_log2_ratio"),
            i=row.interval("did_ci_low", "did_ci_high"),
        )
    return Shown(None if row["verdict"] == INDETERMINATE else row["verdict"] == HIGH, words)


def _untreated_and_outcome(tables: Mapping[str, Sequence[Row]]) -> Outcome:
    """Return claim 7: ANXA1-high cells before any CAR-T, and ANXA1 as a hazard in bulk."""
    before = [row for row in tables["anxa1_untreated"] if row["fraction_high"]]
    cells = [
        Shown(
            row.value("fraction_ci_low") > row.value("chance_fraction"),
            cited(
                "{s}: {f} % ({i})",
                s=row.word("sample_id"),
                f=row.percent("fraction_high"),
                i=row.interval("fraction_ci_low", "fraction_ci_high", percent=True),
            ),
        )
        for row in before
    ]
    there = sum(bool(case.shows) for case in cells)
    part = f"cells of high ANXA1 beyond chance in {there} of {len(cells)} libraries before CAR-T"
    models = {row["model"]: row for row in tables["bulk_summary"] if row["gene"] == "ANXA1"}
    adjusted = [models[name] for name in ADJUSTED if name in models]
    if not adjusted:
        why = f"{part}; outcome: no bulk cohort with survival is configured"
        return Outcome(NOT_ASSESSABLE, why, tuple(cells))
    row = adjusted[0]
    hazard = cited(
        "log hazard ratio {h} ({i}), {m}",
        h=row.number("log_hazard_ratio"),
        i=row.interval("low", "high"),
        m=row["model"].replace("_", " "),
    )
    adverse = row.value("low") > 0
    verdict = REPRODUCED if adverse and there else NOT_REPRODUCED
    words = joined([*(case.words for case in cells), hazard])
    why = f"{part}; hazard adjusted for myeloid genes {'is' if adverse else 'is not'} raised"
    return Outcome(verdict, why, tuple(cells), words)


def _wet_laboratory(patients: Sequence[PatientEvidence]) -> Outcome:
    """Return claim 8, which no table can test; the association with the cell cycle is shown."""
    cases = []
    for patient in patients:
        rows = [r for r in patient.at_relapse("anxa1") if r["compartment"] == "relapse_clone"]
        if rows and not math.isnan(rows[0].value("cycling_ratio")):
            row = rows[0]
            cases.append(
                cited(
                    "{p}: ANXA1 of cycling over other cells of the relapse clone {r} ({i})",
                    p=row.word("patient_id"),
                    r=row.number("cycling_ratio"),
                    i=row.interval("cycling_ratio_ci_low", "cycling_ratio_ci_high"),
                )
            )
    why = "an effect of ANXA1 needs experiments; an association is no effect"
    return Outcome(NOT_COMPUTABLE, why, (), joined(cases))
