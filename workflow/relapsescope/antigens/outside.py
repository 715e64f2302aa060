"""Rates of other people's plasma cells that a reference brings along."""

from collections.abc import Callable, Sequence

import numpy as np

from relapsescope.antigens.molecules import Molecules
from relapsescope.antigens.references import (
    MALIGNANT_KEY,
    NORMAL_KEY,
    GivenRate,
    GivenRates,
    panel_rate,
)
from relapsescope.antigens.settings import ReferenceLimits
from relapsescope.statistics.library_effects import Key
from relapsescope.statistics.library_variation import Variation
from relapsescope.statistics.rates import Tally, estimate, pool
from relapsescope.vocabulary import BEFORE_TREATMENT, COHORT


def given_rates(
    molecules: Molecules, genes: Sequence[str], limits: ReferenceLimits
) -> list[GivenRates]:
    """Return the rates of those libraries of `molecules` that are a reference's, by source.

    Malignant cells are those of untreated patients, else of patients before CAR-T. What makes a
    new patient differ is how the reference's people do, or what the reference states of it.
    """
    sources = dict.fromkeys(one.source for one in molecules.libraries.values())
    found = []
    for source in (one for one in sources if one != COHORT):
        untreated = _groups(molecules, source, ("untreated",), MALIGNANT_KEY)
        before = _groups(molecules, source, ("pre_infusion",), MALIGNANT_KEY)
        normal = _groups(molecules, source, ("healthy", *BEFORE_TREATMENT), NORMAL_KEY)
        found.append(
            GivenRates(
                source,
                malignant=_rates(molecules, untreated or before, genes, limits, _enough_cells),
                normal=_rates(molecules, normal, genes, limits, _enough_molecules),
            )
        )
    return found


def _groups(
    molecules: Molecules, source: str, timepoints: Sequence[str], group: tuple[str, str]
) -> tuple[Key, ...]:
    return tuple(
        (name, *group)
        for name, library in molecules.libraries.items()
        if library.source == source
        and library.timepoint in timepoints
        and molecules.has(name, *group)
    )


def _enough_cells(group: Tally, limits: ReferenceLimits) -> bool:
    return group.n_cells >= limits.min_cells and group.exposure >= limits.min_exposure


def _enough_molecules(group: Tally, limits: ReferenceLimits) -> bool:
    return group.n_cells >= limits.min_cells and group.umi - group.ambient >= limits.min_umi


def _rates(
    molecules: Molecules,
    keys: Sequence[Key],
    genes: Sequence[str],
    limits: ReferenceLimits,
    enough: Callable[[Tally, ReferenceLimits], bool],
) -> dict[str, GivenRate]:
    stated = max((molecules.libraries[key[0]].between_log_sd for key in keys), default=0.0)
    found = {}
    for gene in genes:
        group = pool([molecules.tally(*key, gene) for key in keys])
        if not enough(group, limits):
            continue
        if stated > 0:
            between = Variation(stated, np.inf, 0)
            error = 1 / np.sqrt(group.umi)
            found[gene] = GivenRate(estimate(group), float(error), between, group.dispersion)
        else:
            found[gene] = panel_rate(
                molecules,
                keys,
                gene,
                assumed_sd=limits.patient_log_sd,
                prior_df=limits.patient_prior_df,
            )
    return found
