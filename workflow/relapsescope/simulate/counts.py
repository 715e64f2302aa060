"""From cells to molecules: native UMIs, ambient RNA, doublets, dying cells, debris."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from relapsescope.simulate.cells import draw_cells
from relapsescope.simulate.donors import IDENTITY_LEFT, Donor
from relapsescope.simulate.expression import (
    Genome,
    mitochondrial_shares,
    profile_table,
    programme,
)
from relapsescope.simulate.plan import CohortPlan, LibraryPlan, PatientPlan
from relapsescope.simulate.streams import generator

CAR_CPM = 600.0
CAR_LOG_SD = 0.6
DROPLET_LOG_SD = 0.3
DYING_KEEPS = (0.25, 0.7)
DYING_MITOCHONDRIAL = (0.25, 0.65)
DEBRIS_UMI, DEBRIS_LOG_SD = 220.0, 0.35
GAMMA_FROM = 0.15
PLASMA_SPLIT = {"heavy": 0.46, "light": 0.42, "heavy_v": 0.05, "light_v": 0.07}


@dataclass(frozen=True)
class Library:
    """A simulated library.

    Attributes
    ----------
    cells
        One row a barcode of the filtered matrix, in its order, with the truth of `draw_cells`
        and `barcode`, `quality`, `doublet`, `lineage2`, `cell_type2`, `native_umi`, `ambient_umi`.
    filtered, raw
        (n_barcodes, n_genes + 1) int32 canonical counts; the CAR is the last column.
    raw_barcodes
        Barcodes of `raw`, sorted; they include those of `filtered`.
    soup
        (n_genes + 1,) the true ambient profile, sums to 1.
    anxa1_shift
        The library's own factor on ANXA1, by chance.
    """

    cells: pd.DataFrame
    filtered: sparse.csr_matrix
    raw: sparse.csr_matrix
    raw_barcodes: np.ndarray
    soup: np.ndarray
    anxa1_shift: float

    def without_counts(self) -> Library:
        """Return the library with its matrices emptied, to spare memory."""
        none = sparse.csr_matrix((0, self.filtered.shape[1]), dtype=np.int32)
        return replace(self, filtered=none, raw=none)


def draw_library(
    plan: CohortPlan,
    patient: PatientPlan,
    library: LibraryPlan,
    person: Donor,
    genes: Genome,
    *,
    seed: int,
    scale: float,
) -> Library:
    """Return one library's matrices and truth, fixed by the seed and the library's name."""
    rng = generator(seed, "library", patient.sample_id(library))
    n = max(20, round(library.cells * scale))
    n_doublets = round(n * min(0.4, library.doublets_per_1000 * library.cells / 1000.0))
    cells = draw_cells(patient, library, person, n + n_doublets, rng)
    cells["quality"] = "live"
    cells.loc[: n - 1, "quality"] = _qualities(library, n, n_doublets, rng)
    _spoil(cells, rng)
    effect = np.exp(rng.normal(0.0, plan.library_effect, len(genes.gene_ids) + 1))
    native, expected = _native(cells, person, genes, effect, rng)
    cells, native, expected = _merge_doublets(cells, native, expected, n, n_doublets)
    cells["native_umi"] = np.asarray(native.sum(axis=1)).ravel()
    soup = _soup(cells, expected)
    mean = cells["native_umi"].mean() * library.ambient / (1.0 - library.ambient)
    droplets = mean * np.exp(rng.normal(-(DROPLET_LOG_SD**2) / 2, DROPLET_LOG_SD, n))
    ambient = _ambient(soup, rng.poisson(droplets), rng)
    cells["ambient_umi"] = np.asarray(ambient.sum(axis=1)).ravel()
    counts = (native + ambient).tocsr()
    n_empty = max(100, round(plan.empty_droplets * scale))
    empty = _empty(soup, mean, n_empty, rng)
    barcodes = _barcodes(n + n_empty, rng)
    cells["barcode"] = barcodes[:n]
    raw_order = np.argsort(barcodes, kind="stable")
    raw = sparse.vstack([counts, empty], format="csr")[raw_order]
    total = np.asarray(counts.sum(axis=1)).ravel()
    kept = np.flatnonzero(total > 0)
    if library.umi_ceiling:
        kept = kept[total[kept] < library.umi_ceiling]
    kept = kept[np.argsort(cells["barcode"].to_numpy()[kept], kind="stable")]
    return Library(
        cells=cells.iloc[kept].reset_index(drop=True),
        filtered=_canonical(counts[kept]),
        raw=_canonical(raw),
        raw_barcodes=barcodes[raw_order],
        soup=soup,
        anxa1_shift=float(effect[genes.index["ANXA1"]]),
    )


def _qualities(
    library: LibraryPlan, n: int, n_doublets: int, rng: np.random.Generator
) -> np.ndarray:
    """Return what became of the barcodes; the first `n_doublets` stay live."""
    drawn = rng.random(n)
    quality = np.where(drawn < library.dying, "dying", "live").astype(object)
    quality[drawn > 1.0 - library.debris] = "debris"
    quality[:n_doublets] = "live"
    return quality


def _spoil(cells: pd.DataFrame, rng: np.random.Generator) -> None:
    """Take cytoplasmic RNA from dying cells, nearly all from debris."""
    n = len(cells)
    dying = (cells["quality"] == "dying").to_numpy()
    debris = (cells["quality"] == "debris").to_numpy()
    kept = rng.uniform(*DYING_KEEPS, n)
    mitochondrial = rng.uniform(*DYING_MITOCHONDRIAL, n)
    size = DEBRIS_UMI * np.exp(rng.normal(0.0, DEBRIS_LOG_SD, n))
    umi = cells["umi"].to_numpy(float)
    umi = np.where(dying, umi * kept, umi)
    cells["umi"] = np.where(debris, np.minimum(size, 0.3 * umi), umi)
    cells["mitochondrial"] = np.where(dying, mitochondrial, cells["mitochondrial"])


def _native(
    cells: pd.DataFrame,
    person: Donor,
    genes: Genome,
    effect: np.ndarray,
    rng: np.random.Generator,
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return the cells' own counts (n_cells, n_genes + 1), and each cell's rates by group sums.

    The second value is (n_cells, n_genes + 1) float32, each cell's expected counts.
    """
    n_genes = len(genes.gene_ids)
    dispersion = np.append(genes.dispersion, np.float32(0.1))
    expected = np.zeros((len(cells), n_genes + 1), dtype=np.float32)
    drawn = np.zeros((len(cells), n_genes + 1), dtype=np.int32)
    key = cells["profile"].astype(str) + "/" + cells["clone"].astype(str)
    for name in sorted(key.unique()):
        at = np.flatnonzero((key == name).to_numpy())
        rates = _expected(cells.iloc[at], person, genes, effect, rng)
        expected[at] = rates
        # Gene-to-gene noise beyond Poisson matters only where a gene is counted at all.
        noisy = np.flatnonzero(rates.max(axis=0) > GAMMA_FROM)
        shape = (1.0 / dispersion[noisy]).astype(np.float32)
        gamma = rng.standard_gamma(np.broadcast_to(shape, (len(at), len(noisy))), dtype=np.float32)
        rates[:, noisy] *= gamma * dispersion[noisy]
        drawn[at] = rng.poisson(rates)
    return sparse.csr_matrix(drawn), expected


