"""What is true of a simulated cohort, in the tables that a run is scored against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from relapsescope.simulate.counts import Library
from relapsescope.simulate.donors import ANTIGENS, Donor
from relapsescope.simulate.expression import Genome
from relapsescope.simulate.plan import LibraryPlan, PatientPlan
from relapsescope.vocabulary import HIGH, INDETERMINATE, LOST, NOT_HIGH, REDUCED, RETAINED

BEFORE = ("untreated", "pre_infusion")
NEW_CLONE = 0.05
FEW_UMI, FEW_CELLS = 30.0, 20
CELL_COLUMNS = [
    "sample_id", "barcode", "patient_id", "timepoint", "profile", "lineage", "cell_type",
    "quality", "doublet", "lineage2", "cell_type2", "doublet_type", "clone", "malignant",
    "light_chain", "v_gene", "car", "cycling", "exhausted", "identity_lost", "native_umi",
    "ambient_umi", "total_umi", "ambient_fraction", "car_umi", "TNFRSF17_umi", "ANXA1_umi",
]  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """One library with where it came from."""

    patient: PatientPlan
    plan: LibraryPlan
    person: Donor
    library: Library
    cells: pd.DataFrame

    @property
    def good(self) -> pd.DataFrame:
        """The live singlets, on which the statements rest."""
        return self.cells[(self.cells["quality"] == "live") & ~self.cells["doublet"]]


def cell_truth(
    patient: PatientPlan, plan: LibraryPlan, library: Library, genes: Genome
) -> pd.DataFrame:
    """Return the truth of each barcode of the filtered matrix, one row a barcode, in its order."""
    cells = library.cells.copy()
    cells["sample_id"] = patient.sample_id(plan)
    cells["patient_id"] = patient.patient_id
    cells["timepoint"] = plan.timepoint
    plasma = (cells["lineage"] == "Plasma").to_numpy()
    cells["v_gene"] = cells["light_v"].where(plasma, None)
    cells["light_chain"] = cells["light_chain"].where(plasma, None)
    cells["total_umi"] = np.asarray(library.filtered.sum(axis=1)).ravel()
    cells["ambient_fraction"] = cells["ambient_umi"] / cells["total_umi"]
    columns = {"car_umi": len(genes.symbols)}
    columns |= {f"{s}_umi": genes.index[s] for s in ("TNFRSF17", "ANXA1")}
    for name, column in columns.items():
        cells[name] = library.filtered[:, [column]].toarray().ravel().astype(np.int32)
    kept = cells["umi"] * (1 - cells["immunoglobulin"]) * (1 - cells["mitochondrial"])
    cells["exposure"] = kept
    return cells


def sample_truth(item: Simulated) -> dict:
    """Return one library's row of ``truth/samples.tsv``."""
    cells = item.cells
    total = cells["total_umi"].sum()
    return {
        "sample_id": item.patient.sample_id(item.plan),
        "patient_id": item.patient.patient_id,
        "timepoint": item.plan.timepoint,
        "day": item.plan.day,
        "tissue": item.plan.tissue,
        "expected_verdict": "fail" if item.plan.failed else "pass|warn",
        "n_barcodes": len(cells),
        "ambient_fraction": round(cells["ambient_umi"].sum() / total, 4),
        "ambient_per_droplet": round(cells["ambient_umi"].mean(), 1),
        "doublet_rate": round(cells["doublet"].mean(), 4),
        "median_total_counts": cells["total_umi"].median(),
        "umi_ceiling": item.plan.umi_ceiling is not None,
        "anxa1_shift": round(item.library.anxa1_shift, 4),
        "suppressive": item.plan.suppressive,
        "depth": item.plan.depth,
    }


