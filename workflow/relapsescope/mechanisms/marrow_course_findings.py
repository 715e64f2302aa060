"""What marrow and course say, and which function reads the evidence of each mechanism."""

import math
from collections.abc import Callable, Mapping, Sequence

from relapsescope.mechanisms.car_t_findings import car_t_non_persistence, t_cell_exhaustion
from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.mechanisms.finding import NOTHING, Finding, clipped
from relapsescope.mechanisms.patient_evidence import COMPLETE, PatientEvidence
from relapsescope.mechanisms.tumour_findings import antigen_escape, clonal_evolution
from relapsescope.microenvironment.suppression_measures import MEASURE_WORDS
from relapsescope.statistics.leanings import logistic_leaning, small_share_leaning
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.vocabulary import INDETERMINATE, NOT_RAISED, RAISED


def suppressive_microenvironment(patient: PatientEvidence) -> Finding:
    """Return whether the marrow at relapse turned suppressive."""
    rows = patient.at_relapse("suppression")
    joint = [row for row in rows if row["measure"] == "overall"]
    if not joint:
        why = patient.why_no_relapse() or Cited("no relapse marrow was compared with earlier ones")
        return Finding("no_data", NOTHING, not_assessed=why)
    decided = [row for row in joint if row["verdict"] != INDETERMINATE]
    overall = (decided or joint)[0]
    single = [
        row
        for row in rows
        if row["measure"] != "overall" and row["sample_id"] == overall["sample_id"]
    ]
    evidence = cited(
        "{sample}: {reason}", sample=overall.word("sample_id"), reason=overall.word("reason")
    )
    state = {RAISED: "raised", NOT_RAISED: "not_raised"}.get(overall["verdict"], "undecided")
    if state == "undecided":
        return Finding(
            state,
            evidence,
            not_assessed=overall.word("reason"),
            leaning=_suppression_leaning(overall, patient.beliefs),
        )
    contrary = NOT_RAISED if state == "raised" else RAISED
    return Finding(
        state,
        evidence,
        clipped(1 - 2 ** -_least_rise(single)) if state == "raised" else 0.0,
        against=_listed(single, contrary),
        not_assessed=_listed(single, INDETERMINATE),
    )


def _suppression_leaning(row: Row, beliefs: LeaningSettings) -> float:
    """Return the probability of a rise from the joint p-value; NaN where there is none."""
    p = row.value("p_adjusted")
    if math.isnan(p):
        return math.nan
    return logistic_leaning(
        -math.log10(max(p, 1e-6)),
        middle=beliefs.suppression_middle,
        width=beliefs.suppression_width,
        prior=beliefs.prior,
    )


def _least_rise(rows: Sequence[Row]) -> float:
    """Return the rise (log2) of the measure that rose most, at least and over every comparison."""
    lows: dict[str, list[float]] = {}
    for row in rows:
        if row["verdict"] == RAISED and row["log2_ratio_ci_low"]:
            lows.setdefault(row["measure"], []).append(row.value("log2_ratio_ci_low"))
    return max((min(found) for found in lows.values()), default=0.0)


def _listed(rows: Sequence[Row], verdict: str) -> Cited:
    """Return the measures all of whose comparisons have this verdict."""
    verdicts: dict[str, set[str]] = {}
    for row in rows:
        verdicts.setdefault(row["measure"], set()).add(row["verdict"])
    names = [
        MEASURE_WORDS.get(name, name) for name, found in verdicts.items() if found == {verdict}
    ]
    words = {RAISED: "raised", NOT_RAISED: "not raised", INDETERMINATE: "undecided"}
    return Cited(f"{words[verdict]}: {', '.join(names)}" if names else "")


# Least share of a marrow's cells that is believed to be malignant where disease was left or not.
LEAST_RESIDUAL = 1e-5
# Strength by best response: a rank by convention, with MRD positive in CR below VGPR.
RANKS = {"PD": 1.0, "SD": 0.9, "MR": 0.8, "PR": 0.7, "VGPR": 0.6, "mrd_positive": 0.5}


