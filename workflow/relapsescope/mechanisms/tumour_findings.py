"""What the cells that came back say: did they lose the CAR's target, are they a new clone?"""

from relapsescope.antigens.verdicts import PARTIAL
from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.mechanisms.findings import NOTHING, Finding, clipped
from relapsescope.mechanisms.patient_evidence import PatientEvidence
from relapsescope.statistics.retention import MOST_PARTIAL

# Strength at most where the target is reduced and loss is not shown (the contract's "under 0.6").
MOST_WITHOUT_LOSS = 0.59


def antigen_escape(patient: PatientEvidence) -> Finding:
    """Return whether the relapse clone lost the CAR's own target."""
    clone = patient.relapse_clone
    if clone is None:
        why = patient.why_no_relapse() or Cited("no malignant cells were found at relapse")
        return Finding("no_data", NOTHING, not_assessed=why)
    judged = [r for r in patient.tables["antigens"] if r["antigen"] == patient.target]
    own = [r for r in judged if r["sample_id"] == clone["sample_id"]]
    found = [r for r in own if r["clone_id"] == clone["clone_id"]]
    if not found:
        why = f"{patient.target} is not among the antigens judged in the relapse clone"
        return Finding("no_data", NOTHING, not_assessed=Cited(why))
    row = found[0]
    evidence = cited(
        "{antigen} in relapse clone {clone}: {umi} {molecules} in {n} cells where {expected} would "
        "be expected from {reference}; ratio {ratio} (interval {interval}), {verdict}{share}",
        antigen=row.word("antigen"),
        clone=row.word("clone_id"),
        umi=row.number("antigen_umi"),
        molecules="molecule" if row.value("antigen_umi") == 1 else "molecules",
        n=row.number("n_cells"),
        expected=row.number("expected_umi"),
        reference=REFERENCES.get(row["reference"], "no reference"),
        ratio=row.number("ratio"),
        interval=row.interval("ratio_ci_low", "ratio_ci_high"),
        verdict=row.verdict(),
        share=_retained_share(row),
    )
    state = _target_state(row, patient.lost_below)
    strength = clipped(1 - row.value("ratio_ci_high"))
    if state in ("loss_likely", "reduced"):
        strength = min(strength, MOST_WITHOUT_LOSS)
    return Finding(
        state,
        evidence,
        strength,
        against=joined(_against_target(row, state, [r for r in own if r is not row])),
        not_assessed=row.word("reason") if state.startswith("undecided") else NOTHING,
    )


def _retained_share(row: Row) -> Cited | str:
    """Return how many cells still show the target, where that tells more than the ratio."""
    if not row["retaining_share"]:
        return ""
    if row["verdict"] == "LOST":
        most = row.percent("retaining_share_ci_high")
        return cited("; at most {most} % of its cells still show it", most=most)
    partial = row.value("partial_probability") >= PARTIAL
    if not partial or row.value("retaining_share_ci_high") > MOST_PARTIAL:
        return ""
    return cited(
        "; kept by {share} % of its cells (interval {interval} %), lost in the others",
        share=row.percent("retaining_share"),
        interval=row.interval("retaining_share_ci_low", "retaining_share_ci_high", percent=True),
    )


REFERENCES = {
    "pre_treatment_clone": "the patient's cells before treatment",
    "normal_plasma_cells": "normal plasma cells",
    "untreated_panel": "untreated patients",
}


def _target_state(row: Row, lost_below: float) -> str:
    verdict = row["verdict"]
    if verdict == "REDUCED":
        return "loss_likely" if row.value("ratio") < lost_below else "reduced"
    if verdict == "INDETERMINATE":
        excluded = row.value("ratio_ci_low") > lost_below
        return "undecided_not_lost" if excluded else "undecided"
    return {"LOST": "lost", "RETAINED": "retained"}[verdict]


def _against_target(row: Row, state: str, others: list[Row]) -> list[Cited | str]:
    told: list[Cited | str] = []
    if state == "loss_likely":
        told.append("loss is the best estimate but not shown: the interval reaches beyond it")
    if state == "retained":
        told.append("retained RNA does not exclude loss of the epitope or of the surface protein")
    for column, words in (
        ("verdict_uncorrected", "without ambient correction"),
        ("verdict_wide", "with every compatible cell counted"),
        ("verdict_depth_matched", "with depth matched"),
    ):
        if row[column] and row[column] != row["verdict"]:
            told.append(cited("{words} {verdict}", words=words, verdict=row.verdict(column)))
    if row["protein_agrees"].lower() == "false":
        told.append(
            cited("surface protein on {p} % of the cells", p=row.percent("protein_fraction"))
        )
    for other in others:
        if other["clone_id"] != "all_malignant" and other["verdict"] not in (
            row["verdict"],
            "INDETERMINATE",
        ):
            told.append(
                cited(
                    "clone {clone} ({n} cells) beside it: {verdict}",
                    clone=other.word("clone_id"),
                    n=other.number("n_cells"),
                    verdict=other.verdict(),
                )
            )
    if row["reference"] not in ("", "pre_treatment_clone"):
        told.append("compared with others, not with the patient's own past")
    return told


def clonal_evolution(patient: PatientEvidence) -> Finding:
    """Return whether the relapse clone is a new one."""
    clone = patient.relapse_clone
    if clone is None:
        why = patient.why_no_relapse() or Cited("no malignant cells were found at relapse")
        return Finding("no_data", NOTHING, not_assessed=why)
    evidence = cited(
        "clone {clone} makes up {share} % (interval {interval} %) of {n} malignant cells at "
        "relapse and made up {before} % before CAR-T: {relation}",
        clone=clone.word("clone_id"),
        share=clone.percent("fraction"),
        n=clone.number("n_malignant"),
        interval=clone.interval("fraction_ci_low", "fraction_ci_high", percent=True),
        before=clone.percent("share_before"),
        relation=RELATIONS.get(clone["relation"], "not assessable"),
    )
    relation, seen = clone["relation"], clone.is_true("cnv_evaluable")
    state = {"same_ig_new_subclone": "new_subclone", "different_ig": "other_clone"}.get(relation)
    if relation == "same_ig_same_subclone":
        state = "same_subclone" if seen else "subclones_unseen"
    if state is None:
        return Finding("undecided", evidence, not_assessed=clone.word("reason"))
    if state == "subclones_unseen":
        why = Cited("copy number is not evaluable, so that subclones cannot be told apart")
        return Finding(state, evidence, not_assessed=why)
    rise = clone.value("fraction_ci_low") - clone.value("share_before")
    focal = NOTHING if seen else Cited("copy number is not evaluable")
    against = NOTHING
    if state == "same_subclone":
        against = Cited("only whole chromosome arms can be told apart, not point mutations")
    return Finding(state, evidence, clipped(rise), against=against, not_assessed=focal)


RELATIONS = {
    "same_ig_same_subclone": "the same immunoglobulin and the same subclone",
    "same_ig_new_subclone": "the same immunoglobulin, a new subclone",
    "different_ig": "another immunoglobulin clone",
}
