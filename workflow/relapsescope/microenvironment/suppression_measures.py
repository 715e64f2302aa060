"""What each marrow shows of suppression: fractions and programmes, on scales that compare."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relapsescope.microenvironment.composition import OUTSIDE
from relapsescope.microenvironment.settings import SuppressionSettings
from relapsescope.microenvironment.suppressive_programmes import (
    CD4_T,
    MYELOID,
    Programme,
    marking_genes,
    programmes,
)
from relapsescope.microenvironment.tallies import GENE, MARKED
from relapsescope.statistics.library_variation import Estimate, empirical_logit

FRACTION, PROGRAMME = "fraction", "programme"
MYELOID_FAMILY, REGULATORY_FAMILY = "suppressive_myeloid", "regulatory_t"
MYELOID_FRACTION, MACROPHAGE_FRACTION = "suppressive_myeloid_fraction", "macrophage_fraction"
TREG_FRACTION = "treg_fraction"
INDUCED = "induced_suppressive_genes"
PRIMARY = (INDUCED, "regulatory_t")
"""The measures that decide, one a family, named beforehand.

Resting cells hardly show their genes, so that a rise is the suppression itself. The others also
move with inflammation (MDSC-like genes), with the aspirate (macrophages stay in the tissue) or with
how well a type is called (Treg), and bear witness at a lower weight.
"""
SECONDARY_WEIGHT = 1 / 6
MEASURE_WORDS = {
    "induced_suppressive_genes": "induced suppressive genes",
    "suppressive_myeloid_fraction": "suppressive myeloid cells (fraction)",
    "macrophage_fraction": "macrophages (fraction)",
    "treg_fraction": "regulatory T cells (fraction of CD4 T)",
    "mdsc_like": "MDSC-like programme",
    "m2_like": "M2-like programme",
    "suppressive_mediators": "suppressive mediators",
    "regulatory_t": "regulatory T programme",
}
"""The measures as pages name them."""
SUBSET_PROGRAMMES = ("m2_like", "regulatory_t")
"""Programmes that only part of their population carries: they vary as that part's share does."""


@dataclass(frozen=True)
class Measure:
    """One thing that may rise.

    Attributes
    ----------
    kind
        `fraction` (compared on the logit scale) or `programme` (mean log2 rate).
    family
        The population whose rise it would show.
    """

    name: str
    kind: str
    family: str


@dataclass(frozen=True)
class Measured:
    """A measure in one library.

    Attributes
    ----------
    n_cells
        Cells that it was measured in: the fraction's denominator, or the programme's cells.
    value
        The fraction, or the geometric mean rate a million of the programme's genes.
    estimate
        On the scale that is compared.
    ambient_value
        What ambient RNA alone would give; NaN where that does not apply.
    """

    n_cells: int
    value: float
    estimate: Estimate
    ambient_value: float = np.nan


def measures() -> tuple[Measure, ...]:
    """Return what is measured, in the tables' order."""
    families = {MYELOID: MYELOID_FAMILY, CD4_T: REGULATORY_FAMILY}
    return (
        Measure(INDUCED, PROGRAMME, MYELOID_FAMILY),
        Measure(MYELOID_FRACTION, FRACTION, MYELOID_FAMILY),
        Measure(MACROPHAGE_FRACTION, FRACTION, MYELOID_FAMILY),
        Measure(TREG_FRACTION, FRACTION, REGULATORY_FAMILY),
        *(Measure(one.name, PROGRAMME, families[one.population]) for one in programmes()),
    )


def measured(
    composition: pd.DataFrame, tallies: pd.DataFrame, settings: SuppressionSettings
) -> dict[tuple[str, str], Measured]:
    """Return each measure by (sample, measure); those without enough cells are absent.

    Parameters
    ----------
    composition
        `microenvironment.tsv`: `sample_id`, `cell_type`, `n_cells`.
    tallies
        Rows of `niche_tallies.tally_niche`, of all patients.
    """
    found: dict[tuple[str, str], Measured] = {}
    counts = {
        sample: dict(zip(part["cell_type"], part["n_cells"].astype(int), strict=True))
        for sample, part in composition.groupby("sample_id", sort=False)
    }
    for sample, cells in counts.items():
        around = sum(n for name, n in cells.items() if name not in OUTSIDE)
        treg, macrophages = cells.get("Treg", 0), cells.get("Macrophage", 0)
        cd4 = cells.get("CD4 T", 0) + treg
        if around >= settings.min_cells:
            found[sample, MACROPHAGE_FRACTION] = _fraction(macrophages, around)
        if cd4 >= settings.min_cells:
            found[sample, TREG_FRACTION] = _fraction(treg, cd4)
        marked = tallies[(tallies["sample_id"] == sample) & (tallies["kind"] == MARKED)]
        myeloid = sum(cells.get(name, 0) for name in _myeloid_types(cells))
        for row in marked.to_dict("records"):
            if row["n_cells"] >= settings.min_cells:
                found[sample, MYELOID_FRACTION] = _marked_fraction(row, myeloid, around)
    genes = tallies[tallies["kind"] == GENE]
    induced = Programme(INDUCED, MYELOID, marking_genes())
    for programme in (induced, *programmes()):
        rate_of = pooled_rate if programme is induced else programme_rate
        own = genes[
            (genes["population"] == programme.population) & genes["gene"].isin(programme.symbols)
        ]
        known = genes_everywhere(own, programme, counts)
        for sample, part in own[own["gene"].isin(known)].groupby("sample_id", sort=False):
            if part["n_cells"].iloc[0] >= settings.min_cells and part["exposure"].iloc[0] > 0:
                found[str(sample), programme.name] = rate_of(part, settings.prior_cpm)
    return found


