"""Who could signal to whom: ligands and receptors of named cell types, a library each.

RNA of a ligand in one cell type and of its receptor in another is no proof of a signal: it says
that the axis could work, and more often that it could not.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.libraries.library_rna import LibraryRna, gene_in_cells, read_library
from relapsescope.microenvironment.interaction_pairs import AskedPair, asked_pairs, ranked_pairs
from relapsescope.microenvironment.interaction_scores import Ranked, expression, ranked
from relapsescope.microenvironment.settings import InteractionSettings
from relapsescope.statistics.rates import Interval, Tally, rate, tally
from relapsescope.statistics.settings import RateSettings
from relapsescope.tables import read_columns, write_parquet

SHOWN, AMBIENT, NOT_SEEN, ABSENT = "shown", "ambient_explained", "not_seen", "not_in_annotation"
CAR_T = "CAR+ T"
NORMAL_PLASMA = "normal plasma"
CLONE = "clone "
SIDE = (
    *("gene", "n_cells", "cpm", "ci_low", "ci_high", "ambient_cpm", "detected_fraction"),
    "evidence",
)
COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "tissue", "sorting", "axis", "ligand", "receptor"),
    *("source", "target"),
    *(f"ligand_{name}" for name in SIDE),
    *(f"receptor_{name}" for name in SIDE),
    *("both_shown", "magnitude_rank", "specificity_rank", "n_ranked", "reason"),
)
TEXT = {
    *COLUMNS[:10],
    *("ligand_gene", "ligand_evidence", "receptor_gene", "receptor_evidence", "reason"),
}


@dataclass(frozen=True)
class CellGroup:
    """A named cell type of a library: the lineage it counts as, and its cells (row numbers)."""

    name: str
    lineage: str
    members: np.ndarray


def patient_interactions(
    libraries: Sequence[Mapping[str, Any]],
    *,
    clone_cells_path: str | None,
    car_cells_path: str | None,
    output: str,
    settings: InteractionSettings,
    rates: RateSettings,
) -> None:
    """Write a patient's rows, columns `COLUMNS`: library × pair × sender × receiver.

    Parameters
    ----------
    libraries
        One mapping a library: the sheet's row and the paths `counts`, `cells`, `genes`, `summary`.
        Failed libraries are left out.
    clone_cells_path
        The patient's clone calls; None for donors, whose plasma cells are all normal.
    car_cells_path
        The patient's CAR-T calls (`sample_id`, `barcode`, `car_status`), None where there are
        none; cells in which the transgene is detected are a group of their own.
    """
    calls = _by_sample(clone_cells_path, ("malignancy", "clone_id"))
    car = _by_sample(car_cells_path, ("car_status",))
    rows: list[dict[str, Any]] = []
    for library in libraries:
        summary = json.loads(Path(library["summary"]).read_text(encoding="utf-8"))
        if summary["verdict"] == "fail":
            continue
        rna = read_library(library, summary)
        names = ["barcode", "qc_pass", "contradiction", "lineage", "cell_type"]
        cells = read_columns(Path(library["cells"]), names)
        sample = library["sample_id"]
        groups = named_groups(
            cells,
            calls.get(sample, {}),
            car.get(sample, {}),
            donor=clone_cells_path is None,
            min_cells=settings.min_cells,
        )
        place = {
            name: library.get(name) or ("none" if name == "sorting" else "")
            for name in ("patient_id", "sample_id", "timepoint", "tissue", "sorting")
        }
        rows += [place | row for row in library_rows(rna, groups, settings, rates)]
    columns: dict[str, np.ndarray] = {}
    for name in COLUMNS:
        if name in TEXT:
            columns[name] = np.array([row[name] for row in rows], dtype=object)
        elif name == "both_shown":
            columns[name] = np.array([row[name] for row in rows], dtype=bool)
        else:
            columns[name] = np.array([row.get(name, np.nan) for row in rows], dtype=float)
    write_parquet(Path(output), columns)


def named_groups(
    cells: Mapping[str, np.ndarray],
    calls: Mapping[str, Mapping[str, str | None]],
    car: Mapping[str, Mapping[str, str | None]],
    *,
    donor: bool,
    min_cells: int,
) -> list[CellGroup]:
    """Return the groups of at least `min_cells` usable cells that stand for a cell type.

    Malignant plasma cells by clone, normal plasma cells, T cells with a detected transgene, and
    every other cell type by its finest name. Plasma cells that are neither malignant nor normal
    belong to none.

    Parameters
    ----------
    cells
        Columns `barcode`, `qc_pass`, `contradiction`, `lineage`, `cell_type` of a library.
    calls, car
        Clone and CAR-T calls by barcode.
    """
    usable = cells["qc_pass"].astype(bool) & (cells["contradiction"].astype(str) == "")
    lineage, name = cells["lineage"].astype(str), cells["cell_type"].astype(object).copy()
    for i in np.flatnonzero(usable):
        barcode = cells["barcode"][i]
        if lineage[i] == "Plasma" or calls.get(barcode, {}).get("malignancy") == "malignant":
            name[i] = NORMAL_PLASMA if donor else _plasma_name(calls.get(barcode, {}))
            lineage[i] = "Plasma"
        elif lineage[i] == "T" and car.get(barcode, {}).get("car_status") == "detected":
            name[i] = CAR_T
    usable &= (lineage != "Unknown") & (name.astype(str) != "")
    groups = []
    for one in sorted(set(name[usable].astype(str))):
        members = np.flatnonzero(usable & (name.astype(str) == one))
        if members.size >= min_cells:
            groups.append(CellGroup(one, str(lineage[members[0]]), members))
    return groups


def library_rows(
    rna: LibraryRna,
    groups: Sequence[CellGroup],
    settings: InteractionSettings,
    rates: RateSettings,
) -> list[dict[str, Any]]:
    """Return the rows of one library; fewer than two groups give none."""
    if len(groups) < 2:
        return []
    found = _ranks(rna, groups, settings)
    place: dict[str, int] = {}
    for i, symbol in enumerate(rna.counts.symbols):
        place.setdefault(str(symbol), i)
    sides: dict[tuple[str, str], dict[str, Any]] = {}

    def side(group: CellGroup, symbols: str) -> dict[str, Any]:
        key = (group.name, symbols)
        if key not in sides:
            sides[key] = _side(rna, group, symbols.split("+"), place, rates)
        return sides[key]

    rows = []
    for number, pair in enumerate(asked_pairs()):
        for source in groups:
            for target in groups:
                if source.lineage in pair.senders and target.lineage in pair.receivers:
                    left, right = side(source, pair.ligand), side(target, pair.receptor)
                    ranks = found.get((number, source.name, target.name), {})
                    rows.append(
                        _row(pair, source, target, left, right, ranks=ranks, settings=settings)
                    )
    return rows


def _row(
    pair: AskedPair,
    source: CellGroup,
    target: CellGroup,
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    *,
    ranks: Mapping[str, Any],
    settings: InteractionSettings,
) -> dict[str, Any]:
    row = {
        "axis": pair.axis,
        "ligand": pair.ligand,
        "receptor": pair.receptor,
        "source": source.name,
        "target": target.name,
        "both_shown": left["evidence"] == right["evidence"] == SHOWN,
    }
    row |= {f"ligand_{name}": left.get(name, np.nan) for name in SIDE}
    row |= {f"receptor_{name}": right.get(name, np.nan) for name in SIDE}
    return row | ranks | {"reason": _reason(source, target, left, right, ranks, settings=settings)}


def _side(
    rna: LibraryRna,
    group: CellGroup,
    symbols: Sequence[str],
    place: Mapping[str, int],
    rates: RateSettings,
) -> dict[str, Any]:
    """Return the rate of a ligand or receptor in a group; of a complex, its rarest subunit's."""
    missing = [symbol for symbol in symbols if symbol not in place]
    if missing:
        return {"gene": missing[0], "n_cells": group.members.size, "evidence": ABSENT}
    parts = []
    for symbol in symbols:
        umi, exposure, ambient, profile_umi = gene_in_cells(rna, place[symbol], group.members)
        one = tally(
            umi,
            exposure,
            ambient,
            ambient_log_sd=rna.log_sd,
            profile_umi=profile_umi,
            settings=rates,
        )
        parts.append((rate(one), one, symbol, float((umi > 0).mean())))
    alone, one, symbol, detected = min(parts, key=lambda part: (part[0].estimate, part[0].high))
    return {
        "gene": symbol,
        "n_cells": group.members.size,
        "cpm": alone.estimate,
        "ci_low": alone.low,
        "ci_high": alone.high,
        "ambient_cpm": 1e6 * one.ambient / one.exposure if one.exposure > 0 else np.nan,
        "detected_fraction": detected,
        "evidence": _evidence(alone, one),
    }