def clone_truth(items: list[Simulated]) -> pd.DataFrame:
    """Return every patient's clones at each timepoint, failed libraries left out."""
    rows = []
    for patient_items in by_patient(items):
        before, relapse = shares_before(patient_items), relapse_clone(patient_items)
        patient = patient_items[0].patient
        for item in patient_items:
            cells = item.good[item.good["malignant"]]
            for clone in patient.clones:
                n = int((cells["clone"] == clone.clone_id).sum())
                if not n:
                    continue
                at_relapse = item.plan.timepoint == "relapse"
                is_relapse = at_relapse and clone.clone_id == relapse
                share = n / len(cells)
                relation = clone_relation(before, clone.clone_id) if is_relapse else None
                receptors = item.person.receptors
                letter = "K" if receptors["light_chain"] == "kappa" else "L"
                rows.append(
                    {
                        "patient_id": patient.patient_id,
                        "clone_id": clone.clone_id,
                        "timepoint": item.plan.timepoint,
                        "sample_id": patient.sample_id(item.plan),
                        "n_cells": n,
                        "fraction": round(share, 4),
                        "light_chain": receptors["light_chain"],
                        "v_gene": receptors[f"IG{letter}V"],
                        "heavy": receptors["IGHC"],
                        "parent": clone.parent,
                        "cnv_events": ";".join(clone.copy_number),
                        "is_relapse_clone": is_relapse,
                        "relation": relation,
                        "relation_accept": relation,
                        "fate": _fate(before, clone.clone_id, share) if at_relapse else None,
                    }
                )
    return pd.DataFrame(rows, columns=[
        "patient_id", "clone_id", "timepoint", "sample_id", "n_cells", "fraction", "light_chain",
        "v_gene", "heavy", "parent", "cnv_events", "is_relapse_clone", "relation",
        "relation_accept", "fate",
    ])  # fmt: skip


def by_patient(items: list[Simulated]) -> list[list[Simulated]]:
    """Return the libraries that count, grouped by patient, patients without a tumour left out."""
    groups: dict[str, list[Simulated]] = {}
    for item in items:
        if item.patient.clones and not item.plan.failed:
            groups.setdefault(item.patient.patient_id, []).append(item)
    return list(groups.values())


def shares_before(items: list[Simulated]) -> dict[str, float] | None:
    """Return each clone's share before CAR-T; None when no library tells."""
    for item in items:
        if item.plan.timepoint in BEFORE:
            return dict(item.plan.clones)
    return None


def relapse_clone(items: list[Simulated]) -> str | None:
    """Return the largest clone at relapse; None without a relapse library that has one."""
    for item in items:
        if item.plan.timepoint == "relapse" and item.plan.clones:
            return max(item.plan.clones, key=item.plan.clones.__getitem__)
    return None


def clone_relation(before: dict[str, float] | None, clone_id: str) -> str:
    """Return the relapse clone's relation to what was there before CAR-T."""
    if before is None:
        return "not_assessable"
    new = before.get(clone_id, 0.0) < NEW_CLONE
    return "same_ig_new_subclone" if new else "same_ig_same_subclone"


def _fate(before: dict[str, float] | None, clone_id: str, share: float) -> str | None:
    if before is None:
        return None
    earlier = before.get(clone_id, 0.0)
    if earlier < NEW_CLONE:
        return "emerged"
    if share < 0.5 * earlier:
        return "contracted"
    return "expanded" if share > 2.0 * earlier else "persisted"


def cpm(rates: np.ndarray, at: int) -> float:
    """Return a gene's rate a million of the other genes' UMIs, from shares that sum to 1."""
    return 1e6 * rates[at] / (1.0 - rates[at])


def antigen_truth(items: list[Simulated], genes: Genome) -> pd.DataFrame:
    """Return the true rate of each antigen in each clone, and against its reference."""
    groups = by_patient(items)
    panel = {
        antigen: np.mean(
            [
                cpm(g[0].person.mean_rates(c.clone_id), genes.index[antigen])
                for g in groups
                for c in g[0].patient.clones[:1]
            ]
        )
        for antigen in ANTIGENS
        if groups
    }
    rows = []
    for group in groups:
        relapse = relapse_clone(group)
        first = next((i for i in group if i.plan.timepoint in BEFORE), None)
        for item in group:
            for clone_id in ("all_malignant", *(c.clone_id for c in item.patient.clones)):
                row = {
                    "patient_id": item.patient.patient_id,
                    "clone_id": clone_id,
                    "sample_id": item.patient.sample_id(item.plan),
                    "timepoint": item.plan.timepoint,
                }
                for antigen in ANTIGENS:
                    values = _antigen(item, first, clone_id, antigen, genes)
                    if values is not None:
                        values["panel_cpm"] = round(float(panel[antigen]), 2)
                        is_relapse = relapse is not None and clone_id == relapse
                        rows.append(
                            row | {"antigen": antigen} | values | {"is_relapse_clone": is_relapse}
                        )
    return pd.DataFrame(rows, columns=[
        "patient_id", "clone_id", "sample_id", "timepoint", "antigen", "n_cells", "expected_umi",
        "true_cpm", "pre_cpm", "normal_cpm", "panel_cpm", "true_ratio", "true_class", "accept",
        "is_relapse_clone",
    ])  # fmt: skip


