"""How much a gene's rate differs between libraries for no reason of the cells themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

# Rates (per million) of the genes compared: the range of antigens and ANXA1 in plasma cells.
GENE_RATES = (10.0, 3000.0)
MIN_UMI = 20.0
# Log residuals beyond this are biology (an induced gene), not a library's effect.
LARGEST_RESIDUAL = 1.5
# Cell types are never believed to share all of a library's effect.
LEAST_OWN_SD = 0.05
MIN_RESIDUALS = 200
# Matched genes: expressed at most so many times more or less than the gene in question.
MATCH_FOLD = 4.0
MIN_MATCHED = 50
MAD_TO_SD = 1.4826
GROUP = ["sample_id", "kind", "clone_id"]

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Pooled:
    """Every gene's molecules in the groups that stand for a lineage or a clone.

    Attributes
    ----------
    genes
        (n_genes,) symbols of the genes of usual rate (`GENE_RATES`).
    row
        Row of each (sample, kind, clone or lineage).
    umi, variance, ambient
        (n_groups, n_genes) UMIs, the variance of their number with cells as they differ, and
        those that ambient RNA explains.
    exposure
        (n_groups,) native UMIs.
    """

    genes: np.ndarray
    row: Mapping[Key, int]
    umi: np.ndarray
    variance: np.ndarray
    ambient: np.ndarray
    exposure: np.ndarray

    def sums(self, keys: Sequence[Key]) -> tuple[np.ndarray, np.ndarray, float] | None:
        """Return groups' native UMIs, their variance and the exposure; None if one is missing."""
        if not keys or any(key not in self.row for key in keys):
            return None
        rows = [self.row[key] for key in keys]
        native = self.umi[rows].sum(axis=0).astype(float) - self.ambient[rows].sum(axis=0)
        variance = self.variance[rows].sum(axis=0).astype(float)
        return np.maximum(native, 0.0), variance, float(self.exposure[rows].sum())


def read_pooled(paths: Sequence[str], *, keep: Sequence[str] = ()) -> Pooled:
    """Return all patients' pooled molecules; genes of `keep` whatever their rate.

    Files are read twice, one at a time, so that memory grows with groups × genes kept.
    """
    totals, exposure = pd.DataFrame({"umi": [], "ambient": []}, dtype=float), 0.0
    for path in paths:
        frame = pd.read_parquet(Path(path), columns=[*GROUP, "gene", "umi", "ambient", "exposure"])
        totals = totals.add(frame.groupby("gene")[["umi", "ambient"]].sum(), fill_value=0.0)
        exposure += float(frame.drop_duplicates(GROUP)["exposure"].sum())
    rate = 1e6 * (totals["umi"] - totals["ambient"]) / max(exposure, 1.0)
    genes = totals.index[rate.between(*GENE_RATES) | totals.index.isin(list(keep))]
    row: dict[Key, int] = {}
    parts = [_pooled_of(path, genes, row) for path in paths]
    umi, variance, ambient, exposures = (
        np.concatenate([part[i] for part in parts]) if parts else np.zeros((0, 0)) for i in range(4)
    )
    return Pooled(genes.to_numpy(dtype=object), row, umi, variance, ambient, exposures.ravel())


def _pooled_of(path: str, genes: pd.Index, row: dict[Key, int]) -> tuple[np.ndarray, ...]:
    """Return one file's groups as rows of UMIs, variances and ambient UMIs, and their exposure.

    Adds the groups to `row`, numbered on.
    """
    frame = pd.read_parquet(Path(path))
    names = frame[[*GROUP, "exposure"]].drop_duplicates(GROUP)
    keys = list(names[GROUP].itertuples(index=False, name=None))
    place = {key: i for i, key in enumerate(keys)}
    row |= {key: len(row) + i for i, key in enumerate(keys)}
    frame = frame[frame["gene"].isin(genes)]
    group = [place[key] for key in frame[GROUP].itertuples(index=False, name=None)]
    codes = genes.get_indexer(frame["gene"])
    tables = []
    for name in ("umi", "variance", "ambient"):
        table = np.zeros((len(keys), len(genes)), np.float32)
        table[group, codes] = frame[name]
        tables.append(table)
    return *tables, names["exposure"].to_numpy()


@dataclass(frozen=True)
class LibraryEffects:
    """Standard deviations of one library's log rates, a gene at a time.

    Attributes
    ----------
    shared_sd
        Part that all cell types of a library share; a difference-in-differences takes it out.
    own_sd
        Part of each cell type.
    n
        Gene × library × lineage residuals behind the estimate; 0 where it is the assumption.
    """

    shared_sd: float
    own_sd: float
    n: int

    @property
    def total_sd(self) -> float:
        """Standard deviation of one library's log rate in one cell type."""
        return float(np.hypot(self.shared_sd, self.own_sd))


