"""Which cells a library holds, before a single molecule is drawn: one row a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relapsescope.simulate.donors import Donor
from relapsescope.simulate.expression import profile_table, resource, segment_usage
from relapsescope.simulate.plan import LibraryPlan, PatientPlan

COMPOSITION_SD = 0.2
CAR_PROFILES = ("CD8 effector", "CD4 memory")
SUPPRESSIVE_FACTORS = {"CD14 monocyte": 1.7, "Macrophage": 4.0, "Treg": 2.6}
SUPPRESSIVE_PROFILES = ("CD14 monocyte", "CD16 monocyte", "Macrophage")
# Share of suppressive myeloid cells that show the programme at suppressive = 0 and 1.
SUPPRESSIVE_SHARE = (0.03, 0.6)
KAPPA_SHARE = 0.62
LOGIT_SD = 0.45


def draw_cells(
    patient: PatientPlan,
    library: LibraryPlan,
    person: Donor,
    n: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return `n` live cells of a library.

    Returns
    -------
    One row a cell: `profile`, `lineage`, `cell_type`, `clone` (None outside the tumour),
    `malignant`, `car`, `cycling`, `exhausted`, `suppressive`, `identity_lost`, the receptor genes
    (`heavy`, `heavy_v`, `light_chain`, `light`, `light_v`), `umi` (expected native UMIs), and the
    shares `mitochondrial` and `immunoglobulin` among them.
    """
    table = profile_table()
    malignant = rng.random(n) < library.plasma
    profile = rng.choice(table.index, size=n, p=_weights(patient, library, rng)).astype(object)
    profile[malignant] = "Plasma"
    rows = table.loc[profile]
    cells = pd.DataFrame(
        {
            "profile": profile,
            "lineage": rows["lineage"].to_numpy(object),
            "cell_type": rows["cell_type"].to_numpy(object),
            "malignant": malignant,
            "clone": _clones(library, malignant, rng),
        }
    )
    _add_car(cells, library, rng)
    _add_states(cells, patient, library, rows, rng)
    _add_receptors(cells, person, rng)
    _add_sizes(cells, patient, library, rows, rng)
    _lose_identity(cells, patient, rng)
    return cells


def _weights(patient: PatientPlan, library: LibraryPlan, rng: np.random.Generator) -> np.ndarray:
    """Return each profile's share of the cells that are not malignant (sums to 1)."""
    name = library.composition
    if name is None:
        treated = library.timepoint in ("expansion", "remission", "relapse")
        by_timepoint = {"healthy": "healthy_marrow", "untreated": "myeloma_marrow"}
        default = "treated_marrow" if treated else "myeloma_marrow"
        name = by_timepoint.get(library.timepoint, default)
        if library.tissue == "blood":
            name = "blood"
    table = resource("composition").set_index("profile")
    weights = table.loc[profile_table().index, name].to_numpy(float).copy()
    weights *= np.exp(rng.normal(0.0, COMPOSITION_SD, len(weights)))
    for profile, factor in SUPPRESSIVE_FACTORS.items():
        at = profile_table().index.get_loc(profile)
        weights[at] *= 1.0 + library.suppressive * (factor - 1.0)
    weights[profile_table().index.get_loc("Plasma")] *= library.normal_plasma
    return weights / weights.sum()