def _evidence(alone: Interval, one: Tally) -> str:
    """Return whether the molecules go beyond what ambient RNA gives by chance."""
    if one.umi == 0:
        return NOT_SEEN
    return SHOWN if alone.low > 0 else AMBIENT


def _ranks(
    rna: LibraryRna, groups: Sequence[CellGroup], settings: InteractionSettings
) -> dict[tuple[int, str, str], dict[str, Any]]:
    """Return ranks by (number of the asked pair, sender, receiver) where both sides are there."""
    pairs = ranked_pairs()
    members = np.concatenate([group.members for group in groups])
    code = np.repeat(np.arange(len(groups)), [group.members.size for group in groups])
    genes = [symbol for pair in pairs for side in pair for symbol in side]
    found = expression(rna.counts.matrix[members], rna.counts.symbols, code, len(groups), genes)
    scored: Ranked = ranked(found, pairs, least_detected=settings.least_detected)
    asked: dict[int, int] = {pairs.index(p.subunits): i for i, p in enumerate(asked_pairs())}
    wanted = np.flatnonzero(np.isin(scored.pair, list(asked)))
    return {
        (
            asked[int(scored.pair[i])],
            groups[scored.source[i]].name,
            groups[scored.target[i]].name,
        ): {
            "magnitude_rank": scored.magnitude_rank[i],
            "specificity_rank": scored.specificity_rank[i],
            "n_ranked": scored.pair.size,
        }
        for i in wanted
    }


