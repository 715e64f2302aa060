"""Variable genes: the ranks of the libraries, merged over the cohort."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from relapsescope.intake.genes import gene_classes

# Why genes of a class do not shape the map, in the words of `genes.tsv`. A gene gets the first.
LEFT_OUT = {
    "immunoglobulin": "immunoglobulin: clone-private, and the main ambient RNA of a myeloma marrow",
    "t_cell_receptor_variable": "T-cell receptor variable gene: tells clones apart, not states",
    "sex": "sex gene: tells donors apart, not states",
    "mitochondrial": "mitochondrial: follows damage and handling",
    "ribosomal": "ribosomal: follows depth and chemistry",
    "haemoglobin": "haemoglobin: without erythroid cells in the map, ambient RNA",
}
CAR_FEATURE = "CAR feature: engineered, in treated patients only"


@dataclass(frozen=True)
class LibraryGenes:
    """What a library brings to the selection; arrays are (n_genes,)."""

    gene_ids: np.ndarray
    symbols: np.ndarray
    rank: np.ndarray
    n_cells: int  # that the ranks are made from


@dataclass(frozen=True)
class GeneSelection:
    """The selected genes, most variable first, and the table of all candidates."""

    gene_ids: np.ndarray
    symbols: np.ndarray
    table: dict[str, np.ndarray]  # columns of genes.tsv


def select_genes(
    libraries: Mapping[str, LibraryGenes],
    *,
    n_genes: int,
    min_cells: int,
    car_features: Collection[str] = (),
) -> GeneSelection:
    """Return the genes that vary in most libraries, then those of the best median rank.

    Parameters
    ----------
    libraries
        By sample_id. Only genes that every library has are candidates: a gene missing from one
        reference would look unexpressed there.
    n_genes
        Genes to select, and the rank up to which a gene counts as variable in a library.
    min_cells
        Libraries with fewer cells do not vote (unless all are so small): their ranks are noise.
    car_features
        Names or identifiers of CAR features that a matrix lists among its genes.

    Notes
    -----
    The order is that of Seurat's ``SelectIntegrationFeatures`` (scanpy's ``seurat_v3_paper``), not
    median rank first: there, a gene that is variable in one library only, at a good rank, comes
    before a gene variable in all.
    """
    names = sorted(libraries)
    first = libraries[names[0]]
    shared = set(first.gene_ids)
    for name in names[1:]:
        if libraries[name].gene_ids is not first.gene_ids:
            shared.intersection_update(libraries[name].gene_ids)
    kept = np.fromiter((g in shared for g in first.gene_ids), bool, len(first.gene_ids))
    gene_ids, symbols = first.gene_ids[kept], first.symbols[kept]

    voters = [name for name in names if libraries[name].n_cells >= min_cells] or names
    ranks = np.full((len(voters), len(gene_ids)), np.nan)
    for row, name in zip(ranks, voters, strict=True):
        library = libraries[name]
        if library.gene_ids is first.gene_ids:
            row[:] = library.rank[kept]
            continue
        at = {gene: i for i, gene in enumerate(library.gene_ids)}
        row[:] = library.rank[[at[gene] for gene in gene_ids]]
    reason = _reasons(gene_ids, symbols, car_features)
    open_to = reason == ""
    # Ranks among candidates: classes left out must not use up a library's places.
    candidate_ranks = np.full_like(ranks, np.nan)
    order = np.argsort(ranks[:, open_to], axis=1, kind="stable")
    places = np.argsort(order, axis=1, kind="stable").astype(float)
    places[np.isnan(ranks[:, open_to])] = np.nan
    candidate_ranks[:, open_to] = places
    candidate_ranks[candidate_ranks >= n_genes] = np.nan

    n_libraries = np.isfinite(candidate_ranks).sum(axis=0)
    median = np.full(len(gene_ids), np.nan)
    some = n_libraries > 0
    median[some] = np.nanmedian(candidate_ranks[:, some], axis=0)
    order = np.lexsort((gene_ids.astype(str), np.where(some, median, np.inf), -n_libraries))
    order = order[some[order]]
    chosen = order[:n_genes]
    place = np.full(len(gene_ids), np.nan)
    place[chosen] = np.arange(1, len(chosen) + 1)
    selected = np.isfinite(place)
    reason[~selected & open_to] = "not among the most variable"
    rows = np.concatenate([chosen, np.setdiff1d(np.arange(len(gene_ids)), chosen)])
    table = {
        "gene_id": gene_ids[rows],
        "symbol": symbols[rows],
        "rank": place[rows],
        "selected": selected[rows],
        "n_libraries": n_libraries[rows],
        "median_rank": median[rows],
        "left_out": reason[rows],
    }
    return GeneSelection(gene_ids[chosen], symbols[chosen], table)


def _reasons(
    gene_ids: np.ndarray, symbols: np.ndarray, car_features: Collection[str]
) -> np.ndarray:
    """Return why each gene may not be selected; empty where it may."""
    reason = np.full(len(symbols), "", dtype=object)
    classes = gene_classes(symbols)
    for name, text in LEFT_OUT.items():
        reason[classes[name] & (reason == "")] = text
    car = {name for name in car_features if name}
    is_car = np.fromiter(
        (g in car or s in car for g, s in zip(gene_ids, symbols, strict=True)), bool, len(symbols)
    )
    reason[is_car] = CAR_FEATURE
    return reason
