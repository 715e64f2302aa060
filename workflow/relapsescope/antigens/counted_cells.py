"""The cells of each group by depth and a gene's molecules: what a mixture is told from."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relapsescope.antigens.cell_groups import PLASMA_KINDS, Group
from relapsescope.antigens.records import Kind, Subset
from relapsescope.libraries.library_rna import LibraryRna, gene_in_cells
from relapsescope.statistics.retention import CellCounts, cell_counts

# Groups that are judged, that serve as a reference, or whose share in all malignant cells counts.
KINDS = (*PLASMA_KINDS, Kind.UNSURE)
KEY = ("sample_id", "kind", "clone_id", "gene")
NUMBERS = ("umi", "exposure", "ambient", "cells")

CellKey = tuple[str, str, str, str]


def counted_cells(
    rna: LibraryRna, sample_id: str, group: Group, genes: Sequence[str]
) -> dict[CellKey, CellCounts]:
    """Return the cells of one group, counted for each gene that the library's matrix holds."""
    if group.kind not in KINDS or group.subset != Subset.OWN:
        return {}
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    members = np.flatnonzero(group.members)
    return {
        (sample_id, group.kind, group.clone_id, gene): cell_counts(
            *gene_in_cells(rna, place[gene], members)[:3]
        )
        for gene in genes
        if gene in place
    }


def cell_columns(found: Mapping[CellKey, CellCounts]) -> dict[str, np.ndarray]:
    """Return the counted cells as the columns of one table, groups one after the other."""
    lengths = [len(group.cells) for group in found.values()]
    text = {
        name: np.repeat(np.array([key[i] for key in found], dtype=object), lengths)
        for i, name in enumerate(KEY)
    }
    parts = {name: [getattr(group, name) for group in found.values()] for name in NUMBERS}
    return text | {name: np.concatenate([np.array([]), *parts[name]]) for name in NUMBERS}


def read_counted_cells(paths: Sequence[str]) -> dict[CellKey, CellCounts]:
    """Return the counted cells of all patients, as `cell_columns` laid them out."""
    found: dict[CellKey, CellCounts] = {}
    for path in paths:
        table = pq.read_table(Path(path), read_dictionary=list(KEY))
        if not table.num_rows:
            continue
        codes, words = [], []
        for name in KEY:
            column = table.column(name).combine_chunks()
            column = column if isinstance(column, pa.DictionaryArray) else column.chunk(0)
            codes.append(column.indices.to_numpy())
            words.append(column.dictionary.to_pylist())
        numbers = [table.column(name).to_numpy() for name in NUMBERS]
        changes = np.flatnonzero(np.any(np.diff(np.stack(codes), axis=1) != 0, axis=0)) + 1
        edges = [0, *changes.tolist(), table.num_rows]
        for start, end in itertools.pairwise(edges):
            key = tuple(word[code[start]] for word, code in zip(words, codes, strict=True))
            found[key] = CellCounts(*(values[start:end] for values in numbers))
    return found
