"""One patient's molecules: what each group of cells of each library holds of each gene of interest.

Everything that needs the counts happens here, a patient at a time; verdicts need the whole cohort
(panels, library effects) and are made from these small tables in `molecules.py`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from relapsescope.antigens.cell_groups import Group, cell_groups
from relapsescope.antigens.counted_cells import CellKey, cell_columns, counted_cells
from relapsescope.antigens.mixture import Mixed, add_mixed, mixed_exposure
from relapsescope.antigens.records import Kind, Library, Measure, Record, record_columns
from relapsescope.antigens.settings import TALLIED, CountedAntigens, CountedAnxa1
from relapsescope.antigens.surface import surface_records
from relapsescope.clones.files import PROBABILITY
from relapsescope.libraries.library_rna import LibraryRna, gene_in_cells, read_library
from relapsescope.settings import settings_of
from relapsescope.statistics.rates import tally
from relapsescope.statistics.retention import CellCounts
from relapsescope.tables import read_columns, write_parquet

# Edges of the depth strata, native UMIs a cell: doublings, because dropout halves with depth.
DEPTH_EDGES = (1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
HIGH_P = 0.01
MIN_NORMAL_CELLS = 20


def tally_molecules(
    libraries: Sequence[Mapping[str, Any]],
    *,
    clone_cells_path: str | None,
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
) -> None:
    """Write one patient's tallies: the patient's job.

    Parameters
    ----------
    libraries
        One mapping a library: `sample_id`, `patient_id`, `timepoint`, `tissue` and the paths
        `counts`, `cells`, `genes`, `summary`. Libraries whose verdict is `fail` are left out.
    clone_cells_path
        The patient's clone calls with their posterior; None for a donor without myeloma, all of
        whose plasma cells are normal.
    outputs
        Paths `molecules` (`records.SCHEMA`), `counted_cells` (cells of the groups of plasma cells
        by depth and molecules of each gene) and `pooled` (every gene's UMIs in the groups that
        stand for a lineage or a clone).
    settings
        Of the sections `antigens` and `anxa1` of the configuration the keys `TALLIED`.
    """
    counting = {
        section: {name: settings[section][name] for name in names}
        for section, names in TALLIED.items()
    }
    asked = Asked(
        settings_of(CountedAntigens, counting["antigens"], name="antigens"),
        settings_of(CountedAnxa1, counting["anxa1"], name="anxa1"),
    )
    calls = _clone_calls(clone_cells_path)
    found: list[LibraryTallies] = []
    for row in libraries:
        summary = json.loads(Path(row["summary"]).read_text(encoding="utf-8"))
        if summary["verdict"] != "fail":
            own = None if calls is None else calls.get(row["sample_id"])
            found.append(tally_library(row, summary, own, asked))
    records = [record for one in found for record in one.records]
    add_mixed(records, [part for one in found for part in one.mixed])
    columns = record_columns(records, {one.library.sample_id: one.library for one in found})
    counted = {key: cells for one in found for key, cells in one.counted.items()}
    write_parquet(Path(outputs["molecules"]), columns)
    write_parquet(Path(outputs["counted_cells"]), cell_columns(counted))
    write_parquet(Path(outputs["pooled"]), _stacked([part for one in found for part in one.pooled]))


@dataclass(frozen=True)
class Asked:
    """What is counted."""

    antigens: CountedAntigens
    anxa1: CountedAnxa1

    @property
    def genes(self) -> tuple[str, ...]:
        """Symbols that are judged."""
        return tuple(
            dict.fromkeys([self.antigens.car_target, *self.antigens.genes, self.anxa1.gene])
        )

    @property
    def tallied(self) -> tuple[str, ...]:
        """The same and identity genes of lineages: molecules of them tell of unseen doublets."""
        return tuple(dict.fromkeys(chain(self.genes, *self.anxa1.contaminants.values())))


@dataclass
class LibraryTallies:
    """What one library's cells hold."""

    library: Library
    records: list[Record] = field(default_factory=list)
    mixed: list[Mixed] = field(default_factory=list)
    counted: dict[CellKey, CellCounts] = field(default_factory=dict)
    pooled: list[dict[str, np.ndarray]] = field(default_factory=list)


