"""What the CAR-T cells say: were they there, are they still, and are they exhausted?"""

import math
from dataclasses import replace

from relapsescope.mechanisms.beside import BCMA
from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.mechanisms.finding import NOTHING, Finding, clipped
from relapsescope.mechanisms.patient_evidence import WITH_CAR_T, PatientEvidence
from relapsescope.vocabulary import (
    APLASIA,
    EXHAUSTED,
    INDETERMINATE,
    NO_APLASIA,
    NOT_PERSISTENT,
    PERSISTENT,
    PROLIFERATING,
    RESPONDED,
)

# Strength where only the response shows that CAR-T cells were there.
BY_RESPONSE_ONLY = 0.5
# Share of the T cells from which CAR-T cells count as there (the contract's 1 %).
SEEN_FROM = 0.01
APLASIA_STATES = {APLASIA: "aplasia", NO_APLASIA: "aplasia_ended"}


def car_t_non_persistence(patient: PatientEvidence) -> Finding:
    """Return whether CAR-T cells that were there are gone at relapse."""
    emptied, indirect = plasma_cell_aplasia(patient)
    row, why = _car_t_at_relapse(patient, "persistence_verdict")
    if row is None:
        if emptied:
            return Finding(emptied, indirect, not_assessed=why)
        return Finding("no_data", NOTHING, not_assessed=why, beside=indirect)
    found = _by_transgene(patient, row)
    says_more = found.state == "undecided" or emptied != APLASIA_STATES[NO_APLASIA]
    return replace(found, beside=indirect) if says_more else found


def plasma_cell_aplasia(patient: PatientEvidence) -> tuple[str, Cited]:
    """Return what the normal plasma cells at relapse say of CAR-T cells: a state and the words.

    The state is `aplasia` or `aplasia_ended`, "" where the table does not decide or something else
    may have emptied the marrow; only cells against BCMA empty it.
    """
    rows = [row for row in patient.at_relapse("aplasia") if row["verdict"] in APLASIA_STATES]
    if patient.target != BCMA or not rows:
        return "", NOTHING
    row = rows[0]
    lasting = row["verdict"] == APLASIA
    evidence = cited(
        "{lead} in {sample}: the ratio of normal plasma cells to those in {before} has the "
        "interval {interval}",
        lead="plasma-cell aplasia" if lasting else "no plasma-cell aplasia",
        sample=row.word("sample_id"),
        before=row.word("compared_with"),
        interval=row.interval("ratio_ci_low", "ratio_ci_high"),
    )
    if row.value("n_b_before") > 0:
        evidence += cited(
            "; B cells {now} of {beside} cells beside the tumour, {before} of {earlier} before",
            now=row.number("n_b"),
            beside=row.number("n_beside"),
            before=row.number("n_b_before"),
            earlier=row.number("n_beside_before"),
        )
    if not lasting:
        return APLASIA_STATES[row["verdict"]], evidence + "; indirect, no view of the CAR-T cells"
    if row["confounders"]:
        why = cited("; says nothing of CAR-T cells: {why}", why=row.word("confounders"))
        return "", evidence + why
    return (
        APLASIA_STATES[row["verdict"]],
        evidence + "; CAR-T cells at work do this, and chemotherapy does: indirect",
    )


def _by_transgene(patient: PatientEvidence, row: Row) -> Finding:
    """Return what the CAR-T cells' row at relapse says of their persistence."""
    evidence = _share_seen(row)
    verdict = row["persistence_verdict"]
    if verdict == INDETERMINATE:
        leaning = row.value("persistence_leaning") * _ever_there(patient)
        words = row.word("persistence_reason")
        return Finding("undecided", evidence, not_assessed=words, leaning=leaning)
    if verdict == PERSISTENT:
        return Finding("present", evidence, 0.0)
    earlier = [r for r in patient.car_t(WITH_CAR_T) if _shows_car_t(r)]
    if earlier:
        peak = _highest(earlier)
        seen = cited(
            "; earlier {share} % in {sample} ({time})",
            share=peak.percent("fraction_of_t"),
            sample=peak.word("sample_id"),
            time=peak["timepoint"].replace("_", " "),
        )
        return Finding("gone", evidence + seen, _share_gone(row, peak))
    line = patient.car_line
    if line is not None and line["best_response"] in RESPONDED:
        words = cited("; response to the infusion: {best}", best=line.word("best_response"))
        late = Cited("no earlier library shows the CAR-T cells")
        return Finding("gone_after_response", evidence + words, BY_RESPONSE_ONLY, not_assessed=late)
    why = Cited("neither an earlier library nor a response shows that CAR-T cells were ever there")
    return Finding("never_shown", evidence, not_assessed=why, leaning=_ever_there(patient))


def _share_seen(row: Row) -> Cited:
    """Return how many T cells are CAR-T cells, and what share the library would have shown."""
    limit = NOTHING
    if row["detection_limit"]:
        limit = cited("; the library would have shown {l} %", l=row.percent("detection_limit"))
    if row.value("n_cells") == 0:
        words = cited(
            "none of {t} T cells in {sample} shows the transgene: at most {high} % are CAR-T cells",
            t=row.number("n_t_cells"),
            sample=row.word("sample_id"),
            high=row.percent("fraction_ci_high"),
        )
        return words + limit
    words = cited(
        "{n} of {t} T cells in {sample} show the transgene: {share} % are CAR-T cells (interval "
        "{interval} %)",
        n=row.number("n_cells"),
        t=row.number("n_t_cells"),
        sample=row.word("sample_id"),
        share=row.percent("fraction_of_t"),
        interval=row.interval("fraction_ci_low", "fraction_ci_high", percent=True),
    )
    return words + limit


