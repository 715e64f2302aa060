"""Place new libraries' immune cells on a frozen atlas: coordinates, cluster, type and novelty."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.atlas.integration import Encoder
from relapsescope.reference.atlas_file import ALL_TYPES, ReferenceAtlas, neighbours_in
from relapsescope.vocabulary import CELL_TYPES

LINEAGE_OF = {kind: lineage for lineage, kinds in CELL_TYPES.items() for kind in kinds}


@dataclass(frozen=True)
class Placed:
    """Where a library's cells lie on the reference's atlas; arrays are (n_cells,).

    Attributes
    ----------
    latent, coordinates
        (n_cells, n_latent) and (n_cells, 2).
    placed_type, leiden
        The neighbours' most common type and cluster.
    distance
        Mean distance to the neighbours.
    novel
        Whether the reference has nothing like the cell, for one of the `REASONS`.
    missing
        Share of the encoder's genes that the library's annotation lacks.
    """

    latent: np.ndarray
    coordinates: np.ndarray
    placed_type: np.ndarray
    leiden: np.ndarray
    distance: np.ndarray
    novel: np.ndarray
    missing: float


def place(
    atlas: ReferenceAtlas,
    counts: sparse.csr_matrix,
    gene_ids: np.ndarray,
    total_counts: np.ndarray,
    cell_type: np.ndarray,
) -> Placed:
    """Return where a library's cells lie.

    A cell is novel where its own type (called from its markers, without the reference) has too few
    cells in the reference to have a place, where none of its neighbours is of its lineage, or
    where it lies farther from them than cells of left-out libraries do.

    Parameters
    ----------
    counts, gene_ids
        (n_cells, n_genes) of those of the encoder's genes that the library has, and which.
    total_counts, cell_type
        (n_cells,) counts of all genes, and types from the library's own job.
    """
    known = np.isin(atlas.gene_ids.astype(str), gene_ids.astype(str))
    latent = encode(atlas, counts, gene_ids, total_counts, cell_type)
    nearest, distances = neighbours_in(latent, atlas.latent)
    distance = distances.mean(axis=1)
    weight = 1 / (distances + 1e-6)
    weight /= weight.sum(axis=1, keepdims=True)
    coordinates = (atlas.coordinates[nearest] * weight[:, :, None]).sum(axis=1)
    limit = np.array([limit_of(atlas, kind) for kind in cell_type])
    there = np.isin(cell_type.astype(str), list(placed_types(atlas)))
    lineage = np.array([LINEAGE_OF.get(kind, kind) for kind in cell_type], dtype=object)
    around = np.array([LINEAGE_OF.get(kind, kind) for kind in atlas.cell_type], dtype=object)
    alone = ~(around[nearest] == lineage[:, None]).any(axis=1)
    return Placed(
        latent=latent,
        coordinates=coordinates.astype(np.float32),
        placed_type=most_common(atlas.cell_type[nearest]),
        leiden=most_common(atlas.leiden[nearest]),
        distance=distance,
        novel=~there | alone | (distance > limit),
        missing=float((~known).mean()),
    )


def limit_of(atlas: ReferenceAtlas, cell_type: str) -> float:
    """Return the distance beyond which a cell of a type is novel; infinite without any limit."""
    one = atlas.limits.get(str(cell_type), atlas.limits.get(ALL_TYPES))
    return one.distance if one else np.inf


def placed_types(atlas: ReferenceAtlas, *, least: int = 5) -> set[str]:
    """Return the types of which the reference holds at least so many cells."""
    return {kind for kind, n in Counter(atlas.cell_type.astype(str)).items() if n >= least}


def encode(
    atlas: ReferenceAtlas,
    counts: sparse.csr_matrix,
    gene_ids: np.ndarray,
    total_counts: np.ndarray,
    cell_type: np.ndarray,
) -> np.ndarray:
    """Return latent coordinates; genes that the library lacks count as its type's cells have them.

    A gene that an annotation lacks is unknown, not unexpressed: zeros would move every cell the
    same way. Its expected count, given the cell's type and depth, takes its place.
    """
    place_of = {gene: i for i, gene in enumerate(gene_ids)}
    columns = [place_of.get(gene, -1) for gene in atlas.gene_ids]
    lacking = np.array([column < 0 for column in columns])
    # An empty column at the end stands for genes that are not there.
    padded = sparse.hstack([counts, sparse.csr_matrix((counts.shape[0], 1))], format="csr")
    full = padded[:, columns]
    if not lacking.any():
        return atlas.encoder.encode(full, total_counts)
    common = np.mean(list(atlas.rates.values()), axis=0)
    expected = np.zeros((full.shape[0], int(lacking.sum())), dtype=np.float32)
    for kind in np.unique(cell_type.astype(str)):
        here = np.flatnonzero(cell_type == kind)
        rate = atlas.rates.get(kind, common)[lacking]
        expected[here] = total_counts[here, None] * rate
    return _encode_with(atlas.encoder, full, np.flatnonzero(lacking), expected, total_counts)


def _encode_with(
    encoder: Encoder,
    counts: sparse.csr_matrix,
    columns: np.ndarray,
    expected: np.ndarray,
    total_counts: np.ndarray,
) -> np.ndarray:
    """Return the coordinates of counts in which `columns` hold `expected` values."""
    filled = counts.tolil()
    filled[:, columns] = expected
    return encoder.encode(filled.tocsr(), total_counts)


def most_common(words: np.ndarray) -> np.ndarray:
    """Return the most common word of each row, of equals the one that is nearest."""
    names, codes = np.unique(words.astype(str), return_inverse=True)
    codes = codes.reshape(words.shape)
    votes = np.zeros((len(codes), len(names)))
    # Nearer neighbours decide ties.
    weight = 1 + 1e-3 * np.arange(words.shape[1])[::-1] / words.shape[1]
    for column, value in zip(codes.T, weight, strict=True):
        votes[np.arange(len(codes)), column] += value
    return names[votes.argmax(axis=1)].astype(object)
