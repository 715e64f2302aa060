"""Is an antigen lost, reduced or retained in a clone: verdicts from ratios with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.references import (
    PRE_TREATMENT,
    Reference,
    library_log_sd,
    reference_for,
)
from relapsescope.antigens.verdicts import (
    EPITOPE,
    INDETERMINATE,
    LOST,
    RETAINED,
    AntigenSettings,
    judged,
    needed_umi,
    verdict_of,
)
from relapsescope.statistics.library_effects import LibraryEffects, Pooled
from relapsescope.statistics.rates import (
    Interval,
    Tally,
    estimate,
    pool,
    rate,
    ratio,
    uncorrected,
    with_floor,
)

COLUMNS = (
    *("patient_id", "clone_id", "sample_id", "timepoint", "antigen", "n_cells", "total_umi"),
    *("antigen_umi", "rate_cpm", "rate_ci_low", "rate_ci_high", "ambient_cpm", "reference"),
    *("reference_cpm", "expected_umi", "ratio", "ratio_ci_low", "ratio_ci_high"),
    *("detected_fraction", "verdict", "reason", "needed_umi", "is_car_target"),
    *("reference_samples", "library_log_sd", "dispersion", "detected_twice_fraction"),
    *("detected_above_ambient_fraction", "ratio_uncorrected", "verdict_uncorrected"),
    *("ratio_wide", "verdict_wide", "ratio_depth_matched", "verdict_depth_matched"),
    *("verdict_strict_limits", "verdict_lenient_limits", "umi_ceiling_suspected"),
    *("protein_fraction", "protein_agrees", "n_clone_cells", "other_clones_umi"),
)


def antigen_rows(
    molecules: Molecules,
    pooled: Pooled,
    effects: LibraryEffects,
    clones: Clones,
    settings: AntigenSettings,
) -> list[dict[str, Any]]:
    """Return the rows of `antigens.tsv`: a patient × clone × sample × antigen each."""
    rows = []
    for sample in molecules.libraries:
        groups = [("clone", clone) for clone in molecules.clones(sample)]
        if molecules.has(sample, ALL_MALIGNANT, ALL_MALIGNANT):
            groups.append((ALL_MALIGNANT, ALL_MALIGNANT))
        for kind, clone in groups:
            for gene in dict.fromkeys([settings.car_target, *settings.genes]):
                one = molecules.tally(sample, kind, clone, gene)
                if one.n_cells == 0:
                    rows.append(_absent(molecules, (sample, kind, clone), gene, settings))
                    continue
                if kind == ALL_MALIGNANT:
                    one = stratified(molecules, sample, gene, one)
                reference = reference_for(
                    molecules, clones, sample, clone, gene, settings.reference
                )
                key = (sample, kind, clone)
                noise = (
                    0.0
                    if reference is None
                    else library_log_sd(pooled, effects, gene, key, reference)
                )
                rows.append(_row(molecules, key, gene, one, reference, noise, settings))
    return rows


def stratified(molecules: Molecules, sample: str, gene: str, one: Tally) -> Tally:
    """Return the tally of all malignant cells with its clones as strata.

    Clones differ in what they show; cells of one clone differ less. How many cells of each were
    captured is known, so only the variation within clones makes the sum's error. That of a clone
    is read where most of its cells are, for it is the clone's own.
    """
    patient = molecules.libraries[sample].patient_id
    parts = [molecules.tally(sample, "unsure", ALL_MALIGNANT, gene)]
    for clone in molecules.clones(sample):
        here = molecules.tally(sample, "clone", clone, gene)
        everywhere = [
            molecules.tally(other, "clone", clone, gene) for other in molecules.samples_of(patient)
        ]
        largest = max(everywhere, key=lambda tally: tally.n_cells)
        parts.append(replace(here, dispersion=largest.dispersion))
    both = pool(parts)
    if both.n_cells != one.n_cells or sum(part.n_cells > 0 for part in parts) < 2:
        return one
    # A stratum of a cell or two has no variation of its own to tell, only an assumed one.
    if both.spread * both.dispersion >= one.spread * one.dispersion:
        return one
    return replace(one, spread=both.spread, dispersion=both.dispersion)


def _absent(
    molecules: Molecules, key: tuple[str, str, str], gene: str, settings: AntigenSettings
) -> dict[str, Any]:
    """Return the row of an antigen that the library's matrix does not hold at all."""
    sample, kind, clone = key
    library = molecules.libraries[sample]
    return {
        "patient_id": library.patient_id,
        "clone_id": clone,
        "sample_id": sample,
        "timepoint": library.timepoint,
        "antigen": gene,
        "n_cells": molecules.cells_in(sample, kind, clone),
        "verdict": INDETERMINATE,
        "reason": f"the matrix has no gene {gene}: its annotation lacks it, which is no loss",
        "is_car_target": gene == settings.car_target,
        "umi_ceiling_suspected": library.umi_ceiling,
    }