def _clones(library: LibraryPlan, malignant: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    clones = np.full(len(malignant), None, dtype=object)
    if library.clones:
        names = np.array(list(library.clones), dtype=object)
        shares = np.array(list(library.clones.values()), dtype=float)
        drawn = rng.choice(names, size=len(malignant), p=shares / shares.sum())
        clones[malignant] = drawn[malignant]
    return clones


def _add_car(cells: pd.DataFrame, library: LibraryPlan, rng: np.random.Generator) -> None:
    """Turn T cells into CAR-T cells (effector CD8 or memory CD4) in the library's share."""
    t_cell = (cells["lineage"] == "T").to_numpy()
    car = t_cell & (rng.random(len(cells)) < library.car)
    kind = np.where(rng.random(len(cells)) < 0.6, *CAR_PROFILES)
    cells["car"] = car
    table = profile_table()
    for name in CAR_PROFILES:
        chosen = car & (kind == name)
        cells.loc[chosen, "profile"] = name
        cells.loc[chosen, "cell_type"] = table.loc[name, "cell_type"]


def _add_states(
    cells: pd.DataFrame,
    patient: PatientPlan,
    library: LibraryPlan,
    rows: pd.DataFrame,
    rng: np.random.Generator,
) -> None:
    n = len(cells)
    car = cells["car"].to_numpy()
    share = rows["cycling_share"].to_numpy(float).copy()
    share[car] = library.car_cycling
    for clone in patient.clones:
        share[(cells["clone"] == clone.clone_id).to_numpy()] = clone.cycling
    cells["cycling"] = rng.random(n) < share
    cells["phase"] = np.where(rng.random(n) < 0.5, "S", "G2M")
    # A few endogenous effector cells are exhausted in every treated marrow.
    effector = (cells["profile"] == "CD8 effector").to_numpy() & ~car
    exhausted = np.where(car, library.car_exhausted, np.where(effector, 0.03, 0.0))
    cells["exhausted"] = rng.random(n) < exhausted
    low, high = SUPPRESSIVE_SHARE
    myeloid = cells["profile"].isin(SUPPRESSIVE_PROFILES).to_numpy()
    cells["suppressive"] = myeloid & (rng.random(n) < low + (high - low) * library.suppressive)


def _add_receptors(cells: pd.DataFrame, person: Donor, rng: np.random.Generator) -> None:
    """Give each B-lineage cell its immunoglobulin genes; malignant cells share one set."""
    n = len(cells)
    for column in ("heavy", "heavy_v", "light_chain", "light", "light_v"):
        cells[column] = pd.Series([None] * n, dtype=object)
    carries = cells["lineage"].isin(["B", "Plasma"]) | (cells["profile"] == "pDC")
    at = np.flatnonzero(carries)
    kappa = rng.random(n) < KAPPA_SHARE
    heavy_of = {"B naive": "IGHC_naive", "B precursor": "IGHC_naive", "B memory": "IGHC_memory"}
    own = person.receptors
    own_letter = "K" if own["light_chain"] == "kappa" else "L"
    values: dict[str, list] = {
        c: [] for c in ("heavy", "heavy_v", "light_chain", "light", "light_v")
    }
    for i in at:
        letter = "K" if kappa[i] else "L"
        segments = (
            heavy_of.get(cells["profile"].iat[i], "IGHC"),
            "IGHV",
            f"IG{letter}C",
            f"IG{letter}V",
        )
        drawn = [_pick(segment, rng) for segment in segments]
        chain = "kappa" if kappa[i] else "lambda"
        if cells["malignant"].iat[i]:
            chain = own["light_chain"]
            drawn = [own[s] for s in ("IGHC", "IGHV", f"IG{own_letter}C", f"IG{own_letter}V")]
        for name, value in zip(
            values, (drawn[0], drawn[1], chain, drawn[2], drawn[3]), strict=True
        ):
            values[name].append(value)
    for name, column in values.items():
        cells.iloc[at, cells.columns.get_loc(name)] = column


def _pick(segment: str, rng: np.random.Generator) -> str:
    symbols, usage = segment_usage(segment)
    return symbols[int(np.searchsorted(np.cumsum(usage), rng.random()).clip(0, len(symbols) - 1))]


def _add_sizes(
    cells: pd.DataFrame,
    patient: PatientPlan,
    library: LibraryPlan,
    rows: pd.DataFrame,
    rng: np.random.Generator,
) -> None:
    n = len(cells)
    median = rows["median_umi"].to_numpy(float) * library.depth
    median = median * np.where(cells["cycling"], 1.5, 1.0)
    # An activated, dividing or exhausted CAR-T cell holds more RNA than a resting T cell.
    median = median * np.where(cells["car"], 1.25, 1.0)
    cells["umi"] = median * np.exp(rng.normal(0.0, rows["umi_log_sd"].to_numpy(float)))
    cells["mitochondrial"] = _around(rows["mito_share"].to_numpy(float), n, rng)
    share = rows["immunoglobulin_share"].to_numpy(float).copy()
    for clone in patient.clones:
        share[(cells["clone"] == clone.clone_id).to_numpy()] = clone.immunoglobulin_share
    drawn = _around(np.where(share > 0, share, 0.5), n, rng)
    cells["immunoglobulin"] = np.where(share > 0, drawn, 0.0)


def _lose_identity(cells: pd.DataFrame, patient: PatientPlan, rng: np.random.Generator) -> None:
    """Mark the cells that lost a plasma cell's programme, and lessen their immunoglobulin."""
    cells["identity_lost"] = False
    for clone in patient.clones:
        if not clone.identity_lost:
            continue
        lost = (cells["clone"] == clone.clone_id) & (rng.random(len(cells)) < clone.identity_lost)
        secreted = cells.loc[lost, "umi"] * cells.loc[lost, "immunoglobulin"]
        left = clone.identity_immunoglobulin * secreted
        cells.loc[lost, "umi"] += left - secreted
        cells.loc[lost, "immunoglobulin"] = left / cells.loc[lost, "umi"]
        cells.loc[lost, "identity_lost"] = True


def _around(centre: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    logit = np.log(centre / (1.0 - centre)) + rng.normal(0.0, LOGIT_SD, n)
    return 1.0 / (1.0 + np.exp(-logit))
