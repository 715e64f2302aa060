"""Is ANXA1 high in a compartment: changes beyond those of the same libraries' other cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from relapsescope.cell_groups import ALL_MALIGNANT, REFERENCE_LINEAGES
from relapsescope.library_effects import Key, LibraryEffects, Pooled, excess_sd, matched_changes
from relapsescope.molecules import BEFORE_TREATMENT, Clones, Molecules
from relapsescope.rates import (
    Interval,
    Tally,
    estimate,
    log_error,
    pool,
    rate,
    ratio,
    with_floor,
)
from relapsescope.references import MALIGNANT_KEY, NORMAL_KEY

HIGH, NOT_HIGH, INDETERMINATE = "HIGH", "NOT_HIGH", "INDETERMINATE"
COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "compartment", "n_cells", "rate_cpm"),
    *("rate_ci_low", "rate_ci_high", "ambient_cpm", "contrast", "log2_ratio"),
    *("log2_ratio_ci_low", "log2_ratio_ci_high", "did_log2_ratio", "did_ci_low", "did_ci_high"),
    *("verdict", "reason", "contrast_samples", "reference_log2_change", "reference_lineages"),
    *("doublet_cpm", "strict_did_log2_ratio", "null_genes", "null_share", "coexpression"),
    *("cycling_ratio", "cycling_ratio_ci_low", "cycling_ratio_ci_high"),
)
LOG2 = np.log(2.0)


@dataclass(frozen=True)
class Anxa1Settings:
    """Numbers of the ANXA1 verdicts; `config.yaml`, section `anxa1`, explains each."""

    gene: str
    high_log2_ratio: float
    min_cells: int
    min_reference_umi: float
    max_null_share: float
    contaminants: dict[str, list[str]]
    coexpressed: tuple[str, ...]
    cycle_genes: tuple[str, ...]


@dataclass(frozen=True)
class Contrast:
    """What a compartment is compared with.

    Attributes
    ----------
    name
        Column `contrast`: `pre_treatment_clone`, `normal_plasma_cells`, `untreated_panel`,
        `before_treatment` or `other_patients`.
    keys
        Library, kind and clone of each group.
    same_library
        Whether both sides come from one library, whose effects then cancel.
    """

    name: str
    keys: tuple[Key, ...]
    same_library: bool = False


def anxa1_rows(
    molecules: Molecules,
    pooled: Pooled,
    effects: LibraryEffects,
    clones: Clones,
    settings: Anxa1Settings,
) -> list[dict[str, Any]]:
    """Return the rows of `anxa1.tsv`: a patient × sample × compartment each."""
    rows = []
    for sample in molecules.libraries:
        for compartment, groups in compartments(molecules, clones, sample).items():
            row = _row(molecules, pooled, effects, clones, sample, compartment, groups, settings)
            if row is not None:
                rows.append(row)
    return rows


def compartments(
    molecules: Molecules, clones: Clones, sample: str
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the groups of each compartment with cells in a library."""
    patient = molecules.libraries[sample].patient_id
    relapsed = {
        clone
        for other, names in clones.relapse.items()
        if other in molecules.libraries and molecules.libraries[other].patient_id == patient
        for clone in names
    }
    found = molecules.clones(sample)
    relapse = tuple(("clone", clone) for clone in found if clone in relapsed)
    others = tuple(("clone", clone) for clone in found if clone not in relapsed)
    if not found and molecules.has(sample, *MALIGNANT_KEY):
        others = (MALIGNANT_KEY,)
    groups = {
        "relapse_clone": relapse,
        "other_malignant": others,
        "normal_plasma": (NORMAL_KEY,),
        "T": (("lineage", "T"),),
        "Monocyte": (("lineage", "Monocyte"),),
    }
    return {
        name: tuple(group for group in own if molecules.has(sample, *group))
        for name, own in groups.items()
        if any(molecules.has(sample, *group) for group in own)
    }