def _expected(
    cells: pd.DataFrame,
    person: Donor,
    genes: Genome,
    effect: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the expected counts of cells of one profile and clone, (n, n_genes + 1) float32."""
    n, n_genes = len(cells), len(genes.gene_ids)
    profile, clone = cells["profile"].iat[0], cells["clone"].iat[0]
    base = person.clones[clone] if clone else person.profiles[profile]
    rates = np.repeat(base[None, :].astype(np.float32), n, axis=0)
    for at, (share, kept) in person.retained.get(clone or "", {}).items():
        rates[rng.random(n) < share, at] = kept
    if clone in person.identity:
        lost = cells["identity_lost"].to_numpy(bool)
        rates[np.ix_(lost, person.identity[clone][1])] *= IDENTITY_LEFT
    neighbour = profile_table().loc[profile, "neighbour"]
    if neighbour and not clone:
        # Cell types grade into one another: up to 30 % of the neighbour's expression.
        towards = (0.3 * rng.beta(1.0, 3.0, n)).astype(np.float32)[:, None]
        rates += towards * (person.profiles[neighbour].astype(np.float32) - rates)
    weights = {
        "cycling_S": (cells["cycling"] & (cells["phase"] == "S")).to_numpy(float),
        "cycling_G2M": (cells["cycling"] & (cells["phase"] == "G2M")).to_numpy(float),
        "exhausted": cells["exhausted"].to_numpy(float) * rng.uniform(0.5, 1.0, n),
        "suppressive": cells["suppressive"].to_numpy(float) * rng.uniform(0.5, 1.0, n),
        "stress": 0.5 * rng.beta(1.0, 6.0, n),
        "interferon": 0.5 * rng.beta(1.0, 12.0, n),
    }
    for name, weight in weights.items():
        if weight.any():
            index, values = programme(genes, name)
            change = values.astype(np.float32) - rates[:, index]
            rates[:, index] += weight[:, None].astype(np.float32) * change
    rates *= effect[:n_genes].astype(np.float32)
    rates /= rates.sum(axis=1, keepdims=True)
    umi = cells["umi"].to_numpy(float)
    immunoglobulin = cells["immunoglobulin"].to_numpy(float)
    mitochondrial = cells["mitochondrial"].to_numpy(float) * (1.0 - immunoglobulin)
    nuclear = umi * (1.0 - immunoglobulin - mitochondrial)
    full = np.zeros((n, n_genes + 1), dtype=np.float32)
    full[:, :n_genes] = rates * nuclear[:, None].astype(np.float32)
    index, shares = mitochondrial_shares(genes)
    full[:, index] = (umi * mitochondrial)[:, None] * shares[None, :]
    for column, share in PLASMA_SPLIT.items():
        symbols = cells[column].to_numpy(object)
        carried = np.flatnonzero([s is not None for s in symbols])
        rows = [genes.index[symbols[i]] for i in carried]
        full[carried, rows] += (umi * immunoglobulin * share)[carried]
    amount = CAR_CPM / 1e6 * np.exp(rng.normal(0.0, CAR_LOG_SD, n))
    full[:, n_genes] = cells["car"].to_numpy(float) * nuclear * amount
    return full


def _merge_doublets(
    cells: pd.DataFrame,
    native: sparse.csr_matrix,
    expected: np.ndarray,
    n: int,
    n_doublets: int,
) -> tuple[pd.DataFrame, sparse.csr_matrix, np.ndarray]:
    """Put the last `n_doublets` cells into the droplets of the first ones."""
    partners = cells.iloc[n:]
    merged = cells.iloc[:n].copy()
    merged["doublet"] = np.arange(n) < n_doublets
    for column in ("lineage", "cell_type"):
        second = np.full(n, None, dtype=object)
        second[:n_doublets] = partners[column].to_numpy(object)
        merged[f"{column}2"] = second
    same = (merged["lineage"] == merged["lineage2"]).to_numpy()
    kind = np.full(n, None, dtype=object)
    kind[:n_doublets] = np.where(same[:n_doublets], "homotypic", "heterotypic")
    merged["doublet_type"] = kind
    extra = sparse.vstack(
        [native[n:], sparse.csr_matrix((n - n_doublets, native.shape[1]), dtype=native.dtype)]
    )
    return merged, (native[:n] + extra).tocsr(), expected[:n]


def _soup(cells: pd.DataFrame, expected: np.ndarray) -> np.ndarray:
    """Return the ambient profile: the library's own RNA, cells that burst weighted up."""
    weight = profile_table().loc[cells["profile"], "lysis_weight"].to_numpy(float)
    weight = weight * np.where(cells["quality"] == "live", 1.0, 2.0)
    soup = (expected * weight[:, None].astype(np.float32)).sum(axis=0, dtype=np.float64)
    return soup / soup.sum()


def _ambient(soup: np.ndarray, totals: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return (n_droplets, n_features) counts with the given totals drawn from `soup`."""
    cumulative = np.cumsum(soup)
    drawn = np.searchsorted(cumulative, rng.random(int(totals.sum())) * cumulative[-1], "right")
    drawn = np.minimum(drawn, len(soup) - 1)
    rows = np.repeat(np.arange(len(totals)), totals)
    ones = np.ones(len(drawn), dtype=np.int32)
    return sparse.csr_matrix((ones, (rows, drawn)), shape=(len(totals), len(soup)), dtype=np.int32)


def _empty(soup: np.ndarray, mean: float, n: int, rng: np.random.Generator) -> sparse.csr_matrix:
    """Return droplets without a cell: two in three filled, the others nearly unused barcodes."""
    filled = np.arange(n) < (2 * n) // 3
    size = np.where(filled, mean, 3.0) * np.exp(rng.normal(-0.045, DROPLET_LOG_SD, n))
    return _ambient(soup, 1 + rng.poisson(size), rng)


def _barcodes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` different 16-base barcodes with Cell Ranger's suffix, in random order."""
    letters = np.array(list("ACGT"))
    found: dict[str, None] = {}
    while len(found) < n:
        for row in letters[rng.integers(0, 4, (n, 16))]:
            found.setdefault("".join(row) + "-1")
    return np.array(list(found)[:n])


def _canonical(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    counts = counts.tocsr()
    counts.sum_duplicates()
    counts.sort_indices()
    counts.eliminate_zeros()
    return counts.astype(np.int32)
