"""What the cells that came back say: did they lose the CAR's target, are they a new clone?"""

import math
from dataclasses import replace

from relapsescope.antigens.identity_loss import BEYOND_PROGRAMME, SELECTIVE, WITH_PROGRAMME
from relapsescope.antigens.verdicts import PARTIAL
from relapsescope.course.genetics import (
    EPITOPE_MUTATED,
    GENETIC_LOSS,
    INTACT,
    ONE_ALLELE,
    TargetGenetics,
    words_of,
)
from relapsescope.mechanisms.beside import CONTRADICTS, soluble_bcma
from relapsescope.mechanisms.cited import Cited, Row, cited, joined
from relapsescope.mechanisms.finding import NOTHING, Finding, clipped
from relapsescope.mechanisms.patient_evidence import PatientEvidence
from relapsescope.statistics.leanings import ratio_leanings
from relapsescope.statistics.retention import MOST_PARTIAL
from relapsescope.vocabulary import (
    INDETERMINATE,
    LOST,
    REDUCED,
    RETAINED,
    SOURCE_WORDS,
    antigen_name,
)

# Strength at most where the target is reduced and loss is not shown (the contract's "under 0.6").
MOST_WITHOUT_LOSS = 0.59
# Strength by convention where genetics names a change without its share of the cells.
WITHOUT_SHARE = 0.5


def antigen_escape(patient: PatientEvidence) -> Finding:
    """Return whether the relapse clone lost the CAR's own target."""
    by_rna = _escape_by_rna(patient)
    genetics = patient.target_genetics
    if genetics.state not in (GENETIC_LOSS, EPITOPE_MUTATED):
        return by_rna
    words = Cited("genetics: " + ", ".join(words_of(row) for row in genetics.rows))
    return replace(
        by_rna,
        state=by_rna.state if by_rna.state == "lost" else genetics.state,
        evidence=joined([by_rna.evidence, words]),
        strength=_genetic_strength(by_rna, genetics),
        against=_against_genetics(by_rna, genetics),
        not_assessed=NOTHING,
    )


def _genetic_strength(by_rna: Finding, genetics: TargetGenetics) -> float:
    """Return the share of cells with the change at most two alleles allow, or one half.

    A change of one allele of two in every cell has a variant fraction of one half.
    """
    if by_rna.state == "lost":
        return by_rna.strength
    shares = [float(row["vaf_or_share"]) for row in genetics.rows if row["vaf_or_share"]]
    return clipped(2 * max(shares)) if shares else WITHOUT_SHARE


def _against_genetics(by_rna: Finding, genetics: TargetGenetics) -> Cited:
    words: list[Cited | str] = []
    if by_rna.state == "retained":
        words.append(
            "its RNA is retained, as it is where only the epitope is changed"
            if genetics.state == EPITOPE_MUTATED
            else "its RNA is retained although both alleles are hit: cells of different clones?"
        )
    if genetics.state == EPITOPE_MUTATED:
        words.append("whether the change lies in the part that the CAR binds is not judged here")
    return joined(words)


def _escape_by_rna(patient: PatientEvidence) -> Finding:
    """Return whether the relapse clone's molecules show a loss of the CAR's own target."""
    clone = patient.relapse_clone
    if clone is None:
        return Finding("no_data", NOTHING, not_assessed=patient.why_no_clone())
    judged = [r for r in patient.tables["antigens"] if r["antigen"] == patient.target]
    own = [r for r in judged if r["sample_id"] == clone["sample_id"]]
    found = [r for r in own if r["clone_id"] == clone["clone_id"]]
    if not found:
        name = antigen_name(patient.target)
        why = f"{name} is not among the antigens judged in the relapse clone"
        return Finding("no_data", NOTHING, not_assessed=Cited(why))
    row = found[0]
    evidence = _target_seen(row) + _retained_share(row) + _identity(row, clone)
    state = _target_state(row, patient.lost_below)
    strength = clipped(1 - row.value("ratio_ci_high"))
    lost, reduced = _target_leanings(row, patient)
    if state in ("loss_likely", "reduced"):
        strength = min(strength, MOST_WITHOUT_LOSS)
    return Finding(
        state,
        evidence,
        strength,
        against=joined(_against_target(row, state, [r for r in own if r is not row], patient)),
        not_assessed=row.word("reason") if state.startswith("undecided") else NOTHING,
        beside=soluble_bcma(patient, row["verdict"]).words,
        leaning=reduced,
        states_leaning={"lost": lost, "reduced": reduced - lost},
    )