def contrast_for(
    molecules: Molecules,
    clones: Clones,
    sample: str,
    compartment: str,
    groups: Sequence[tuple[str, str]],
    min_cells: int,
) -> Contrast | None:
    """Return what a compartment is compared with, the first that has enough cells."""
    gene_cells = molecules.cells_in
    before = molecules.before(sample)
    patient = molecules.libraries[sample].patient_id
    malignant = compartment in ("relapse_clone", "other_malignant")
    options: list[Contrast] = []

    def option(name: str, keys: Sequence[Key], same: bool = False) -> None:
        options.append(Contrast(name, tuple(k for k in keys if molecules.has(*k)), same))

    if malignant:
        related = [g for g in groups if (patient, g[1]) not in clones.unrelated]
        if related:
            option("pre_treatment_clone", [(s, *g) for s in before for g in related])
            option("pre_treatment_clone", [(s, *MALIGNANT_KEY) for s in before])
        option("normal_plasma_cells", [(sample, *NORMAL_KEY)], same=True)
        panel = molecules.panel(sample, ("untreated",)) or molecules.panel(sample, BEFORE_TREATMENT)
        option("untreated_panel", [(s, *MALIGNANT_KEY) for s in panel])
    else:
        option("before_treatment", [(s, *g) for s in before for g in groups])
        panel = molecules.panel(sample, ("healthy", *BEFORE_TREATMENT))
        tissue = molecules.libraries[sample].tissue
        panel = [s for s in panel if molecules.libraries[s].tissue == tissue]
        option("other_patients", [(s, *g) for s in panel for g in groups])
    for one in options:
        if one.keys and sum(gene_cells(*key) for key in one.keys) >= min_cells:
            return one
    return None


def with_doublets(
    molecules: Molecules, sample: str, group: tuple[str, str], settings: Anxa1Settings
) -> tuple[Tally, float]:
    """Return a plasma group's tally with unseen doublets' molecules taken off, and their number.

    Doublets that no call found bring another lineage's identity genes along. Their native rate
    in the group, over that in the lineage's own cells of the same library, is the share of such
    RNA in the group; the lineage's rate of the gene times this share is a floor, as for ambient
    RNA, with its counting error.
    """
    one = molecules.tally(sample, *group, settings.gene)
    total = 0.0
    for lineage, genes in settings.contaminants.items():
        own = pool_genes(molecules, (sample, "lineage", lineage), genes)
        here = pool_genes(molecules, (sample, *group), genes)
        source = molecules.tally(sample, "lineage", lineage, settings.gene)
        if own.n_cells < settings.min_cells or estimate(own) <= 0 or one.exposure <= 0:
            continue
        per_molecule = estimate(source) / estimate(own) * one.exposure / max(here.exposure, 1.0)
        native = max(here.umi - here.ambient, 0.0)
        floor = native * per_molecule
        error = per_molecule * np.sqrt(max(here.umi, 1.0) + here.ambient_sd**2)
        one = with_floor(one, floor, float(error))
        total += floor
    return one, total


def pool_genes(molecules: Molecules, key: Key, genes: Sequence[str]) -> Tally:
    """Return several genes' molecules in one group together."""
    tallies = [molecules.tally(*key, gene) for gene in genes]
    tallies = [one for one in tallies if one.n_cells]
    if not tallies:
        return pool([])
    return Tally(
        n_cells=tallies[0].n_cells,
        umi=sum(one.umi for one in tallies),
        exposure=tallies[0].exposure,
        ambient=sum(one.ambient for one in tallies),
        # One library's ambient amount is wrong for all genes alike.
        ambient_sd=sum(one.ambient_sd for one in tallies),
        spread=tallies[0].spread,
        dispersion=max(one.dispersion for one in tallies),
    )


