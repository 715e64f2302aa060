"""With what a clone is compared: itself before treatment, normal plasma cells, other patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.records import Kind
from relapsescope.antigens.settings import AntigenSettings, ReferenceLimits
from relapsescope.statistics.library_effects import (
    Key,
    LibraryEffects,
    Pooled,
    excess_sd,
    matched_changes,
)
from relapsescope.statistics.library_variation import (
    Estimate,
    Variation,
    common_mean,
    measured_variation,
)
from relapsescope.statistics.rates import PER_MILLION, Tally, estimate, log_error, pool
from relapsescope.vocabulary import COHORT

PRE_TREATMENT = "pre_treatment_clone"
NORMAL = "normal_plasma_cells"
PANEL = "untreated_panel"
MALIGNANT_KEY = (Kind.ALL_MALIGNANT, ALL_MALIGNANT)
NORMAL_KEY = (Kind.NORMAL_PLASMA, "")
LEAST_PATIENTS_SD = 0.1


@dataclass(frozen=True)
class GivenRate:
    """A gene's rate in other people's cells, as a reference from outside the cohort holds it.

    Attributes
    ----------
    cpm
        Mean (of the logs) of the people's rates, molecules a million.
    log_error
        Standard error of its logarithm.
    between
        How the people differ (natural log).
    dispersion
        Squared coefficient of variation between the cells of one person.
    """

    cpm: float
    log_error: float
    between: Variation
    dispersion: float

    def as_tally(self) -> Tally:
        """Return molecules that say as much as the rate with its error."""
        umi = 1 / max(self.log_error, 1e-3) ** 2
        exposure = PER_MILLION * umi / self.cpm
        return Tally(0, umi, exposure, 0.0, 0.0, 0.0, self.dispersion, 0)


@dataclass(frozen=True)
class GivenRates:
    """Rates from outside the cohort, by gene.

    Attributes
    ----------
    source
        The contract's word: `frozen` or `shipped`.
    malignant, normal
        Untreated patients' malignant plasma cells, and healthy donors' plasma cells.
    """

    source: str
    malignant: Mapping[str, GivenRate] = field(default_factory=dict)
    normal: Mapping[str, GivenRate] = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """What every judgement of a cohort's molecules looks things up in."""

    molecules: Molecules
    pooled: Pooled
    effects: LibraryEffects
    clones: Clones
    settings: AntigenSettings
    outside: Sequence[GivenRates] = ()


@dataclass(frozen=True)
class Reference:
    """Groups of cells that a clone is compared with.

    Attributes
    ----------
    name
        The contract's word.
    keys
        Library, kind and clone of each group; none of a reference from outside the cohort.
    same_library
        Whether the reference comes from the compared cells' own library only, so that library
        effects cancel.
    given
        The rate where it is that of other people.
    source
        `cohort`, or the source of the given rates.
    """

    name: str
    keys: tuple[Key, ...]
    same_library: bool = False
    given: GivenRate | None = None
    source: str = COHORT

    def tally(self, molecules: Molecules, gene: str) -> Tally:
        """Return the reference's molecules of a gene, all groups together."""
        if self.given is not None:
            return self.given.as_tally()
        return pool([molecules.tally(*key, gene) for key in self.keys])

    def samples(self) -> tuple[str, ...]:
        """Return the libraries that the reference comes from."""
        return tuple(dict.fromkeys(key[0] for key in self.keys))


def reference_for(
    molecules: Molecules,
    clones: Clones,
    sample: str,
    clone: str,
    gene: str,
    *,
    limits: ReferenceLimits,
    outside: Sequence[GivenRates] = (),
) -> Reference | None:
    """Return the first reference with enough cells, in the order of the protocol.

    The patient's malignant cells before treatment, residual normal plasma cells (of the same
    library, else of the patient's others), untreated patients' malignant cells (else those
    of other patients before CAR-T), then `outside` in turn. None where there is none.
    """
    own = _of_the_patient(molecules, clones, sample, clone, gene, limits=limits)
    if own is not None:
        return own
    for timepoints in (("untreated",), ("pre_infusion",)):
        keys = tuple(
            (s, *MALIGNANT_KEY)
            for s in molecules.panel(sample, timepoints)
            if molecules.has(s, *MALIGNANT_KEY)
        )
        both = pool([molecules.tally(*key, gene) for key in keys])
        if both.n_cells >= limits.min_cells and both.exposure >= limits.min_exposure:
            rate = panel_rate(
                molecules,
                keys,
                gene,
                assumed_sd=limits.patient_log_sd,
                prior_df=limits.patient_prior_df,
            )
            return Reference(PANEL, keys, given=rate)
    for rates in outside:
        for name, by_gene in ((PANEL, rates.malignant), (NORMAL, rates.normal)):
            if gene in by_gene:
                return Reference(name, (), given=by_gene[gene], source=rates.source)
    return None


