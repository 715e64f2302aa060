"""Molecules that cells of other clones, taken for a clone's own, are expected to have left in it.

Assignment is never certain: where a clone of few cells that kept an antigen lives among many that
lost it, single cells of it decide whether loss is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relapsescope.antigens.cell_groups import NORMAL, Group
from relapsescope.antigens.records import (
    ALL_DEPTHS,
    Counted,
    Kind,
    Measure,
    Record,
    Subset,
)
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


def add_mixed(records: Sequence[Record], mixed: Sequence[Mixed]) -> None:
    """Write `mixed` and `mixed_sd` into the records of clones: a gene's UMIs from other clones.

    The other clone's rate is that of its own sure cells in all of the patient's libraries; a
    clone without any says nothing. Strata of depth take their part by exposure.
    """
    kinds = (Kind.CLONE, Kind.NORMAL_PLASMA)
    own = [one for one in records if one.key.kind in kinds and _is_tally_of_own(one.key)]
    whole = [one for one in own if one.key.stratum == ALL_DEPTHS]
    exposure = {one.key[:4]: one.tally.exposure for one in whole}
    by_clone: dict[tuple[str, str], list[Tally]] = {}
    for one in whole:
        name = one.key.clone_id if one.key.kind == Kind.CLONE else NORMAL
        by_clone.setdefault((name, one.key.gene), []).append(one.tally)
    rates = {key: pool(tallies) for key, tallies in by_clone.items()}
    by_group: dict[tuple[str, str], list[Mixed]] = {}
    for part in mixed:
        by_group.setdefault((part.sample_id, part.clone_id), []).append(part)
    for one in own:
        parts = by_group.get((one.key.sample_id, one.key.clone_id))
        if one.key.kind != Kind.CLONE or parts is None:
            continue
        umi, sd = _from_others(parts, one.key.gene, rates)
        total = exposure[one.key[:4]]
        share = one.tally.exposure / total if total > 0 else 0.0
        one.mixed, one.mixed_sd = umi * share, sd * share


def _from_others(
    parts: Sequence[Mixed], gene: str, rates: Mapping[tuple[str, str], Tally]
) -> tuple[float, float]:
    """Return the molecules of a gene that other clones left in a group, and their error."""
    umi, variance = 0.0, 0.0
    for one in parts:
        base = rates.get((one.other, gene))
        if base is None or base.exposure <= 0:
            continue
        rate = max(base.umi - base.ambient, 0.0) / base.exposure
        umi += rate * one.exposure
        error = CALIBRATION**2 + log_error(base) ** 2
        variance += rate**2 * (one.variance + error * one.exposure**2)
    return umi, float(np.sqrt(variance))


def _is_tally_of_own(key: Counted) -> bool:
    return key.subset == Subset.OWN and key.measure == Measure.RNA