def _row(
    molecules: Molecules,
    pooled: Pooled,
    effects: LibraryEffects,
    clones: Clones,
    sample: str,
    compartment: str,
    groups: Sequence[tuple[str, str]],
    settings: Anxa1Settings,
) -> dict[str, Any] | None:
    gene = settings.gene
    plasma = compartment in ("relapse_clone", "other_malignant", "normal_plasma")
    one, doublet_umi = _compartment(molecules, [(sample, *g) for g in groups], plasma, settings)
    if one.n_cells == 0:
        return None
    library = molecules.libraries[sample]
    alone = rate(one)
    observed = pool([molecules.tally(sample, *g, gene) for g in groups])
    row: dict[str, Any] = {
        "patient_id": library.patient_id,
        "sample_id": sample,
        "timepoint": library.timepoint,
        "compartment": compartment,
        "n_cells": one.n_cells,
        "rate_cpm": alone.estimate,
        "rate_ci_low": alone.low,
        "rate_ci_high": alone.high,
        "ambient_cpm": 1e6 * observed.ambient / observed.exposure if observed.exposure else np.nan,
        "doublet_cpm": 1e6 * doublet_umi / one.exposure if plasma and one.exposure else np.nan,
        "coexpression": _coexpression(molecules, sample, groups, settings) if plasma else None,
    }
    row |= _cycling(molecules, sample, groups, settings)
    contrast = contrast_for(molecules, clones, sample, compartment, groups, settings.min_cells)
    if contrast is None:
        return row | {"verdict": INDETERMINATE, "reason": "nothing to compare with"}
    base, _ = _compartment(molecules, contrast.keys, plasma, settings)
    change = _reference_change(molecules, sample, contrast, compartment, settings)
    keys = [(sample, *g) for g in groups]
    _, logs, noise = matched_changes(pooled, gene, keys, contrast.keys)
    plain, did = _ratios(one, base, contrast, change, effects, logs, noise)
    strict = pool([molecules.tally(sample, f"{k}:strict", c, gene) for k, c in groups])
    strict_log = _log2(estimate(strict) / estimate(base)) - change.mean / LOG2
    own = did.estimate * LOG2 if np.isfinite(did.estimate) else np.nan
    shifts = logs - (0.0 if contrast.same_library else np.median(logs) if logs.size else 0.0)
    share = (1 + np.sum(shifts >= own)) / (1 + shifts.size) if shifts.size else np.nan
    row |= {
        "contrast": contrast.name,
        "contrast_samples": ";".join(dict.fromkeys(key[0] for key in contrast.keys)),
        "log2_ratio": plain.estimate,
        "log2_ratio_ci_low": plain.low,
        "log2_ratio_ci_high": plain.high,
        "did_log2_ratio": did.estimate,
        "did_ci_low": did.low,
        "did_ci_high": did.high,
        "reference_log2_change": change.mean / LOG2,
        "reference_lineages": ";".join(change.lineages),
        "strict_did_log2_ratio": strict_log if plasma else np.nan,
        "null_genes": int(shifts.size),
        "null_share": share,
    }
    row["verdict"], row["reason"] = _judged(one, base, did, change, contrast, row, settings)
    return row


def _compartment(
    molecules: Molecules, keys: Sequence[Key], plasma: bool, settings: Anxa1Settings
) -> tuple[Tally, float]:
    """Return the molecules of groups together, unseen doublets taken off plasma cells."""
    if not plasma:
        return pool([molecules.tally(*key, settings.gene) for key in keys]), 0.0
    parts = [with_doublets(molecules, key[0], key[1:], settings) for key in keys]
    return pool([part[0] for part in parts]), sum(part[1] for part in parts)


@dataclass(frozen=True)
class Change:
    """Log change of the gene in the libraries' other cells, its error, and which cells."""

    mean: float
    error: float
    lineages: tuple[str, ...]


