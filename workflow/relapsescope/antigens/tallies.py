"""One patient's molecules: what each group of cells of each library holds of each gene of interest.

Everything that needs the counts happens here, a patient at a time; verdicts need the whole cohort
(panels, library effects) and are made from these small tables in `molecules.py`.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from relapsescope.antigens.cell_groups import Group, cell_groups
from relapsescope.antigens.counted_cells import CellKey, cell_columns, counted_cells
from relapsescope.antigens.mixture import Mixed, add_mixed, mixed_exposure
from relapsescope.antigens.settings import AntigenSettings, Anxa1Settings
from relapsescope.antigens.surface import surface_rows
from relapsescope.clones.files import PROBABILITY
from relapsescope.libraries.library_rna import LibraryRna, gene_in_cells, read_library
from relapsescope.settings import settings_of
from relapsescope.statistics.rates import Tally, tally
from relapsescope.statistics.retention import CellCounts
from relapsescope.statistics.settings import RateSettings
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
        `counts`, `cells`, `genes`, `summary`.
    clone_cells_path
        The patient's clone calls with their posterior; None for healthy donors.
    outputs
        Paths `molecules`, `counted_cells` and `pooled`.
    settings
        Sections `antigens` and `anxa1` of the configuration.
    """
    antigens = settings_of(AntigenSettings, settings["antigens"], name="antigens")
    high = settings_of(Anxa1Settings, settings["anxa1"], name="anxa1")
    tally_patient(
        libraries,
        clone_cells_path=clone_cells_path,
        molecules_path=outputs["molecules"],
        counted_cells_path=outputs["counted_cells"],
        pooled_path=outputs["pooled"],
        genes=tuple(dict.fromkeys([antigens.car_target, *antigens.genes, high.gene])),
        coexpressed=(high.gene, high.coexpressed),
        contaminants=high.contaminants,
        cycle_genes=high.cycle_genes,
        usual_cpm=high.usual_cpm,
        core_probability=antigens.core_probability,
        rates=antigens.rates,
    )


def tally_patient(
    libraries: Sequence[Mapping[str, Any]],
    *,
    clone_cells_path: str | None,
    molecules_path: str,
    counted_cells_path: str,
    pooled_path: str,
    genes: Sequence[str],
    coexpressed: tuple[str, Sequence[str]],
    contaminants: Mapping[str, Sequence[str]],
    cycle_genes: Sequence[str],
    usual_cpm: float,
    core_probability: float,
    rates: RateSettings,
) -> None:
    """Write a patient's molecules: one row a library × group of cells × gene × depth stratum.

    Parameters
    ----------
    libraries
        One mapping a library: the sheet's `sample_id`, `patient_id`, `timepoint`, `tissue`, and
        the paths `counts`, `cells`, `genes` and `summary` that its job wrote. Libraries whose
        verdict is `fail` are left out.
    clone_cells_path
        The patient's `posterior.parquet` of the clone calls; None for a donor without myeloma, all
        of whose plasma cells are normal.
    molecules_path
        Rows of `stratum` -1 hold all cells of the group, others those of one depth.
    counted_cells_path
        The cells of the groups of plasma cells by depth and molecules of each gene.
    pooled_path
        Every gene's UMIs in the groups that stand for a lineage or a clone.
    genes
        Symbols to tally in every group: antigens, ANXA1 and its receptors' axis.
    coexpressed
        A gene, and the genes whose presence in the same cells is counted.
    contaminants
        Identity genes by lineage: molecules of them in plasma cells tell of unseen doublets.
    cycle_genes
        Genes of which two or more molecules make a malignant cell `cycling`.
    usual_cpm
        Rate of the first of `coexpressed` in normal plasma cells, for libraries with too few.
    core_probability
        From which a cell is surely of its clone; clones' rates rest on such cells.
    """
    calls = _clone_calls(clone_cells_path)
    rows: list[dict[str, Any]] = []
    pooled: list[dict[str, np.ndarray]] = []
    mixed: list[Mixed] = []
    counted: dict[CellKey, CellCounts] = {}
    for library in libraries:
        summary = json.loads(Path(library["summary"]).read_text(encoding="utf-8"))
        if summary["verdict"] == "fail":
            continue
        rna = read_library(library, summary)
        cells = read_columns(Path(library["cells"]))
        found = cell_groups(
            cells,
            calls.get(library["sample_id"]) if calls is not None else None,
            rna.counts,
            profile=rna.profile,
            contaminants=contaminants,
            cycle_genes=cycle_genes,
            core_probability=core_probability,
        )
        place = _place_of(library, summary)
        wanted = list(dict.fromkeys(chain(genes, *contaminants.values())))
        for group in found:
            rows += [place | row for row in group_rows(rna, group, wanted, rates)]
            rows += [place | row for row in coexpression_rows(rna, group, *coexpressed)]
            rows += [place | row for row in surface_rows(rna.counts, group, found, genes)]
            rows += [place | row for row in high_rows(rna, group, found, coexpressed[0], usual_cpm)]
            counted |= counted_cells(rna, library["sample_id"], group, genes)
            mixed += mixed_exposure(library["sample_id"], group, rna.native[group.members])
        pooled += [pooled_columns(rna, library["sample_id"], g) for g in found if g.pooled]
    add_mixed(rows, mixed)
    write_parquet(Path(molecules_path), molecule_columns(rows))
    write_parquet(Path(counted_cells_path), cell_columns(counted))
    write_parquet(Path(pooled_path), _stacked(pooled))