def _ever_there(patient: PatientEvidence) -> float:
    """Return the probability that CAR-T cells were there after the infusion."""
    line = patient.car_line
    responded = line is not None and line["best_response"] in RESPONDED
    seen = any(_shows_car_t(row) for row in patient.car_t(WITH_CAR_T))
    return 1.0 if seen or responded else patient.beliefs.ever_there


def _shows_car_t(row: Row) -> bool:
    return row["persistence_verdict"] == PERSISTENT or row.value("fraction_ci_low") >= SEEN_FROM


def _highest(rows: list[Row]) -> Row:
    """Return the row of the largest fraction, the earliest of equals."""
    return max(rows, key=lambda row: -1.0 if math.isnan(v := row.value("fraction_of_t")) else v)


def _share_gone(now: Row, before: Row) -> float:
    return clipped(
        1 - now.value("fraction_ci_high") / (before.value("fraction_ci_low") or math.nan)
    )


def t_cell_exhaustion(patient: PatientEvidence) -> Finding:
    """Return whether CAR-T cells are there at relapse and exhausted."""
    row, why = _car_t_at_relapse(patient, "exhaustion_verdict")
    if row is None:
        return Finding("no_data", NOTHING, not_assessed=why)
    persistence, _ = _car_t_at_relapse(patient, "persistence_verdict")
    if persistence is not None and persistence["persistence_verdict"] == NOT_PERSISTENT:
        evidence = _share_seen(persistence) + "; too few to count as there"
        return Finding("gone", evidence, 0.0)
    if row.value("n_cells") == 0:
        why = Cited("no CAR-T cell was seen at relapse whose state could be judged")
        return Finding("undecided", _share_seen(row), not_assessed=why)
    signatures = _signatures(row)
    effects = [
        cited(
            "{name} {effect} ({interval})",
            name=SET_NAMES.get(name, name),
            effect=row.number(f"{name}_effect"),
            interval=row.interval(f"{name}_effect_ci_low", f"{name}_effect_ci_high"),
        )
        for name in signatures
    ]
    evidence = cited(
        "{n} CAR-T cells in {sample}: {verdict}",
        n=row.number("n_cells"),
        sample=row.word("sample_id"),
        verdict=row.verdict("exhaustion_verdict"),
    )
    if effects:
        evidence += cited(
            "; change of their exhaustion signatures against {base}, in standard deviations of "
            "single cells: {effects}",
            base=_compared_with(row),
            effects=joined(effects, ", "),
        )
    raised = [row.value(f"{name}_effect_ci_low") > 0 for name in signatures]
    strength = sum(raised) / len(raised) if raised else math.nan
    verdict = row["exhaustion_verdict"]
    if verdict == INDETERMINATE:
        leaning = row.value("exhaustion_leaning")
        return Finding("undecided", evidence, not_assessed=row.word("reason"), leaning=leaning)
    state = "exhausted" if verdict == EXHAUSTED else "not_exhausted"
    return Finding(state, evidence, strength, against=_against_exhaustion(row, state, signatures))


def _compared_with(row: Row) -> Cited:
    """Return whose scores the CAR-T cells' are compared with."""
    reference = row["compared_with"]
    if row["contrast"] == "same_library":
        words = Cited("T cells of the same library that do not show the transgene")
        if reference == row["sample_id"]:
            return words
        return cited("{told} and T cells of {before}", told=words, before=row.word("compared_with"))
    return cited("the CAR-T cells of {sample}", sample=row.word("compared_with"))


SET_NAMES = {
    "good2021": "Good 2021 (dysfunction of CAR-T cells)",
    "chu2023": "Chu 2023 (exhaustion of CD8 T cells)",
    "wherry2007": "Wherry 2007 (chronic infection)",
    "cartex": "CARTEx (exhausted CAR-T cells)",
}
"""Exhaustion signatures as pages name them, with what they are of."""


def _against_exhaustion(row: Row, state: str, signatures: list[str]) -> Cited:
    told: list[Cited | str] = []
    shown = state == "exhausted"
    differing = [n for n in signatures if (row.value(f"{n}_effect_ci_low") > 0) != shown]
    if differing:
        words = "not raised beyond its interval: " if shown else "raised beyond its interval: "
        told.append(words + ", ".join(SET_NAMES.get(name, name) for name in differing))
    if shown and row["proliferation_verdict"] == PROLIFERATING:
        told.append(cited("{c} % of the CAR-T cells divide", c=row.percent("cycling_fraction")))
    return joined(told)


def _signatures(row: Row) -> list[str]:
    """Return the signatures with an effect, by name."""
    ends = "_effect"
    return [c.removesuffix(ends) for c in row.values if c.endswith(ends) and row[c]]


def _car_t_at_relapse(patient: PatientEvidence, verdict: str) -> tuple[Row | None, Cited]:
    """Return the CAR-T cells' row at relapse, a decided one first, or why there is none."""
    rows = [r for r in patient.at_relapse("car_t") if r["population"] == "car_detected"]
    if not rows:
        return None, patient.why_no_relapse() or Cited("the relapse library has no CAR feature")
    decided = [row for row in rows if row[verdict] not in ("", INDETERMINATE)]
    row = (decided or rows)[0]
    if not row["n_cells"]:
        return None, row.word("persistence_reason") or row.word("reason")
    return row, NOTHING
