"""Molecules that cells of other clones, taken for a clone's own, are expected to have left in it.

Assignment is never certain: where a clone of few cells that kept an antigen lives among many that
lost it, single cells of it decide whether loss is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import NORMAL, Group
from relapsescope.statistics.rates import Tally, log_error, pool

# Relative error of a posterior's sum: how well probabilities near 0 are calibrated is not known
# better than to a half.
CALIBRATION = 0.5


@dataclass(frozen=True)
class Mixed:
    """Native UMIs of a clone's group that belong to another clone: their mean and variance."""

    sample_id: str
    clone_id: str
    other: str
    exposure: float
    variance: float


def mixed_exposure(sample_id: str, group: Group, native: np.ndarray) -> list[Mixed]:
    """Return what each other clone is expected to hold of a group's native UMIs.

    Parameters
    ----------
    native
        (n_members,) native UMIs of the group's cells.
    """
    return [
        Mixed(
            sample_id,
            group.clone_id,
            other,
            float((share * native).sum()),
            float((share * (1 - share) * native**2).sum()),
        )
        for other, share in group.others.items()
    ]


def add_mixed(rows: Sequence[dict[str, Any]], mixed: Sequence[Mixed]) -> None:
    """Write `mixed` and `mixed_sd` into the rows of clones: a gene's UMIs from other clones.

    The other clone's rate is that of its own sure cells in all of the patient's libraries; a
    clone without any says nothing. Strata of depth take their part by exposure.
    """
    own = [row for row in rows if row["kind"] in ("clone", "normal_plasma")]
    whole = [row for row in own if row["stratum"] == -1]
    exposure = {(r["sample_id"], r["clone_id"], r["gene"]): r["exposure"] for r in whole}
    by_clone: dict[tuple[str, str], list[Tally]] = {}
    for row in whole:
        name = row["clone_id"] if row["kind"] == "clone" else NORMAL
        by_clone.setdefault((name, row["gene"]), []).append(_tally(row))
    rates = {key: pool(tallies) for key, tallies in by_clone.items()}
    by_group: dict[tuple[str, str], list[Mixed]] = {}
    for one in mixed:
        by_group.setdefault((one.sample_id, one.clone_id), []).append(one)
    for row in own:
        key = (row["sample_id"], row["clone_id"])
        if row["kind"] != "clone" or key not in by_group:
            continue
        umi, variance = 0.0, 0.0
        for one in by_group[key]:
            base = rates.get((one.other, row["gene"]))
            if base is None or base.exposure <= 0:
                continue
            rate = max(base.umi - base.ambient, 0.0) / base.exposure
            umi += rate * one.exposure
            error = CALIBRATION**2 + log_error(base) ** 2
            variance += rate**2 * (one.variance + error * one.exposure**2)
        total = exposure[(*key, row["gene"])]
        part = row["exposure"] / total if total > 0 else 0.0
        row["mixed"], row["mixed_sd"] = umi * part, float(np.sqrt(variance)) * part


def _tally(row: Mapping[str, Any]) -> Tally:
    return Tally(**{name: row[name] for name in Tally.__dataclass_fields__})