def _row(
    molecules: Molecules,
    key: tuple[str, str, str],
    gene: str,
    one: Tally,
    reference: Reference | None,
    noise: float,
    settings: AntigenSettings,
) -> dict[str, Any]:
    sample, kind, clone = key
    library = molecules.libraries[sample]
    mixed, mixed_sd = (
        np.nan_to_num(molecules.number(name, sample, kind, clone, gene))
        for name in ("mixed", "mixed_sd")
    )
    ambient = one.ambient
    one = with_floor(one, mixed, mixed_sd)
    alone = rate(one)

    def share(column: str) -> float:
        return molecules.number(column, sample, kind, clone, gene) / one.n_cells

    row: dict[str, Any] = {
        "patient_id": library.patient_id,
        "clone_id": clone,
        "sample_id": sample,
        "timepoint": library.timepoint,
        "antigen": gene,
        "n_cells": one.n_cells,
        "total_umi": round(one.exposure),
        "antigen_umi": int(one.umi),
        "rate_cpm": alone.estimate,
        "rate_ci_low": alone.low,
        "rate_ci_high": alone.high,
        "ambient_cpm": 1e6 * ambient / one.exposure if one.exposure > 0 else np.nan,
        "n_clone_cells": molecules.cells_in(sample, f"{kind}:assigned", clone) or one.n_cells,
        "other_clones_umi": mixed,
        "detected_fraction": share("detected"),
        "detected_twice_fraction": share("detected_twice"),
        "detected_above_ambient_fraction": share("detected_above_ambient"),
        "is_car_target": gene == settings.car_target,
        "dispersion": one.dispersion,
        "umi_ceiling_suspected": library.umi_ceiling,
    }
    # Rows of proteins hold cells and no molecules: they are no tally of a rate.
    protein, seen = (
        molecules.number(column, sample, f"{kind}:protein", clone, gene)
        for column in ("n_cells", "detected")
    )
    if protein > 0:
        row["protein_fraction"] = seen / protein
    if reference is None:
        reason = "no reference: no cells before treatment, normal plasma cells or other patients"
        return row | {"verdict": INDETERMINATE, "reason": reason}
    base = reference.tally(molecules, gene)
    found = ratio(one, base, log_sd=noise)
    expected = estimate(base) * one.exposure / 1e6
    verdict, why = judged(
        one, base, found, expected, noise, library.umi_ceiling, settings, mixed=mixed
    )
    row |= {
        "reference": reference.name,
        "reference_samples": ";".join(reference.samples()),
        "reference_cpm": estimate(base),
        "expected_umi": expected,
        "ratio": found.estimate,
        "ratio_ci_low": found.low,
        "ratio_ci_high": found.high,
        "library_log_sd": noise,
        "needed_umi": needed_umi(found, expected, base, noise, settings.limits),
        "verdict": verdict,
        "verdict_strict_limits": verdict_of(found, settings.strict_limits),
        "verdict_lenient_limits": verdict_of(found, settings.lenient_limits),
    }
    row |= _other_ways(molecules, key, gene, one, reference, base, noise, settings)
    row["protein_agrees"] = _agreement(row, settings)
    censored = [s for s in reference.samples() if molecules.libraries[s].umi_ceiling]
    row["reason"] = _with_caveats(why, row, settings, censored)
    return row


def _other_ways(
    molecules: Molecules,
    key: tuple[str, str, str],
    gene: str,
    one: Tally,
    reference: Reference,
    base: Tally,
    noise: float,
    settings: AntigenSettings,
) -> dict[str, Any]:
    """Return the sensitivity columns: what other choices would have given."""
    sample, kind, clone = key
    bare = ratio(uncorrected(one), uncorrected(base), log_sd=noise)
    wide = ratio(molecules.tally(sample, f"{kind}:wide", clone, gene), base, log_sd=noise)
    matched = depth_matched(molecules, key, gene, reference, noise)
    return {
        "ratio_uncorrected": bare.estimate,
        "verdict_uncorrected": verdict_of(bare, settings.limits),
        "ratio_wide": wide.estimate,
        "verdict_wide": verdict_of(wide, settings.limits),
        "ratio_depth_matched": matched.estimate,
        "verdict_depth_matched": verdict_of(matched, settings.limits),
    }


def depth_matched(
    molecules: Molecules,
    key: tuple[str, str, str],
    gene: str,
    reference: Reference,
    noise: float,
    min_cells: int = 5,
) -> Interval:
    """Return the ratio over depth strata that both hold, the reference weighted to the clone's.

    Direct standardisation: each stratum's reference rate counts as much as the clone has
    exposure in it.
    """
    tops, bases = [], []
    for stratum in range(6):
        top = molecules.tally(*key, gene, stratum)
        base = pool([molecules.tally(*other, gene, stratum) for other in reference.keys])
        if min(top.n_cells, base.n_cells) >= min_cells and base.exposure > 0:
            scale = top.exposure / base.exposure
            tops.append(top)
            bases.append(
                replace(
                    base,
                    umi=base.umi * scale,
                    exposure=base.exposure * scale,
                    ambient=base.ambient * scale,
                    ambient_sd=base.ambient_sd * scale,
                )
            )
    return ratio(pool(tops), pool(bases), log_sd=noise)


def _agreement(row: Mapping[str, Any], settings: AntigenSettings) -> bool | None:
    """Return whether protein and RNA say the same; None where there is no protein or verdict."""
    protein, verdict = row.get("protein_fraction"), row["verdict"]
    if protein is None or verdict == INDETERMINATE:
        return None
    if verdict == LOST:
        return protein < settings.protein_present
    return protein > settings.protein_absent if verdict == RETAINED else True


def _with_caveats(
    why: str, row: Mapping[str, Any], settings: AntigenSettings, censored: Sequence[str]
) -> str:
    told = [why]
    if censored and not row["umi_ceiling_suspected"]:
        told.append(
            f"the reference's largest cells seem to have been removed in {', '.join(censored)}, so "
            "that the ratio may be too high"
        )
    if row["verdict"] == RETAINED:
        told.append(EPITOPE)
    if row["verdict"] == LOST and row["verdict_uncorrected"] != LOST:
        told.append("without ambient correction loss would not be shown")
    if row.get("protein_agrees") is False:
        told.append(
            f"surface protein disagrees: {row['protein_fraction']:.0%} of the cells show it"
        )
    if row["reference"] != PRE_TREATMENT:
        told.append(f"compared with {row['reference'].replace('_', ' ')}, not its own past")
    return "; ".join(told)
