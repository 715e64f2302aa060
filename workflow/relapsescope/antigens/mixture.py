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
    own = [
        record for record in records if record.key.kind in kinds and _is_tally_of_own(record.key)
    ]
    whole = [record for record in own if record.key.stratum == ALL_DEPTHS]
    exposure = {record.key[:4]: record.tally.exposure for record in whole}
    by_clone: dict[tuple[str, str], list[Tally]] = {}
    for record in whole:
        name = record.key.clone_id if record.key.kind == Kind.CLONE else NORMAL
        by_clone.setdefault((name, record.key.gene), []).append(record.tally)
    rates = {key: pool(tallies) for key, tallies in by_clone.items()}
    by_group: dict[tuple[str, str], list[Mixed]] = {}
    for part in mixed:
        by_group.setdefault((part.sample_id, part.clone_id), []).append(part)
    for record in own:
        parts = by_group.get((record.key.sample_id, record.key.clone_id))
        if record.key.kind != Kind.CLONE or parts is None:
            continue
        umi, sd = _from_others(parts, record.key.gene, rates)
        total = exposure[record.key[:4]]
        share = record.tally.exposure / total if total > 0 else 0.0
        record.mixed, record.mixed_sd = umi * share, sd * share


def _from_others(
    parts: Sequence[Mixed], gene: str, rates: Mapping[tuple[str, str], Tally]
) -> tuple[float, float]:
    """Return the molecules of a gene that other clones left in a group, and their error."""
    umi, variance = 0.0, 0.0
    for part in parts:
        source = rates.get((part.other, gene))
        if source is None or source.exposure <= 0:
            continue
        rate = max(source.umi - source.ambient, 0.0) / source.exposure
        umi += rate * part.exposure
        error = CALIBRATION**2 + log_error(source) ** 2
        variance += rate**2 * (part.variance + error * part.exposure**2)
    return umi, float(np.sqrt(variance))


def _is_tally_of_own(key: Counted) -> bool:
    return key.subset == Subset.OWN and key.measure == Measure.RNA