def assumed_sd(measure: Measure, settings: SuppressionSettings) -> float:
    """Return the variation between libraries that is assumed for a measure, on its own scale."""
    if measure.kind == FRACTION:
        return settings.fraction_log_sd
    subset = measure.name in SUBSET_PROGRAMMES
    return settings.subset_log2_sd if subset else settings.programme_log2_sd


def weight_of(measure: str) -> float:
    """Return a measure's weight in the joint verdict."""
    return 1.0 if measure in PRIMARY else SECONDARY_WEIGHT


def genes_everywhere(rows: pd.DataFrame, programme: Programme, samples: Iterable[str]) -> list[str]:
    """Return the programme's genes that every library with the population has in its annotation.

    A gene that one library lacks would move its mean without any cell having changed.
    """
    having = {sample for sample in samples if sample in set(rows["sample_id"])}
    count = rows.groupby("gene")["sample_id"].nunique()
    return [gene for gene in programme.symbols if count.get(gene, 0) == len(having)]


def programme_rate(rows: pd.DataFrame, prior_cpm: float) -> Measured:
    """Return a programme's rate: the mean over genes of log2 (rate a million + prior).

    Every gene counts alike, so that S100A8 and S100A9, thousands of times the others, do not
    stand for the programme. The prior keeps genes of a few molecules from deciding; it draws
    changes of genes rarer than it towards none. Ambient RNA is taken off.
    """
    exposure = rows["exposure"].to_numpy(float)
    to_rate = 1e6 / exposure
    native = np.maximum(rows["umi"].to_numpy(float) - rows["ambient"].to_numpy(float), 0.0)
    rate = native * to_rate + prior_cpm
    spread = rows["variance"].to_numpy(float) + rows["ambient_sd"].to_numpy(float) ** 2
    # One molecule's variance at least: a gene of which none was seen is not known exactly.
    variance = np.maximum(spread, 1.0) * to_rate**2 / rate**2 / np.log(2.0) ** 2
    n = len(rows)
    value = float(np.log2(rate).mean())
    ambient = np.log2(rows["ambient"].to_numpy(float) * to_rate + prior_cpm).mean()
    return Measured(
        n_cells=int(rows["n_cells"].iloc[0]),
        value=float(2**value),
        estimate=Estimate(value, float(variance.sum()) / n**2),
        ambient_value=float(2**ambient),
    )


def pooled_rate(rows: pd.DataFrame, prior_cpm: float) -> Measured:
    """Return the rate of a programme's genes together: log2 (rate a million + prior).

    For genes of a few molecules each, of which none stands for the others.
    """
    together = {
        "n_cells": [rows["n_cells"].iloc[0]],
        "exposure": [rows["exposure"].iloc[0]],
        **{name: [rows[name].sum()] for name in ("umi", "variance", "ambient")},
        # The error of the amount of ambient RNA is one for all genes.
        "ambient_sd": [rows["ambient_sd"].sum()],
    }
    return programme_rate(pd.DataFrame(together), prior_cpm)


def _fraction(count: float, total: int) -> Measured:
    return Measured(int(total), count / total, empirical_logit(count, total))


def _marked_fraction(row: Mapping[str, float], myeloid: int, around: int) -> Measured:
    """Return the fraction of the microenvironment that is marked myeloid, ambient share off."""
    seen, chance = row["umi"] / row["n_cells"], row["ambient"] / row["n_cells"]
    share = max(seen - chance, 0.0) / max(1.0 - chance, 1e-9)
    return Measured(
        n_cells=int(around),
        value=share * myeloid / around,
        estimate=empirical_logit(share * myeloid, around),
        ambient_value=chance * myeloid / around,
    )


def _myeloid_types(cells: Sequence[str] | Mapping[str, int]) -> list[str]:
    return [name for name in cells if name in ("Macrophage", "Monocyte") or "monocyte" in name]