def _of_the_patient(
    molecules: Molecules,
    clones: Clones,
    sample: str,
    clone: str,
    gene: str,
    *,
    limits: ReferenceLimits,
) -> Reference | None:
    """Return the patient's own reference: the tumour before treatment, else normal plasma cells."""
    patient = molecules.libraries[sample].patient_id

    def enough(keys: Sequence[Key], measure: Callable[[Tally], bool]) -> bool:
        both = pool([molecules.tally(*key, gene) for key in keys])
        return both.n_cells >= limits.min_cells and measure(both)

    if (patient, clone) not in clones.unrelated:
        before = molecules.before(sample)
        for group in (MALIGNANT_KEY, (Kind.CLONE, clone)):
            keys = tuple((s, *group) for s in before if molecules.has(s, *group))
            if enough(keys, lambda one: one.exposure >= limits.min_exposure):
                return Reference(PRE_TREATMENT, keys)
    here = ((sample, *NORMAL_KEY),)
    for keys in (here, tuple((s, *NORMAL_KEY) for s in molecules.samples_of(patient))):
        if enough(keys, lambda one: one.umi - one.ambient >= limits.min_umi):
            return Reference(NORMAL, keys, same_library=keys == here)
    return None


def own_past(
    molecules: Molecules, clones: Clones, sample: str, clone: str, min_cells: int
) -> Reference | None:
    """Return the clone's own cells before CAR-T, None where it has none or hardly any."""
    patient = molecules.libraries[sample].patient_id
    if clone == ALL_MALIGNANT or (patient, clone) in clones.unrelated:
        return None
    before = molecules.before(sample)
    keys = tuple((s, Kind.CLONE, clone) for s in before if molecules.has(s, Kind.CLONE, clone))
    n_cells = sum(molecules.cells_in(*key) for key in keys)
    return Reference(PRE_TREATMENT, keys) if n_cells >= min_cells else None


def panel_rate(
    molecules: Molecules,
    keys: Sequence[Key],
    gene: str,
    *,
    assumed_sd: float,
    prior_df: float,
) -> GivenRate:
    """Return other patients' mean log rate, and how they differ: what a new patient may show.

    One value a patient. Few patients say little of how patients differ, so that what is believed
    without data weighs in, with its degrees of freedom.
    """
    found, tallies = [], []
    for patient in dict.fromkeys(molecules.libraries[key[0]].patient_id for key in keys):
        own = [key for key in keys if molecules.libraries[key[0]].patient_id == patient]
        group = pool([molecules.tally(*key, gene) for key in own])
        if group.exposure > 0:
            rate = max(estimate(group), 0.5 * PER_MILLION / group.exposure)
            found.append(Estimate(float(np.log(rate)), log_error(group) ** 2))
            tallies.append(group)
    between = measured_variation(
        [found],
        assumed_sd=assumed_sd,
        prior_df=prior_df,
        least_sd=LEAST_PATIENTS_SD,
    )
    mean = common_mean(found, between)
    return GivenRate(
        float(np.exp(mean.value)), float(np.sqrt(mean.variance)), between, pool(tallies).dispersion
    )


@dataclass(frozen=True)
class LibraryError:
    """What makes the two sides of a ratio differ beside their cells: a t distribution (log)."""

    log_sd: float
    df: float = np.inf


def library_error(
    pooled: Pooled, effects: LibraryEffects, gene: str, group: Key, reference: Reference
) -> LibraryError:
    """Return what makes the libraries, or the patients, of a ratio differ.

    From genes expressed like `gene` in the two groups themselves; where they are too few,
    from the cohort's reference lineages. Never less than the lineages show to be shared.
    Against other patients, how patients differ in the gene itself: their libraries differ too.
    """
    if reference.given is not None:
        between = reference.given.between
        return LibraryError(max(between.sd, effects.total_sd), between.df)
    if reference.same_library:
        return LibraryError(0.0)
    libraries = np.sqrt(1 + 1 / len(reference.samples()))
    _, logs, noise = matched_changes(pooled, gene, [group], reference.keys)
    seen = excess_sd(logs, noise)
    if not np.isfinite(seen):
        seen = effects.total_sd * libraries
    return LibraryError(float(max(seen, effects.shared_sd * libraries)))