def _place_of(library: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that say of which library a row is, and what that library cannot show."""
    names = ("patient_id", "sample_id", "timepoint", "tissue")
    return {name: library[name] for name in names} | {
        "umi_ceiling": bool(summary["umi_ceiling_suspected"]),
        "undetected_removed": bool(summary.get("undetected_genes_removed")),
        "left_out": ";".join(summary.get("genes_left_out", ())),
    }


def group_rows(
    rna: LibraryRna, group: Group, genes: Sequence[str], rates: RateSettings
) -> list[dict[str, Any]]:
    """Return the rows of one group: a row a gene over all cells, and one a depth stratum."""
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    members = np.flatnonzero(group.members)
    stratum = np.digitize(rna.native[members], DEPTH_EDGES)
    name = {"kind": group.kind, "clone_id": group.clone_id}
    rows = []
    for gene in genes:
        if gene not in place or not members.size:
            continue
        umi, exposure, ambient, profile_umi = gene_in_cells(rna, place[gene], members)
        everything = tally(
            umi,
            exposure,
            ambient,
            ambient_log_sd=rna.log_sd,
            profile_umi=profile_umi,
            settings=rates,
        )
        seen = {
            "detected": int((umi >= 1).sum()),
            "detected_twice": int((umi >= 2).sum()),
            "detected_above_ambient": int((umi > ambient + 2 * np.sqrt(ambient)).sum()),
        }
        rows.append(name | {"gene": gene, "stratum": -1} | vars(everything) | seen)
        if group.kind not in ("clone", "all_malignant", "normal_plasma"):
            continue
        for number in np.unique(stratum):
            inside = stratum == number
            part = tally(
                umi[inside],
                exposure[inside],
                ambient[inside],
                ambient_log_sd=rna.log_sd,
                profile_umi=profile_umi,
                settings=rates,
            )
            seen = {"detected": int((umi[inside] >= 1).sum())}
            rows.append(name | {"gene": gene, "stratum": int(number)} | vars(part) | seen)
    return rows


def coexpression_rows(
    rna: LibraryRna, group: Group, gene: str, others: Sequence[str]
) -> list[dict[str, Any]]:
    """Return how many cells with and without `gene` hold each other gene, for malignant groups."""
    place = {symbol: i for i, symbol in enumerate(rna.counts.symbols)}
    if group.kind not in ("clone", "all_malignant", "normal_plasma") or gene not in place:
        return []

    def holds(symbol: str) -> np.ndarray:
        return rna.columns[:, [place[symbol]]].toarray().ravel()[group.members] > 0

    with_gene = holds(gene)
    rows = []
    for other in others:
        if other not in place:
            continue
        both = holds(other)
        rows.append(
            {
                "kind": f"{group.kind}:coexpression",
                "clone_id": group.clone_id,
                "gene": other,
                "stratum": -1,
                "n_cells": int(with_gene.sum()),
                "detected": int((both & with_gene).sum()),
                "n_without": int((~with_gene).sum()),
                "detected_without": int((both & ~with_gene).sum()),
            }
        )
    return rows


def high_rows(
    rna: LibraryRna, group: Group, groups: Sequence[Group], gene: str, usual_cpm: float
) -> list[dict[str, Any]]:
    """Return how many malignant cells hold more of `gene` than twice the usual rate explains.

    The usual rate is that of the library's normal plasma cells, else `usual_cpm`. Chance, with
    P <= 0.01 at twice the usual rate, would make the share `high_chance` of the cells so.
    """
    place = np.flatnonzero(rna.counts.symbols == gene)
    if group.kind != "all_malignant" or not place.size:
        return []
    usual = usual_cpm / 1e6
    for other in groups:
        if other.kind == "normal_plasma" and other.members.sum() >= MIN_NORMAL_CELLS:
            umi, exposure, ambient, _ = gene_in_cells(rna, place[0], np.flatnonzero(other.members))
            usual = max(umi.sum() - ambient.sum(), 1.0) / exposure.sum()
    umi, exposure, ambient, _ = gene_in_cells(rna, place[0], np.flatnonzero(group.members))
    limit = np.ceil(special.pdtrik(1 - HIGH_P, 2 * usual * exposure + ambient)) + 1
    chance = special.gammainc(limit, usual * exposure + ambient)
    counted = {"n_cells": len(umi), "high_cells": int((umi >= limit).sum())}
    name = {"kind": f"{group.kind}:high", "clone_id": group.clone_id, "gene": gene, "stratum": -1}
    return [name | counted | {"high_chance": float(chance.mean())}]


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
    seen = np.arange(umi.size) if group.kind != "lineage" else np.flatnonzero(umi > 0)
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


TEXT = ("patient_id", "sample_id", "timepoint", "tissue", "kind", "clone_id", "gene")
NUMBERS = (
    "umi_ceiling",
    "undetected_removed",
    "stratum",
    *Tally.__dataclass_fields__,
    "detected",
    "detected_twice",
    "detected_above_ambient",
    "n_without",
    "detected_without",
    "mixed",
    "mixed_sd",
    "high_cells",
    "high_chance",
)


def molecule_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the columns of `molecules.parquet`; numbers that a row lacks are NaN."""
    text = {name: np.array([row[name] for row in rows], dtype=object) for name in TEXT}
    text["left_out"] = np.array([row.get("left_out", "") for row in rows], dtype=object)
    number = {name: np.array([row.get(name, np.nan) for row in rows], float) for name in NUMBERS}
    return text | number


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