def _pooled(item: Simulated, clone_id: str, at: int) -> tuple[int, float, float]:
    """Return the clone's cells, their UMIs (without immunoglobulin and MT) and true CPM."""
    cells = item.good[item.good["malignant"]]
    if clone_id != "all_malignant":
        cells = cells[cells["clone"] == clone_id]
    if cells.empty:
        return 0, 0.0, np.nan
    rates = {c: cpm(item.person.mean_rates(c), at) for c in item.person.clones}
    weights = cells["exposure"].to_numpy()
    values = cells["clone"].map(rates).to_numpy(float)
    return len(cells), float(weights.sum()), float((weights * values).sum() / weights.sum())


def _antigen(
    item: Simulated, first: Simulated | None, clone_id: str, antigen: str, genes: Genome
) -> dict | None:
    at = genes.index[antigen]
    n, exposure, rate = _pooled(item, clone_id, at)
    if not n:
        return None
    normal = cpm(item.person.profiles["Plasma"], at)
    treated = first is not None and first.plan.timepoint == "pre_infusion"
    earlier = _pooled(first, "all_malignant", at)[2] if treated else np.nan
    reference = earlier if treated else normal
    ratio = rate / reference
    expected = exposure * reference / 1e6
    true_class = LOST if ratio < 0.10 else REDUCED if ratio < 0.60 else RETAINED
    return {
        "n_cells": n,
        "expected_umi": round(expected, 1),
        "true_cpm": round(rate, 2),
        "pre_cpm": round(earlier, 2) if treated else None,
        "normal_cpm": round(normal, 2),
        "true_ratio": round(ratio, 4),
        "true_class": true_class,
        "accept": _accept_antigen(ratio, true_class, expected),
    }


def _accept_antigen(ratio: float, true_class: str, expected: float) -> str:
    """Return the verdicts that are right: both near a border, INDETERMINATE with few molecules."""
    accept = {true_class}
    if 0.45 < ratio < 0.80:
        accept |= {REDUCED, RETAINED}
    if 0.07 < ratio < 0.15:
        accept |= {LOST, REDUCED}
    if expected < FEW_UMI:
        accept.add(INDETERMINATE)
    return "|".join(sorted(accept))


def anxa1_truth(items: list[Simulated], genes: Genome) -> pd.DataFrame:
    """Return the true ANXA1 change of each compartment at relapse against before CAR-T."""
    at = genes.index["ANXA1"]
    rows = []
    for group in by_patient(items):
        first = next((i for i in group if i.plan.timepoint == "pre_infusion"), None)
        last = next((i for i in group if i.plan.timepoint == "relapse"), None)
        if first is None or last is None:
            continue
        for name in ("relapse_clone", "normal_plasma", "T", "Monocyte"):
            clone = relapse_clone(group)
            n, now = _compartment(last, name, clone, at)
            _, earlier = _compartment(first, name, None, at)
            if not n or not np.isfinite(earlier):
                continue
            change = float(np.log2(now / earlier))
            high = change >= 1.0
            accept = {HIGH if high else NOT_HIGH}
            if 0.6 < change < 1.4:
                accept |= {HIGH, NOT_HIGH, INDETERMINATE}
            if name == "normal_plasma" or n < FEW_CELLS:
                accept.add(INDETERMINATE)
            rows.append(
                {
                    "patient_id": last.patient.patient_id,
                    "sample_id": last.patient.sample_id(last.plan),
                    "timepoint": "relapse",
                    "compartment": name,
                    "n_cells": n,
                    "true_log2_ratio": round(change, 3) + 0.0,
                    "true_class": HIGH if high else NOT_HIGH,
                    "accept": "|".join(sorted(accept)),
                    "confounder": "doublets" if last.cells["doublet"].mean() > 0.08 else None,
                }
            )
    return pd.DataFrame(rows, columns=[
        "patient_id", "sample_id", "timepoint", "compartment", "n_cells", "true_log2_ratio",
        "true_class", "accept", "confounder",
    ])  # fmt: skip


def _compartment(item: Simulated, name: str, clone: str | None, at: int) -> tuple[int, float]:
    """Return the cells of a compartment and their pooled true CPM of a gene."""
    cells = item.good
    if name == "relapse_clone":
        n, _, rate = _pooled(item, clone or "all_malignant", at)
        return n, rate
    if name == "normal_plasma":
        cells = cells[(cells["lineage"] == "Plasma") & ~cells["malignant"]]
    else:
        cells = cells[cells["lineage"] == name]
    if cells.empty:
        return 0, np.nan
    rates = {p: cpm(item.person.profiles[p], at) for p in cells["profile"].unique()}
    weights = cells["exposure"].to_numpy()
    values = cells["profile"].map(rates).to_numpy(float)
    return len(cells), float((weights * values).sum() / weights.sum())