def _reason(
    source: CellGroup,
    target: CellGroup,
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    ranks: Mapping[str, Any],
    *,
    settings: InteractionSettings,
) -> str:
    words = {
        AMBIENT: "{gene} in {name} is no more than ambient RNA explains",
        NOT_SEEN: "no molecule of {gene} in {name}",
        ABSENT: "{gene} is not in the library's annotation",
    }
    told = [
        words[side["evidence"]].format(gene=side["gene"], name=group.name)
        for side, group in ((left, source), (right, target))
        if side["evidence"] in words
    ]
    if not told:
        told = [f"{left['gene']} in {source.name} and {right['gene']} in {target.name} are shown"]
    if not ranks:
        told.append(f"not ranked: under {settings.least_detected:.0%} of the cells on one side")
    return "; ".join(told)


def _plasma_name(call: Mapping[str, str | None]) -> str:
    if call.get("malignancy") == "normal":
        return NORMAL_PLASMA
    if call.get("malignancy") == "malignant" and call.get("clone_id"):
        return f"{CLONE}{call['clone_id']}"
    return ""


def _by_sample(
    path: str | None, names: Sequence[str]
) -> dict[str, dict[str, dict[str, str | None]]]:
    """Return columns of calls by sample and barcode; empty without a file."""
    if path is None:
        return {}
    columns = read_columns(Path(path), ["sample_id", "barcode", *names])
    found: dict[str, dict[str, dict[str, str | None]]] = {}
    values = [columns[name] for name in names]
    for sample, barcode, *own in zip(
        columns["sample_id"], columns["barcode"], *values, strict=True
    ):
        call = dict(zip(names, own, strict=True))
        found.setdefault(str(sample), {})[str(barcode)] = call
    return found