def residual_disease(patient: PatientEvidence) -> Finding:
    """Return whether disease was left at the best response to the CAR-T line."""
    line = patient.car_line
    if line is None:
        why = "no CAR-T line in the clinical tables of this patient"
        seen, leaning = _left_in_remission(patient)
        return Finding("no_data", seen, not_assessed=Cited(why), leaning=leaning)
    best, reported = line["best_response"], line["reported_response"]
    if best in ("", "NE"):
        if not reported or reported == "NE":
            seen, leaning = _left_in_remission(patient)
            return Finding("not_evaluable", seen, not_assessed=line.word("reason"), leaning=leaning)
        evidence = cited(
            "response reported as {best}, not evaluable from the labs",
            best=line.word("reported_response"),
        )
        state = "reported_cr" if reported in COMPLETE else "reported_below_cr"
        strength = 0.0 if reported in COMPLETE else RANKS.get(reported, math.nan)
        return Finding(state, evidence, strength, not_assessed=line.word("reason"))
    words = cited("best response {best}", best=line.word("best_response"))
    if line["best_response_day"]:
        words += cited(" on day {day}", day=line.number("best_response_day"))
    if best not in COMPLETE:
        return Finding("below_cr", words, RANKS.get(best, math.nan))
    tests = _mrd_tests(patient, line)
    if line["mrd_status"] == "negative":
        words += cited(", MRD negative on day {day}", day=line.number("mrd_day"))
        return Finding("cr_mrd_negative", words, 0.0)
    if tests and all(test["mrd"] == "positive" for test in tests):
        days = joined([test.number("day") for test in tests], ", ")
        words += cited(", MRD positive on day {days}", days=days)
        return Finding("mrd_positive", words, RANKS["mrd_positive"])
    why = Cited("MRD was not tested to the criteria's sensitivity while the response lasted")
    return Finding("cr", words, 0.0, not_assessed=why)


def _left_in_remission(patient: PatientEvidence) -> tuple[Cited, float]:
    """Return what a marrow in remission shows of the tumour, and how probably disease was left.

    Of several marrows the one with the largest share of malignant cells; NaN without any.
    """
    found: list[tuple[float, Cited]] = []
    for row in patient.tables["samples"]:
        if row["sample_id"] not in patient.remissions or not row["n_pass"]:
            continue
        clones = [r for r in patient.tables["clones"] if r["sample_id"] == row["sample_id"]]
        counted = [r for r in clones if r["n_malignant"]]
        n = counted[0].value("n_malignant") if counted else 0.0
        total = row.value("n_pass")
        if total < max(n, 1.0):
            continue
        gone = small_share_leaning(
            round(n),
            round(total),
            patient.beliefs.residual_share,
            least=LEAST_RESIDUAL,
            prior=1 - patient.beliefs.prior,
        )
        words = cited(
            "{n} of {total} cells of {sample} in remission are malignant",
            n=counted[0].number("n_malignant") if counted else "none",
            total=row.number("n_pass"),
            sample=row.word("sample_id"),
        )
        found.append((1 - gone, words))
    if not found:
        return NOTHING, math.nan
    leaning, words = max(found, key=lambda one: one[0])
    return words, leaning


def _mrd_tests(patient: PatientEvidence, line: Row) -> list[Row]:
    """Return the assessments with MRD from the best response until the disease came back."""
    until = line["relapse_from_cr_day"] or line["progression_day"]
    last = float(until) if until else math.inf
    return [
        row
        for row in patient.tables["assessments"]
        if row["line"] == line["line"]
        and row["mrd"]
        and line.value("best_response_day") <= row.value("day") < last
    ]


FACTS: Mapping[str, Callable[[PatientEvidence], Finding]] = {
    "antigen_escape": antigen_escape,
    "t_cell_exhaustion": t_cell_exhaustion,
    "car_t_non_persistence": car_t_non_persistence,
    "suppressive_microenvironment": suppressive_microenvironment,
    "residual_disease": residual_disease,
    "clonal_evolution": clonal_evolution,
}
"""By mechanism, in the contract's order."""