def _reference_change(
    molecules: Molecules,
    sample: str,
    contrast: Contrast,
    compartment: str,
    settings: Anxa1Settings,
) -> Change:
    """Return how the gene changed in reference lineages between the same libraries.

    A random-effects mean (DerSimonian and Laird 1986): one lineage that truly changed widens
    the error instead of passing for a library effect.
    """
    if contrast.same_library:
        return Change(0.0, 0.0, ("same library",))
    others = tuple(dict.fromkeys(key[0] for key in contrast.keys))
    logs, variances, names = [], [], []
    for lineage in REFERENCE_LINEAGES:
        if lineage == compartment or (compartment == "T" and lineage == "NK"):
            continue
        now = molecules.tally(sample, "lineage", lineage, settings.gene)
        then = pool([molecules.tally(s, "lineage", lineage, settings.gene) for s in others])
        least = min(now.umi - now.ambient, then.umi - then.ambient)
        if now.exposure <= 0 or then.exposure <= 0 or least < settings.min_reference_umi:
            continue
        logs.append(np.log(estimate(now) / estimate(then)))
        variances.append(log_error(now) ** 2 + log_error(then) ** 2)
        names.append(lineage)
    if not logs:
        return Change(0.0, np.inf, ())
    values, weight = np.array(logs), 1 / np.array(variances)
    between = 0.0
    if len(logs) > 1:
        spread = float((weight * (values - np.average(values, weights=weight)) ** 2).sum())
        scale = weight.sum() - (weight**2).sum() / weight.sum()
        between = max((spread - len(logs) + 1) / scale, 0.0)
    weight = 1 / (np.array(variances) + between)
    mean = float(np.average(values, weights=weight))
    return Change(mean, float(1 / np.sqrt(weight.sum())), tuple(names))


def _ratios(
    one: Tally,
    base: Tally,
    contrast: Contrast,
    change: Change,
    effects: LibraryEffects,
    logs: np.ndarray,
    noise: np.ndarray,
) -> tuple[Interval, Interval]:
    """Return the log2 ratio and the log2 difference-in-differences with their intervals."""
    if contrast.same_library:
        plain = _in_log2(ratio(one, base))
        return plain, plain
    libraries = np.sqrt(1 + 1 / len({key[0] for key in contrast.keys}))
    matched = excess_sd(logs, noise)
    total = effects.total_sd * libraries
    library = max(matched, effects.shared_sd * libraries) if np.isfinite(matched) else total
    plain = _in_log2(ratio(one, base, log_sd=library))
    if not np.isfinite(change.error):
        return plain, Interval(np.nan, -np.inf, np.inf)
    # What remains is each cell type's own part. The shared part that matched genes show beside
    # it has been taken off with the reference cells.
    own = max(effects.own_sd * libraries, np.sqrt(max(library**2 - total**2, 0.0)))
    error = float(np.hypot(change.error, own))
    return plain, _in_log2(ratio(one, base, log_sd=error, shift=change.mean))


def _judged(
    one: Tally,
    base: Tally,
    did: Interval,
    change: Change,
    contrast: Contrast,
    row: dict[str, Any],
    settings: Anxa1Settings,
) -> tuple[str, str]:
    """Return the verdict and the sentence with its numbers."""
    limit = settings.high_log2_ratio
    low, high = (f"{v:.2f}" if np.isfinite(v) else "none" for v in (did.low, did.high))
    beside = "normal plasma cells of the library" if contrast.same_library else "other cells"
    told = (
        f"log2 change {did.estimate:.2f} beyond that of {beside}, 95 % interval {low} to {high}, "
        f"against {contrast.name.replace('_', ' ')}"
    )
    if not change.lineages:
        return INDETERMINATE, "too few reference cells to take out library effects"
    if one.n_cells < settings.min_cells or base.n_cells < settings.min_cells:
        fewest = min(one.n_cells, base.n_cells)
        return INDETERMINATE, f"only {fewest} cells on one side: {told}"
    if did.low >= limit:
        strict, share = row["strict_did_log2_ratio"], row["null_share"]
        if np.isfinite(strict) and strict < limit:
            return INDETERMINATE, (
                f"{told}; without cells that hold other lineages' genes it would be {strict:.2f}"
            )
        if np.isfinite(share) and share > settings.max_null_share:
            return INDETERMINATE, (
                f"{told}; {share:.0%} of {row['null_genes']} genes of like expression rose as much"
            )
        return HIGH, told
    if did.high < limit:
        return NOT_HIGH, told
    return INDETERMINATE, f"{told}; this includes both twice and less than twice the comparison"


