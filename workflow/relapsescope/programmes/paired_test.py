"""Genes that change in the same direction over patients: PyDESeq2 on paired pseudobulks."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from relapsescope.programmes.pairs import Pair
from relapsescope.programmes.pseudobulk import FEW, set_aside
from relapsescope.programmes.settings import ProgrammeSettings

DESIGN = "~patient + time"
# What a gene without a p-value or an adjusted one lacks.
OUTLIER, UNDERPOWERED = "outlier", "too_few_molecules_for_the_test"


@dataclass(frozen=True)
class PairedTest:
    """PyDESeq2's answer over patients; every array is (n_genes,), NaN where there is none.

    Attributes
    ----------
    log2_change, error
        Wald estimate of the change from before to relapse and its standard error (log2).
    aside
        Why a gene was not tested, "" where it was.
    """

    genes: np.ndarray
    log2_change: np.ndarray
    error: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    adjusted: np.ndarray
    aside: np.ndarray
    n_patients: int


def test_over_patients(pairs: Sequence[Pair], settings: ProgrammeSettings) -> PairedTest:
    """Return the paired test of relapse against before over at least two patients.

    One pseudobulk a patient and arm, design ``~patient + time`` (Love 2014,
    doi:10.1186/s13059-014-0550-8; Muzellec 2023, doi:10.1093/bioinformatics/btad547): the unit
    is the patient (Squair 2021, doi:10.1038/s41467-021-25960-2). Counts are native molecules,
    rounded. A gene is left out that at least half of the patients set aside, or of which a
    pseudobulk holds fewer than `min_umi` molecules on average (a test would have no power and
    costs 5 ms). Differences between libraries are in the dispersion.
    """
    genes = pairs[0].genes
    for pair in pairs[1:]:
        genes = np.intersect1d(genes, pair.genes)
    places = [np.searchsorted(pair.genes, genes) for pair in pairs]
    aside = _aside(pairs, places, settings)
    native = [arm.native[p] for pair, p in zip(pairs, places, strict=True) for arm in pair.arms]
    aside[(aside == "") & (np.mean(native, axis=0) < settings.min_umi)] = FEW
    use = aside == ""
    columns = {}
    for pair, place in zip(pairs, places, strict=True):
        for time, arm in zip(("before", "relapse"), pair.arms, strict=True):
            columns[f"{pair.patient_id} {time}"] = np.round(arm.native[place][use]).astype(int)
    counts = pd.DataFrame(columns, index=genes[use]).T
    fitted = {name: np.full(len(genes), np.nan) for name in _NAMES}
    if use.sum() > 1:
        results = _deseq(counts, [pair.patient_id for pair in pairs])
        for name, column in _NAMES.items():
            fitted[name][use] = results[column].reindex(genes[use]).to_numpy(float)
    aside[use & np.isnan(fitted["p_value"])] = OUTLIER
    aside[use & ~np.isnan(fitted["p_value"]) & np.isnan(fitted["adjusted"])] = UNDERPOWERED
    return PairedTest(genes=genes, aside=aside, n_patients=len(pairs), **fitted)


# pytest would otherwise take the function for a test of its own.
test_over_patients.__test__ = False

_NAMES = {
    "log2_change": "log2FoldChange",
    "error": "lfcSE",
    "statistic": "stat",
    "p_value": "pvalue",
    "adjusted": "padj",
}


def _aside(
    pairs: Sequence[Pair], places: Sequence[np.ndarray], settings: ProgrammeSettings
) -> np.ndarray:
    """Return the reason that at least half of the patients give for a gene, else ""."""
    given = np.array(
        [
            set_aside(
                pair.genes,
                pair.arms,
                min_umi=settings.min_umi,
                max_foreign=settings.max_foreign_share,
            )[place]
            for pair, place in zip(pairs, places, strict=True)
        ]
    )
    often = (given != "").sum(axis=0) * 2 >= len(pairs)
    first = np.argmax(given != "", axis=0)
    reason = given[first, np.arange(given.shape[1])]
    return np.where(often, reason, "").astype(object)


def _deseq(counts: pd.DataFrame, patients: Sequence[str]) -> pd.DataFrame:
    """Return PyDESeq2's table of relapse against before; rows of `counts` alternate so."""
    # PyDESeq2 and what it imports take two seconds, which no other step needs.
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    # Formulae take names, not numbers, for categories; patients' own ids may be anything.
    labels = np.repeat([f"p{i}" for i in range(len(patients))], 2)
    times = np.tile(["before", "relapse"], len(patients))
    metadata = pd.DataFrame({"patient": labels, "time": times}, index=counts.index)
    inference = DefaultInference(n_cpus=1)
    with warnings.catch_warnings():
        # It warns where its trend curve does not converge and a mean serves (small cohorts).
        warnings.simplefilter("ignore")
        data = DeseqDataSet(
            counts=counts,
            metadata=metadata,
            design=DESIGN,
            refit_cooks=True,
            inference=inference,
            quiet=True,
        )
        data.deseq2()
        statistics = DeseqStats(
            data, contrast=["time", "relapse", "before"], inference=inference, quiet=True
        )
        statistics.summary()
    return statistics.results_df