def library_effects(
    pooled: Pooled, patients: Mapping[str, str], *, assumed_sd: float
) -> LibraryEffects:
    """Return how libraries differ in the lineages that every marrow holds.

    Residuals of log rates are taken about each gene's mean in a lineage, within a patient
    where a patient has several libraries. Products of two lineages' residuals have the shared
    variance as their expectation, whatever the sampling noise; squares have the sum of all.

    Parameters
    ----------
    patients
        Patient of each library.
    assumed_sd
        Total standard deviation where too few residuals can be had, and the least believed.
    """
    parts = _residuals(pooled, {s: (p,) for s, p in patients.items()})
    if sum(len(part) for part in parts.values()) < MIN_RESIDUALS:
        parts = _residuals(pooled, dict.fromkeys(patients, ("all",)))
    squares = np.concatenate([part["excess"] for part in parts.values()] or [np.array([])])
    if squares.size < MIN_RESIDUALS:
        half = assumed_sd / np.sqrt(2)
        return LibraryEffects(half, half, 0)
    total = max(float(squares.mean()), assumed_sd**2)
    wide = pd.concat({key: part["residual"] for key, part in parts.items()}, axis=1)
    products = [
        (wide[a] * wide[b]).dropna().to_numpy()
        for i, a in enumerate(wide.columns)
        for b in wide.columns[i + 1 :]
        if a[0] == b[0]
    ]
    together = np.concatenate(products or [np.array([])])
    shared = float(together.mean()) if together.size >= MIN_RESIDUALS else total / 2
    shared = min(max(shared, 0.0), total - LEAST_OWN_SD**2)
    return LibraryEffects(float(np.sqrt(shared)), float(np.sqrt(total - shared)), squares.size)


def _residuals(
    pooled: Pooled, blocks: Mapping[str, tuple[str]]
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return by library and lineage each gene's log residual within the block of libraries."""
    found = {}
    lineages = sorted({key[2] for key in pooled.row if key[1] == "lineage"})
    for block in sorted(set(blocks.values())):
        for lineage in lineages:
            samples = [
                sample
                for sample in blocks
                if blocks[sample] == block and (sample, "lineage", lineage) in pooled.row
            ]
            if len(samples) < 2:
                continue
            sums = [pooled.sums([(sample, "lineage", lineage)]) for sample in samples]
            native = np.array([one[0] for one in sums])
            # Enough expected everywhere: a filter by library would keep the high values only.
            exposure = np.array([one[2] for one in sums])
            expected = np.outer(exposure, native.sum(axis=0) / exposure.sum())
            use = expected.min(axis=0) >= MIN_UMI
            logs = np.log(np.maximum(native[:, use], 0.5) / exposure[:, None])
            scale = len(samples) / (len(samples) - 1)
            residual = (logs - logs.mean(axis=0)) * np.sqrt(scale)
            variance = np.array([one[1] for one in sums])[:, use]
            sampling = variance / expected[:, use] ** 2
            for i, sample in enumerate(samples):
                others = (sampling.sum(axis=0) - sampling[i]) / len(samples) ** 2
                noise = scale * (sampling[i] / scale**2 + others)
                part = pd.DataFrame(
                    {"residual": residual[i], "excess": residual[i] ** 2 - noise},
                    index=pooled.genes[use],
                )
                found[sample, lineage] = part[np.abs(part["residual"]) < LARGEST_RESIDUAL]
    return found


def matched_changes(
    pooled: Pooled, gene: str, numerator: Sequence[Key], denominator: Sequence[Key]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return genes expressed like `gene`, their log ratios and the sampling variances of these.

    Matched on the rate in numerator and denominator together, so that neither a gene lost nor
    a gene gained moves its own null.
    """
    nothing = np.array([], dtype=object), np.array([]), np.array([])
    top, bottom = pooled.sums(numerator), pooled.sums(denominator)
    place = np.flatnonzero(pooled.genes == gene)
    if top is None or bottom is None or not place.size:
        return nothing
    rate = np.maximum(top[0] / top[2], bottom[0] / bottom[2])
    own = rate[place[0]]
    both = (top[0] + bottom[0]) / (top[2] + bottom[2])
    use = (rate > own / MATCH_FOLD) & (rate < own * MATCH_FOLD) & (pooled.genes != gene)
    use &= both * min(top[2], bottom[2]) >= MIN_UMI
    if not use.any():
        return nothing
    logs = [np.log(np.maximum(side[0][use], 0.5) / side[2]) for side in (top, bottom)]
    noise = [side[1][use] / np.maximum(both[use] * side[2], 1.0) ** 2 for side in (top, bottom)]
    return pooled.genes[use], logs[0] - logs[1], noise[0] + noise[1]


def excess_sd(logs: np.ndarray, noise: np.ndarray) -> float:
    """Return the robust standard deviation of log ratios beyond sampling; NaN for too few."""
    if logs.size < MIN_MATCHED:
        return np.nan
    spread = MAD_TO_SD * np.median(np.abs(logs))
    return float(np.sqrt(max(spread**2 - np.median(noise), 0.0)))