def _coexpression(
    molecules: Molecules,
    sample: str,
    groups: Sequence[tuple[str, str]],
    settings: Anxa1Settings,
) -> str:
    """Return how often cells with and without ANXA1 hold other lineages' genes, in words."""
    told = []
    for other in settings.coexpressed:
        cells = {}
        for column in ("n_cells", "detected", "n_without", "detected_without"):
            values = [
                molecules.number(column, sample, f"{kind}:coexpression", clone, other)
                for kind, clone in groups
            ]
            cells[column] = np.nansum(values)
        if cells["n_cells"] + cells["n_without"] == 0:
            continue
        told.append(
            f"{other} in {cells['detected']:.0f} of {cells['n_cells']:.0f} cells with "
            f"{settings.gene}, in {cells['detected_without']:.0f} of {cells['n_without']:.0f} "
            "without"
        )
    return "; ".join(told)


def _cycling(
    molecules: Molecules,
    sample: str,
    groups: Sequence[tuple[str, str]],
    settings: Anxa1Settings,
) -> dict[str, float]:
    """Return the gene's rate in cycling over resting cells of one library: an association."""
    parts = [
        pool([molecules.tally(sample, f"{k}:{state}", c, settings.gene) for k, c in groups])
        for state in ("cycling", "resting")
    ]
    if min(part.n_cells for part in parts) < settings.min_cells:
        return {}
    found = ratio(*parts)
    return {
        "cycling_ratio": found.estimate,
        "cycling_ratio_ci_low": found.low,
        "cycling_ratio_ci_high": found.high,
    }


UNTREATED_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "n_cells", "n_high", "fraction_high"),
    *("fraction_ci_low", "fraction_ci_high", "chance_fraction"),
)


def untreated_rows(molecules: Molecules, settings: Anxa1Settings) -> list[dict[str, Any]]:
    """Return for each library before CAR-T the fraction of malignant cells with high ANXA1.

    A cell is high where it holds more molecules than twice the normal plasma cells' rate and
    ambient RNA explain (P <= 0.01, `tallies`); the share that chance alone gives is beside it.
    The interval is Clopper and Pearson's (1934).
    """
    rows = []
    for sample, library in molecules.libraries.items():
        key = (sample, ALL_MALIGNANT, ALL_MALIGNANT, settings.gene)
        n = molecules.number("n_cells", *key)
        high = molecules.number("high_cells", *key)
        if library.timepoint not in BEFORE_TREATMENT or not np.isfinite(n + high):
            continue
        low = stats.beta.ppf(0.025, high, n - high + 1) if high else 0.0
        up = stats.beta.ppf(0.975, high + 1, n - high) if high < n else 1.0
        rows.append(
            {
                "patient_id": library.patient_id,
                "sample_id": sample,
                "timepoint": library.timepoint,
                "n_cells": int(n),
                "n_high": int(high),
                "fraction_high": high / n,
                "fraction_ci_low": low,
                "fraction_ci_high": up,
                "chance_fraction": molecules.number("high_chance", *key),
            }
        )
    return rows


def _in_log2(found: Interval) -> Interval:
    return Interval(_log2(found.estimate), _log2(found.low), _log2(found.high))


def _log2(value: float) -> float:
    if not np.isfinite(value):
        return value
    return float(np.log2(value)) if value > 0 else -np.inf
