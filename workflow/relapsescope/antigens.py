"""Is an antigen lost, reduced or retained in a clone: verdicts from ratios with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relapsescope.cell_groups import ALL_MALIGNANT
from relapsescope.library_effects import LibraryEffects, Pooled
from relapsescope.molecules import Clones, Molecules
from relapsescope.rates import (
    Interval,
    RateSettings,
    Tally,
    estimate,
    log_error,
    pool,
    rate,
    ratio,
    uncorrected,
)
from relapsescope.references import (
    PRE_TREATMENT,
    Reference,
    ReferenceLimits,
    library_log_sd,
    reference_for,
)

LOST, REDUCED, RETAINED, INDETERMINATE = "LOST", "REDUCED", "RETAINED", "INDETERMINATE"
EPITOPE = "RNA retained does not exclude loss of the epitope or of the surface protein"
Z_95 = 1.96
# Upper 97.5 % limit of a Poisson mean after zero counts.
ZERO_COUNT_LIMIT = 3.689
COLUMNS = (
    *("patient_id", "clone_id", "sample_id", "timepoint", "antigen", "n_cells", "total_umi"),
    *("antigen_umi", "rate_cpm", "rate_ci_low", "rate_ci_high", "ambient_cpm", "reference"),
    *("reference_cpm", "expected_umi", "ratio", "ratio_ci_low", "ratio_ci_high"),
    *("detected_fraction", "verdict", "reason", "needed_umi", "is_car_target"),
    *("reference_samples", "library_log_sd", "dispersion", "detected_twice_fraction"),
    *("detected_above_ambient_fraction", "ratio_uncorrected", "verdict_uncorrected"),
    *("ratio_wide", "verdict_wide", "ratio_depth_matched", "verdict_depth_matched"),
    *("verdict_strict_limits", "verdict_lenient_limits", "umi_ceiling_suspected"),
    *("protein_fraction", "protein_agrees"),
)


@dataclass(frozen=True)
class AntigenSettings:
    """Numbers of the antigen verdicts; `config.yaml`, section `antigens`, explains each."""

    genes: tuple[str, ...]
    car_target: str
    lost_below: float
    reduced_below: float
    strict_limits: tuple[float, ...]
    lenient_limits: tuple[float, ...]
    min_cells: int
    min_reference_cells: int
    min_reference_umi: float
    min_reference_exposure: float
    library_log_sd: float
    dispersion: float
    dispersion_sd: float
    protein_present: float
    protein_absent: float

    @property
    def limits(self) -> tuple[float, float]:
        """Ratios under which an antigen is lost, and reduced."""
        return self.lost_below, self.reduced_below

    @property
    def rates(self) -> RateSettings:
        """How cells of a group are taken to differ."""
        return RateSettings(self.dispersion, self.dispersion_sd)

    @property
    def reference(self) -> ReferenceLimits:
        """From when a group of cells may serve as a reference."""
        return ReferenceLimits(
            self.min_reference_cells, self.min_reference_umi, self.min_reference_exposure
        )


def verdict_of(found: Interval, limits: Sequence[float]) -> str:
    """Return the contract's verdict for a ratio to the reference.

    `LOST` when the upper limit is under the first of `limits`, `REDUCED` when it is under the
    second, `RETAINED` when the estimate is not and the lower limit is over the first.
    """
    lost, reduced = limits
    if found.high < lost:
        return LOST
    if found.high < reduced:
        return REDUCED
    if found.estimate >= reduced and found.low > lost:
        return RETAINED
    return INDETERMINATE


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
                    continue
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
        "ambient_cpm": 1e6 * one.ambient / one.exposure if one.exposure > 0 else np.nan,
        "detected_fraction": share("detected"),
        "detected_twice_fraction": share("detected_twice"),
        "detected_above_ambient_fraction": share("detected_above_ambient"),
        "is_car_target": gene == settings.car_target,
        "dispersion": one.dispersion,
        "umi_ceiling_suspected": library.umi_ceiling,
    }
    protein = molecules.tally(sample, f"{kind}:protein", clone, gene).n_cells
    if protein:
        seen = molecules.number("detected", sample, f"{kind}:protein", clone, gene)
        row["protein_fraction"] = seen / protein
    if reference is None:
        reason = "no reference: no cells before treatment, normal plasma cells or other patients"
        return row | {"verdict": INDETERMINATE, "reason": reason}
    base = reference.tally(molecules, gene)
    found = ratio(one, base, log_sd=noise)
    expected = estimate(base) * one.exposure / 1e6
    verdict, why = judged(one, base, found, expected, noise, library.umi_ceiling, settings)
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
    row["reason"] = _with_caveats(why, row, settings)
    return row


def judged(
    one: Tally,
    base: Tally,
    found: Interval,
    expected: float,
    noise: float,
    umi_ceiling: bool,
    settings: AntigenSettings,
) -> tuple[str, str]:
    """Return a verdict and the sentence that gives its numbers."""
    seen = (
        f"{one.umi:.0f} molecules in {one.n_cells} cells ({one.ambient:.1f} of them expected from "
        f"ambient RNA) where the reference would show {expected:.0f}"
    )
    low, high = (
        f"{value:.2g}" if np.isfinite(value) else "none" for value in (found.low, found.high)
    )
    told = f"{seen}; ratio {found.estimate:.2g}, 95 % interval {low} to {high}"
    needed = needed_umi(found, expected, base, noise, settings.limits)
    if base.umi - base.ambient < settings.min_reference_umi:
        told += f"; the reference itself holds only {base.umi:.0f} molecules"
    if one.n_cells < settings.min_cells:
        return INDETERMINATE, f"only {one.n_cells} cells: {told}"
    verdict = verdict_of(found, settings.limits)
    if verdict in (LOST, REDUCED) and umi_ceiling:
        return INDETERMINATE, (
            "the library's largest cells seem to have been removed, which alone lowers the "
            f"rate: {told}"
        )
    if verdict == INDETERMINATE and np.isfinite(needed):
        told += f"; about {needed:.0f} expected molecules would have been needed"
    elif verdict == INDETERMINATE:
        told += "; more cells would not decide it: reference and libraries are too uncertain"
    return verdict, told


def needed_umi(
    found: Interval, expected: float, base: Tally, noise: float, limits: Sequence[float]
) -> float:
    """Return the expected molecules from which the verdict would be clear.

    At least those whose complete absence would show loss; more where the ratio lies near a
    limit. Infinite where the error of reference and libraries alone spans the limit.
    """
    other = float(np.hypot(noise, log_error(base)))
    least = float(ZERO_COUNT_LIMIT / limits[0] * np.exp(Z_95 * other))
    if not np.isfinite(found.estimate) or found.estimate <= 0 or expected < least:
        return least
    margin = min(abs(np.log(found.estimate / limit)) for limit in limits)
    if margin <= Z_95 * other:
        return np.inf
    return max(least, 1 / ((margin / Z_95) ** 2 - other**2) / found.estimate)


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


def _with_caveats(why: str, row: Mapping[str, Any], settings: AntigenSettings) -> str:
    told = [why]
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