def tally_library(
    row: Mapping[str, Any],
    summary: Mapping[str, Any],
    calls: Mapping[str, np.ndarray] | None,
    asked: Asked,
) -> LibraryTallies:
    """Return what was counted in one library.

    Parameters
    ----------
    row
        As `tally_molecules` takes it.
    calls
        The library's clone calls; None where there are none.
    """
    rna = read_library(row, summary)
    groups = cell_groups(
        read_columns(Path(row["cells"])),
        calls,
        rna.counts,
        profile=rna.profile,
        contaminants=asked.anxa1.contaminants,
        cycle_genes=asked.anxa1.cycle_genes,
        core_probability=asked.antigens.core_probability,
    )
    sample_id = row["sample_id"]
    found = LibraryTallies(_library_of(row, summary))
    for group in groups:
        found.records += rna_records(rna, sample_id, group, asked)
        found.records += coexpression_records(rna, sample_id, group, asked.anxa1)
        found.records += surface_records(rna.counts, sample_id, group, groups, asked.genes)
        found.records += high_records(rna, sample_id, group, groups, asked.anxa1)
        found.counted |= counted_cells(rna, sample_id, group, asked.genes)
        found.mixed += mixed_exposure(sample_id, group, rna.native[group.members])
        if group.pooled:
            found.pooled.append(pooled_columns(rna, sample_id, group))
    return found


def _library_of(row: Mapping[str, Any], summary: Mapping[str, Any]) -> Library:
    """Return of which library a record is, and what that library cannot show."""
    return Library(
        *(row[name] for name in ("sample_id", "patient_id", "timepoint", "tissue")),
        umi_ceiling=bool(summary["umi_ceiling_suspected"]),
        undetected_removed=bool(summary.get("undetected_genes_removed")),
        left_out=frozenset(summary.get("genes_left_out", ())),
    )


def rna_records(rna: LibraryRna, sample_id: str, group: Group, asked: Asked) -> list[Record]:
    """Return the records of one group: one a gene over all cells, and one a depth stratum."""
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    members = np.flatnonzero(group.members)
    depth = np.digitize(rna.native[members], DEPTH_EDGES)
    records = []
    for gene in asked.tallied:
        if gene not in place or not members.size:
            continue
        *cells, profile_umi = gene_in_cells(rna, place[gene], members)
        errors = {"ambient_log_sd": rna.log_sd, "profile_umi": profile_umi}
        umi, _, ambient = cells
        whole = tally(*cells, **errors, settings=asked.antigens.rates)
        records.append(
            Record(
                group.counted(sample_id, gene),
                whole.n_cells,
                whole,
                detected=int((umi >= 1).sum()),
                detected_twice=int((umi >= 2).sum()),
                detected_above_ambient=int((umi > ambient + 2 * np.sqrt(ambient)).sum()),
            )
        )
        for stratum in np.unique(depth) if group.is_plasma else ():
            inside = [values[depth == stratum] for values in cells]
            part = tally(*inside, **errors, settings=asked.antigens.rates)
            key = group.counted(sample_id, gene, stratum=int(stratum))
            records.append(Record(key, part.n_cells, part, detected=int((inside[0] >= 1).sum())))
    return records


def coexpression_records(
    rna: LibraryRna, sample_id: str, group: Group, settings: CountedAnxa1
) -> list[Record]:
    """Return how many cells with and without ANXA1 hold each other gene, for groups of plasma."""
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    if not group.is_plasma or settings.gene not in place:
        return []

    def holds(symbol: str) -> np.ndarray:
        return rna.columns[:, [place[symbol]]].toarray().ravel()[group.members] > 0

    with_gene = holds(settings.gene)
    records = []
    for other in settings.coexpressed:
        if other not in place:
            continue
        both = holds(other)
        records.append(
            Record(
                group.counted(sample_id, other, measure=Measure.COEXPRESSION),
                int(with_gene.sum()),
                detected=int((both & with_gene).sum()),
                n_without=int((~with_gene).sum()),
                detected_without=int((both & ~with_gene).sum()),
            )
        )
    return records


