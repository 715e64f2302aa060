"""Exhaustion of one patient's CAR-T cells, sample by sample: rows for the tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relapsescope.car_t.calls import DETECTED, NOT_DETECTED
from relapsescope.car_t.contrasts import STRATA, Contrast, Sample, contrast_for
from relapsescope.car_t.exhaustion import Effect, Joint, Scores, effects, verdict_of
from relapsescope.car_t.settings import ExhaustionSettings
from relapsescope.libraries.signatures import GeneSet, ranked_genes, set_weights
from relapsescope.t_cells.scores import ScoredLibrary
from relapsescope.vocabulary import INDETERMINATE

EFFECT_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "population", "set", "role", "n_genes"),
    *("n_cells", "mean", "contrast", "compared_with", "controls", "effect", "effect_ci_low"),
    *("effect_ci_high", "plain_effect", "plain_ci_low", "plain_ci_high", "null_share"),
    *("null_low", "null_high", "library_sd", "exhaustion_verdict", "reason"),
    *("joint_effect", "joint_low", "joint_high", "joint_p", "joint_null_share"),
    "joint_plain_p",
)
POPULATIONS = {DETECTED: "car_detected", NOT_DETECTED: "car_not_detected"}
COMPARISON_GROUP = "T cells without the transgene are the comparison group: not judged"
BEFORE_INFUSION = "before the infusion: no CAR-T cells to judge"
NO_CAR_T = ("healthy", "untreated", "pre_infusion")


@dataclass(frozen=True)
class PatientScores:
    """A patient's scored libraries.

    Attributes
    ----------
    rows
        The sheet's row of each library.
    symbols
        (n_genes,) of the genes that all hold, the columns of the libraries' means.
    set_aside
        Genes that no random set may hold: those of any published set.
    """

    rows: Sequence[Mapping[str, Any]]
    scored: Sequence[ScoredLibrary]
    symbols: np.ndarray
    sets: Sequence[GeneSet]
    set_aside: Collection[str]


def effect_rows(
    patient: PatientScores, settings: ExhaustionSettings, *, seed: int
) -> list[dict[str, Any]]:
    """Return a row for each library with the transgene, population and gene set."""
    scores = _stacked(patient)
    samples = [_sample(row, one) for row, one in zip(patient.rows, patient.scored, strict=True)]
    found = []
    for number, (row, sample) in enumerate(zip(patient.rows, samples, strict=True)):
        if not any(status in POPULATIONS for status, _ in patient.scored[number].groups):
            continue
        for status in POPULATIONS:
            contrast = contrast_for(
                sample,
                samples,
                status,
                min_cells=settings.min_cells,
                min_reference=settings.min_reference_cells,
            )
            known, joint = [], None
            if contrast is not None:
                known, joint = effects(scores, contrast, settings, seed=seed)
            verdict, reason = _judged(sample, status, known, joint, contrast, settings=settings)
            base = {
                "patient_id": row["patient_id"],
                "sample_id": sample.sample_id,
                "timepoint": sample.timepoint,
                "population": POPULATIONS[status],
                "n_cells": sample.count(status),
                "exhaustion_verdict": verdict,
                "reason": reason,
                **_joint_columns(joint),
            }
            found += _rows_of(base, patient, number, status, contrast, found=known)
    return found


def _sample(row: Mapping[str, Any], scored: ScoredLibrary) -> Sample:
    return Sample(
        sample_id=row["sample_id"],
        timepoint=row["timepoint"],
        day=row["day"],
        tissue=row["tissue"],
        sorting=row["sorting"],
        cells={group: len(scored.scored_cells(group)) for group in scored.groups},
    )


def _stacked(patient: PatientScores) -> Scores:
    """Return the libraries' groups under each other."""
    groups, cells = [], {}
    for row, one in zip(patient.rows, patient.scored, strict=True):
        for status, stratum in one.groups:
            group = (row["sample_id"], status, stratum)
            groups.append(group)
            cells[group] = one.scored_cells((status, stratum))
    usable = ranked_genes(patient.symbols)
    return Scores(
        groups=tuple(groups),
        cells=cells,
        means=np.vstack([one.means for one in patient.scored]),
        halves=np.vstack([one.halves for one in patient.scored]),
        sizes=np.concatenate([one.sizes for one in patient.scored]),
        weights=set_weights(patient.symbols, patient.sets),
        set_names=tuple(one.name for one in patient.sets),
        drawable=usable & ~np.isin(patient.symbols.astype(str), list(patient.set_aside)),
    )


def _judged(
    sample: Sample,
    status: str,
    found: Sequence[Effect],
    joint: Joint | None,
    contrast: Contrast | None,
    *,
    settings: ExhaustionSettings,
) -> tuple[str, str]:
    if status == NOT_DETECTED:
        return INDETERMINATE, COMPARISON_GROUP
    if sample.timepoint in NO_CAR_T:
        return INDETERMINATE, BEFORE_INFUSION
    return verdict_of(found, joint, contrast, sample.count(status), settings)


def _joint_columns(joint: Joint | None) -> dict[str, float]:
    if joint is None:
        return {}
    return {
        "joint_effect": joint.estimate,
        "joint_low": joint.low,
        "joint_high": joint.high,
        "joint_p": joint.p,
        "joint_plain_p": joint.plain_p,
        "joint_null_share": joint.null_share,
    }


def _rows_of(
    base: Mapping[str, Any],
    patient: PatientScores,
    number: int,
    status: str,
    contrast: Contrast | None,
    *,
    found: Sequence[Effect],
) -> list[dict[str, Any]]:
    by_name = {one.name: one for one in found}
    own = [patient.scored[number].scored_cells((status, stratum)) for stratum in STRATA]
    own = np.vstack(own)
    rows = []
    for column, gene_set in enumerate(patient.sets):
        values = own[:, column]
        values = values[np.isfinite(values)]
        row = dict(base) | {
            "set": gene_set.name,
            "role": gene_set.role,
            "n_genes": len(gene_set.symbols),
            "mean": float(values.mean()) if values.size else None,
        }
        if contrast is not None:
            row |= {
                "contrast": contrast.name,
                "compared_with": ";".join(contrast.samples),
                "controls": bool(contrast.controls),
            }
        if gene_set.name in by_name:
            one = by_name[gene_set.name]
            row |= {
                "effect": one.estimate,
                "effect_ci_low": one.low,
                "effect_ci_high": one.high,
                "plain_effect": one.plain,
                "plain_ci_low": one.plain_low,
                "plain_ci_high": one.plain_high,
                "null_share": one.null_share,
                "null_low": one.null_low,
                "null_high": one.null_high,
                "library_sd": one.library_sd,
            }
        rows.append(row)
    return rows