def _target_seen(row: Row) -> Cited:
    """Return what of the target was seen, what would be expected, and the ratio if any."""
    cells = cited("in {n} cells", n=row.number("n_cells"))
    if row["n_clone_cells"] and row.value("n_clone_cells") > row.value("n_cells"):
        cells = cited(
            "in the {n} of its {all} cells that are surely its own",
            n=row.number("n_cells"),
            all=row.number("n_clone_cells"),
        )
    words = cited(
        "{antigen} in relapse clone {clone}: {umi} {molecules} {cells}",
        antigen=Cited(antigen_name(row["antigen"])),
        clone=row.word("clone_id"),
        umi=row.number("antigen_umi"),
        molecules="molecule" if row.value("antigen_umi") == 1 else "molecules",
        cells=cells,
    )
    if row["reference"] in REFERENCES and row["expected_umi"]:
        words += cited(
            " where {expected} would be expected from {reference}",
            expected=row.number("expected_umi"),
            reference=REFERENCES[row["reference"]] + SOURCE_WORDS.get(row["reference_source"], ""),
        )
    if row["ratio"]:
        words += cited(
            "; ratio {ratio} (interval {interval})",
            ratio=row.number("ratio"),
            interval=row.interval("ratio_ci_low", "ratio_ci_high"),
        )
    return words + cited(": {verdict}", verdict=row.verdict())


def _target_leanings(row: Row, patient: PatientEvidence) -> tuple[float, float]:
    """Return the probabilities that the target is lost, and that it is lost or reduced."""
    if not row["ratio"] or not row["ratio_ci_high"] or not row.value("ratio_ci_high") > 0:
        return math.nan, math.nan
    low = row.value("ratio_ci_low")
    return ratio_leanings(
        row.value("ratio"),
        0.0 if math.isnan(low) else low,
        row.value("ratio_ci_high"),
        lost_below=patient.lost_below,
        reduced_below=patient.reduced_below,
        usual_log_sd=patient.beliefs.ratio_log_sd,
        prior=patient.beliefs.prior,
    )


def _retained_share(row: Row) -> Cited | str:
    """Return how many cells still show the target, where that tells more than the ratio."""
    if not row["retaining_share"]:
        return ""
    if row["verdict"] == LOST:
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


def _identity(row: Row, clone: Row) -> Cited | str:
    """Return whether the target went with the cells' identity, and which cells had lost it."""
    words: Cited | str = ""
    if row.value("n_identity_lost") > 0:
        words = cited(
            "; {n} of its cells no longer show a plasma cell's markers and were told by the "
            "clone's own immunoglobulin, arms and genes",
            n=row.number("n_identity_lost"),
        )
    if row["identity_loss"] not in WENT:
        return words
    went = cited(
        "; {went} ({share} % of the programme is left, interval {interval} %)",
        went=WENT[row["identity_loss"]],
        share=clone.percent("identity_ratio"),
        interval=clone.interval("identity_ci_low", "identity_ci_high", percent=True),
    )
    return words + went if words else went


WENT = {
    WITH_PROGRAMME: "it went with the whole programme of a plasma cell",
    BEYOND_PROGRAMME: "it fell further than the programme of a plasma cell did",
    SELECTIVE: "it went alone, the programme of a plasma cell is kept",
}
REFERENCES = {
    "pre_treatment_clone": "the patient's cells before treatment",
    "normal_plasma_cells": "normal plasma cells",
    "untreated_panel": "untreated patients",
}


def _target_state(row: Row, lost_below: float) -> str:
    verdict = row["verdict"]
    if verdict == REDUCED:
        return "loss_likely" if row.value("ratio") < lost_below else "reduced"
    if verdict == INDETERMINATE:
        excluded = row.value("ratio_ci_low") > lost_below
        return "undecided_not_lost" if excluded else "undecided"
    return {LOST: "lost", RETAINED: "retained"}[verdict]


def _against_target(
    row: Row, state: str, others: list[Row], patient: PatientEvidence
) -> list[Cited | str]:
    told: list[Cited | str] = []
    if state == "loss_likely":
        told.append("loss is the best estimate but not shown: the interval reaches beyond it")
    if state == "retained":
        told.append(_excluded_by(patient.target_genetics))
    if state == "lost" and patient.target_genetics.state == INTACT:
        told.append("sequencing found no change of its gene")
    if state == "lost":
        also = [r for r in patient.tables["antigens"] if _lost_together(r, row)]
        names = " and ".join(antigen_name(r["antigen"]) for r in also)
        told.append(f"lost together with it in the same cells: {names}" if also else "")
    beside = soluble_bcma(patient, row["verdict"])
    if beside.says == CONTRADICTS:
        told.append(beside.words)
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
            INDETERMINATE,
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