def high_records(
    rna: LibraryRna,
    sample_id: str,
    group: Group,
    groups: Sequence[Group],
    settings: CountedAnxa1,
) -> list[Record]:
    """Return how many malignant cells hold more ANXA1 than twice the usual rate explains.

    The usual rate is that of the library's normal plasma cells, else `usual_cpm`. Chance, with
    P <= 0.01 at twice the usual rate, would make the share `high_chance` of the cells so.
    """
    place = np.flatnonzero(rna.counts.symbols == settings.gene)
    if not (group.is_plasma and group.kind == Kind.ALL_MALIGNANT and place.size):
        return []
    usual = settings.usual_cpm / 1e6
    for other in groups:
        if other.kind == Kind.NORMAL_PLASMA and other.members.sum() >= MIN_NORMAL_CELLS:
            umi, exposure, ambient, _ = gene_in_cells(rna, place[0], np.flatnonzero(other.members))
            usual = max(umi.sum() - ambient.sum(), 1.0) / exposure.sum()
    umi, exposure, ambient, _ = gene_in_cells(rna, place[0], np.flatnonzero(group.members))
    limit = np.ceil(special.pdtrik(1 - HIGH_P, 2 * usual * exposure + ambient)) + 1
    chance = special.gammainc(limit, usual * exposure + ambient)
    high = {"high_cells": int((umi >= limit).sum()), "high_chance": float(chance.mean())}
    key = group.counted(sample_id, settings.gene, measure=Measure.HIGH)
    return [Record(key, len(umi), **high)]


def pooled_columns(rna: LibraryRna, sample_id: str, group: Group) -> dict[str, np.ndarray]:
    """Return every gene's UMIs and ambient UMIs in a group: its pseudobulk.

    Of plasma cells every annotated gene has a row, because no molecule of a gene is an answer
    there; of the lineages that serve as references, genes with a UMI only.
    """
    inside = rna.counts.matrix[group.members]
    umi = np.asarray(inside.sum(axis=0)).ravel()
    squares = np.asarray(inside.multiply(inside).sum(axis=0)).ravel()
    native = rna.native[group.members]
    # Squared residuals of the cells about the pooled rate: the sum's variance, cells differing.
    rate = umi / max(native.sum(), 1.0)
    variance = np.maximum(squares - rate**2 * (native**2).sum(), umi)
    seen = np.arange(umi.size) if group.kind != Kind.LINEAGE else np.flatnonzero(umi > 0)
    ambient = float(rna.ambient_umi[group.members].sum()) * rna.profile[seen]
    # As in `rates.tally`: errors of the ambient amount and of the gene's share of it.
    error = np.sqrt(np.expm1(rna.log_sd**2) + 1.0 / (rna.profile_umi[seen] + 0.5))
    n = seen.size
    return {
        "sample_id": np.full(n, sample_id, dtype=object),
        "kind": np.full(n, group.kind, dtype=object),
        "clone_id": np.full(n, group.clone_id, dtype=object),
        "gene": rna.counts.symbols[seen],
        "umi": umi[seen].astype(np.int64),
        "variance": variance[seen].astype(float),
        "ambient": ambient,
        "ambient_sd": ambient * error,
        "exposure": np.full(n, float(rna.native[group.members].sum())),
        "n_cells": np.full(n, int(group.members.sum()), dtype=np.int64),
    }


def _clone_calls(path: str | None) -> dict[str, dict[str, np.ndarray]] | None:
    """Return the clone calls by sample: columns by name."""
    if path is None:
        return None
    columns = read_columns(Path(path))
    wanted = ["barcode", "malignancy", "clone_id"]
    wanted += [name for name in columns if name.startswith(PROBABILITY)]
    return {
        sample: {name: columns[name][columns["sample_id"] == sample] for name in wanted}
        for sample in np.unique(columns["sample_id"].astype(str))
    }


def _stacked(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    empty = {"sample_id": object, "kind": object, "clone_id": object, "gene": object}
    numbers = {
        "umi": np.int64,
        "variance": float,
        "ambient": float,
        "ambient_sd": float,
        "exposure": float,
        "n_cells": np.int64,
    }
    if not parts:
        return {name: np.array([], dtype=kind) for name, kind in (empty | numbers).items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
