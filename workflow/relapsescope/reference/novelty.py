"""Does a library resemble the reference that it is placed on: novel cells, drift, composition."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from relapsescope.microenvironment.composition import SELECTED
from relapsescope.reference.atlas_file import ALL_TYPES, MIN_TYPE_CELLS, ReferenceAtlas
from relapsescope.reference.placing import LINEAGE_OF, Placed, placed_types
from relapsescope.reference.settings import NoveltySettings
from relapsescope.statistics.library_variation import empirical_logit
from relapsescope.statistics.proportions import exact_proportion

ALL = "all"
WITHIN, WARN, OUT = "within", "warn", "out"
COLUMNS = (
    *("sample_id", "cell_type", "n_cells", "novel_fraction", "novel_ci_low", "novel_ci_high"),
    *("drift_z", "verdict", "reason", "measure"),
)
# Measures of a library whose drift is judged, and the scale on which libraries spread evenly.
MEASURES = {
    "median_total_counts": ("median counts a cell", np.log),
    "ambient_fraction": ("share of ambient RNA", lambda x: np.log((x + 0.005) / (1.005 - x))),
    "median_pct_counts_mt": ("mitochondrial share", lambda x: np.log(x + 0.5)),
}
# Least standard deviations: a reference of alike libraries must not call every other one strange.
LEAST_SD = {"median_total_counts": 0.5, "ambient_fraction": 0.7, "median_pct_counts_mt": 0.5}
LEAST_FRACTION_SD = 0.7
LEAST_DISTANCE_SD = 0.05
MIN_LIBRARIES = 3


def novelty_rows(
    library: Mapping[str, Any],
    placed: Placed | None,
    cell_type: np.ndarray,
    atlas: ReferenceAtlas,
    reference: pd.DataFrame,
    *,
    composition: pd.DataFrame,
    own_composition: Mapping[str, int],
    settings: NoveltySettings,
) -> list[dict[str, Any]]:
    """Return the rows of `novelty.tsv` of one library: one a cell type, and `all`.

    Parameters
    ----------
    library
        The sheet's row, with the measures of `samples.tsv`.
    placed
        None where the library was refused because its annotation lacks too many genes.
    cell_type
        (n_cells,) types of the placed cells.
    reference, composition
        The reference's `libraries.tsv` and `composition.tsv`.
    own_composition
        Cells of the library by type, those outside the atlas too.
    """
    rows = []
    if placed is not None:
        for kind in sorted(set(cell_type.astype(str))):
            here = cell_type == kind
            rows.append(_type_row(library, kind, here, placed, atlas, settings=settings))
    rows.append(
        _library_row(
            library,
            placed,
            atlas,
            reference,
            composition,
            own_composition=own_composition,
            settings=settings,
        )
    )
    return rows


def _type_row(
    library: Mapping[str, Any],
    kind: str,
    here: np.ndarray,
    placed: Placed,
    atlas: ReferenceAtlas,
    *,
    settings: NoveltySettings,
) -> dict[str, Any]:
    n, novel = int(here.sum()), int(placed.novel[here].sum())
    share = exact_proportion(novel, n)
    limit = atlas.limits.get(kind, atlas.limits.get(ALL_TYPES))
    z = np.nan
    if limit and n >= MIN_TYPE_CELLS:
        mean = float(np.log(np.maximum(placed.distance[here], 1e-6)).mean())
        z = _z(mean, limit.centre, limit.spread, LEAST_DISTANCE_SD, limit.n_libraries)
    verdict, reasons = WITHIN, []
    if kind not in placed_types(atlas):
        reasons.append(f"the reference holds no {kind} cells")
    if share.low > settings.out_share:
        verdict = OUT
    elif share.low > settings.warn_share or (n >= MIN_TYPE_CELLS and z > settings.drift_z):
        verdict = WARN
    if verdict != WITHIN:
        reasons.append(f"{novel} of {n} cells have no counterpart in the reference")
        if z > settings.drift_z:
            reasons.append(
                f"cells lie {z:.1f} standard deviations farther than left-out libraries'"
            )
    elif n < settings.min_cells:
        reasons.append(f"{n} cells: only a large share of novel cells would be seen")
    return {
        "sample_id": library["sample_id"],
        "cell_type": kind,
        "n_cells": n,
        "novel_fraction": share.share,
        "novel_ci_low": share.low,
        "novel_ci_high": share.high,
        "drift_z": z,
        "verdict": verdict,
        "reason": "; ".join(reasons),
        "measure": "distance to the reference's cells" if np.isfinite(z) else "",
    }


def _library_row(
    library: Mapping[str, Any],
    placed: Placed | None,
    atlas: ReferenceAtlas,
    reference: pd.DataFrame,
    composition: pd.DataFrame,
    *,
    own_composition: Mapping[str, int],
    settings: NoveltySettings,
) -> dict[str, Any]:
    row: dict[str, Any] = {"sample_id": library["sample_id"], "cell_type": ALL}
    if placed is None:
        reason = (
            f"{library['missing_genes']:.0%} of the atlas's genes are missing from the library's "
            f"annotation (over {settings.max_missing_genes:.0%}): it is not placed"
        )
        return row | {"n_cells": 0, "verdict": OUT, "reason": reason, "measure": "missing genes"}
    n, novel = len(placed.novel), int(placed.novel.sum())
    share = exact_proportion(novel, n)
    reasons, verdict = [], WITHIN
    if share.low > settings.out_share:
        verdict = OUT
    elif share.low > settings.warn_share:
        verdict = WARN
    if verdict != WITHIN:
        reasons.append(f"{novel} of {n} cells have no counterpart in the reference")
    if placed.missing > 0:
        reasons.append(
            f"{placed.missing:.1%} of the atlas's genes are missing and were replaced by what "
            "cells of the type hold"
        )
    tissue = reference[reference["tissue"] == library["tissue"]]
    whole = tissue[~tissue["sorting"].isin(SELECTED)]
    if tissue.empty:
        verdict = OUT
        reasons.append(f"the reference holds no {library['tissue'].replace('_', ' ')}")
    drifts = library_drift(library, reference) + composition_drift(
        library, own_composition, composition[composition["sample_id"].isin(whole["sample_id"])]
    )
    largest = max(drifts, key=lambda one: abs(one[1]), default=("", np.nan))
    for name, z in drifts:
        if abs(z) > settings.drift_z:
            verdict = WARN if verdict == WITHIN else verdict
            side = "above" if z > 0 else "below"
            reasons.append(f"{name} lies {abs(z):.1f} standard deviations {side} the reference's")
    return row | {
        "n_cells": n,
        "novel_fraction": share.share,
        "novel_ci_low": share.low,
        "novel_ci_high": share.high,
        "drift_z": largest[1],
        "measure": largest[0],
        "verdict": verdict,
        "reason": "; ".join(reasons),
    }


def library_drift(library: Mapping[str, Any], reference: pd.DataFrame) -> list[tuple[str, float]]:
    """Return how far the library's own measures lie from the reference's libraries, as z."""
    found = []
    for name, (words, scale) in MEASURES.items():
        values = pd.to_numeric(reference[name], errors="coerce").dropna().to_numpy(float)
        own = pd.to_numeric(pd.Series([library.get(name)]), errors="coerce").iloc[0]
        if len(values) >= MIN_LIBRARIES and np.isfinite(own):
            with np.errstate(divide="ignore", invalid="ignore"):
                logs, one = scale(values), float(scale(float(own)))
            found.append((words, _z(one, logs.mean(), logs.std(ddof=1), LEAST_SD[name], len(logs))))
    return found


def composition_drift(
    library: Mapping[str, Any], own: Mapping[str, int], reference: pd.DataFrame
) -> list[tuple[str, float]]:
    """Return how far each lineage's share of the cells without plasma cells lies off, as z.

    Only of libraries in which no sorting chose among the lineages, and against such.
    """
    if (library.get("sorting") or "none") in SELECTED or reference.empty:
        return []
    shares = {
        str(sample): _lineages(
            dict(zip(part["cell_type"], part["n_cells"].astype(int), strict=True))
        )
        for sample, part in reference.groupby("sample_id", sort=False)
    }
    here = _lineages(own)
    found = []
    if len(shares) < MIN_LIBRARIES or not sum(here.values()):
        return found
    for lineage in sorted({*here, *(name for one in shares.values() for name in one)}):
        logits = [
            empirical_logit(one.get(lineage, 0), sum(one.values())) for one in shares.values()
        ]
        values = np.array([one.value for one in logits])
        mine = empirical_logit(here.get(lineage, 0), sum(here.values()))
        spread = np.hypot(max(values.std(ddof=1), LEAST_FRACTION_SD), np.sqrt(mine.variance))
        z = _z(mine.value, values.mean(), spread, LEAST_FRACTION_SD, len(values))
        found.append((f"the share of {lineage} cells", z))
    return found


def _lineages(cells: Mapping[str, int]) -> dict[str, int]:
    """Return numbers by lineage, plasma cells and unknown ones left out."""
    found: dict[str, int] = {}
    for kind, n in cells.items():
        lineage = LINEAGE_OF.get(kind, kind)
        if lineage not in ("Plasma", "Unknown"):
            found[lineage] = found.get(lineage, 0) + int(n)
    return found


def _z(value: float, mean: float, sd: float, least: float, n: int) -> float:
    """Return a new library's deviation from `n` others in units of its prediction error."""
    return float((value - mean) / (max(sd, least) * np.sqrt(1 + 1 / n)))


def refusal(missing: float, settings: NoveltySettings) -> bool:
    """Return whether too many of the encoder's genes are missing for a place to mean anything."""
    return missing > settings.max_missing_genes


def none_placed(samples: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of libraries without immune cells."""
    reason = "no immune cell passed quality"
    return [
        {"sample_id": one, "cell_type": ALL, "n_cells": 0, "verdict": WARN, "reason": reason}
        for one in samples
    ]