def _lost_together(one: Row, target: Row) -> bool:
    same = all(one[name] == target[name] for name in ("clone_id", "sample_id"))
    return same and one["antigen"] != target["antigen"] and one["verdict"] == LOST


def _excluded_by(genetics: TargetGenetics) -> str:
    """Return at which level a loss of the target is excluded."""
    if genetics.state == INTACT:
        read = ", ".join(dict.fromkeys(row["assay"] for row in genetics.rows))
        return f"excluded by RNA and sequencing ({read}), not at the surface"
    words = "excluded at the level of RNA only: a changed epitope or lost surface protein is not"
    if genetics.state == ONE_ALLELE:
        words += f"; one allele is hit ({', '.join(words_of(row) for row in genetics.rows)})"
    return words


def clonal_evolution(patient: PatientEvidence) -> Finding:
    """Return whether the relapse clone is a new one."""
    clone = patient.relapse_clone
    if clone is None:
        return Finding("no_data", NOTHING, not_assessed=patient.why_no_clone())
    evidence = cited(
        "clone {clone} makes up {share} % (interval {interval} %) of {n} malignant cells at "
        "relapse{before}: {relation}",
        clone=clone.word("clone_id"),
        share=clone.percent("fraction"),
        n=clone.number("n_malignant"),
        interval=clone.interval("fraction_ci_low", "fraction_ci_high", percent=True),
        before=_before(clone),
        relation=relation_words(clone),
    )
    relation, seen = clone["relation"], clone.is_true("cnv_evaluable")
    state = {"same_ig_new_subclone": "new_subclone", "different_ig": "other_clone"}.get(relation)
    if relation == "same_ig_same_subclone":
        state = "same_subclone" if seen else "subclones_unseen"
    elif relation == "not_assessable" and clone.is_true("same_immunoglobulin"):
        state = "subclones_unseen"
    if state is None:
        return Finding("undecided", evidence, not_assessed=clone.word("reason"))
    if state == "subclones_unseen":
        why = Cited("copy number is not evaluable, so that subclones cannot be told apart")
        return Finding(state, evidence, not_assessed=clone.word("reason") or why)
    rise = clone.value("fraction_ci_low") - clone.value("share_before")
    focal = NOTHING if seen else Cited("copy number is not evaluable")
    against = NOTHING
    if state == "same_subclone":
        against = Cited("only whole chromosome arms can be told apart, not point mutations")
    return Finding(state, evidence, clipped(rise), against=against, not_assessed=focal)


def _before(clone: Row) -> Cited:
    """Return the clone's share before CAR-T; what a share of none rests on is in the reason."""
    if not clone["share_before"]:
        return NOTHING
    if clone.value("share_before") == 0:
        return Cited(" and was not seen before CAR-T")
    return cited(" and made up {b} % before CAR-T", b=clone.percent("share_before"))


RELATIONS = {
    "same_ig_same_subclone": "the same immunoglobulin and the same subclone as before CAR-T",
    "same_ig_new_subclone": "the same immunoglobulin, a new subclone",
    "different_ig": "another immunoglobulin clone",
}


# Chromosome arms of antigens that drugs are aimed at (Ensembl 110): 16p13.13 and 12p13.1.
ANTIGEN_ARMS = {"16p": "TNFRSF17", "12p": "GPRC5D"}


def lost_arms(clone: Row) -> Cited:
    """Return which antigens' arms the clone lost by its own copy number; empty where none."""
    lost = [event[1:] for event in clone["cnv_events"].split(";") if event.startswith("-")]
    words = [
        f"{arm}, which carries {antigen_name(ANTIGEN_ARMS[arm])}"
        for arm in lost
        if arm in ANTIGEN_ARMS
    ]
    return Cited(f"; they lost one copy or more of {' and of '.join(words)}" if words else "")


def relation_words(clone: Row) -> Cited:
    """Return how the relapse clone relates to the cells before CAR-T, and no more than was seen."""
    relation = clone["relation"]
    if relation == "same_ig_same_subclone" and not clone.is_true("cnv_evaluable"):
        return Cited("the same immunoglobulin as before CAR-T; subclones could not be told apart")
    if relation in RELATIONS:
        words = Cited(RELATIONS[relation])
        return (
            cited("{told} ({why})", told=words, why=clone.word("reason"))
            if (relation == "same_ig_new_subclone" and clone["reason"])
            else words
        )
    if clone.is_true("same_immunoglobulin"):
        return Cited("the same immunoglobulin as before CAR-T; subclones could not be told apart")
    return Cited("how they relate to the cells before CAR-T cannot be told")
