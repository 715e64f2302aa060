"""A patient's clones as tables: clone by timepoint, arms of each clone, and the summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relapsescope.clones.copy_number import GAIN_MEAN, ArmRatios, event_probabilities
from relapsescope.clones.fates import (
    BEFORE,
    CloneCount,
    Visit,
    count_clone,
    fate,
    in_time,
    pooled,
    relapse_clone,
    relation,
    share_limits,
)
from relapsescope.clones.malignancy import Malignancy
from relapsescope.clones.patient_cells import PatientCells
from relapsescope.clones.plasma_cells import PlasmaLibrary
from relapsescope.clones.programme_split import MIN_GENES, changed_genes
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings
from relapsescope.clones.subclone_contrast import difference
from relapsescope.clones.subclones import MIN_DIFFERENCE
from relapsescope.vocabulary import COHORT

CLONE_COLUMNS = (
    "patient_id",
    "clone_id",
    "timepoint",
    "sample_id",
    "n_cells",
    "fraction",
    "fraction_ci_low",
    "fraction_ci_high",
    "expected_fraction",
    "detection_limit",
    "n_malignant",
    "light_chain",
    "v_gene",
    "heavy_chain",
    "cnv_events",
    "cnv_evaluable",
    "fate",
    "is_relapse_clone",
    "relation",
    "share_before",
    "stability",
    "n_changed_genes",
    "new_events",
    "reference_source",
    "same_immunoglobulin",
    "n_identity_lost",
    "identity_ratio",
    "identity_ci_low",
    "identity_ci_high",
    "identity_reference",
    "reason",
)
ARM_COLUMNS = (
    "patient_id",
    "clone_id",
    "arm",
    "n_genes",
    "log2_ratio",
    "log2_ratio_ci_low",
    "log2_ratio_ci_high",
    "probability_gain",
    "probability_loss",
    "event",
)

SAME = "same_ig_same_subclone"
# Probability from which a single cell shows that a clone was there before CAR-T.
SURE = 0.95
# Arms changed alike that make two groups of cells one tumour: one may be chance.
MIN_KIN_ARMS = 2
# Share of the arms that must have been able to show a gain for "no arm differs" to mean anything.
ABLE_ARMS = 0.8


@dataclass(frozen=True)
class Clone:
    """One clone of a patient.

    Attributes
    ----------
    cells
        Numbers of its cells among the patient's plasma cells.
    probability
        (n_plasma_cells,) probability that a cell is malignant and of this clone.
    unseen
        (n_libraries,) share that each library would have shown, as in `Subclones`.
    dissolved
        (n_own_cells,) subclones that did not hold, as in `Subclones`.
    lost, lost_probability
        Numbers of its cells among those brought back without a plasma cell's identity, and for
        each brought-back cell the probability that it is of this clone.
    """

    clone_id: str
    cells: np.ndarray
    ig_clone: int
    probability: np.ndarray
    arms: ArmRatios | None
    events: tuple[str, ...]
    stability: float | None
    unseen: np.ndarray
    dissolved: np.ndarray | None = None
    lost: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    lost_probability: np.ndarray = field(default_factory=lambda: np.zeros(0))


def clone_rows(
    patient: str,
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    *,
    why: str,
    settings: CloneSettings,
    cn_settings: CopyNumberSettings,
    source: str = COHORT,
    lost_library: np.ndarray | None = None,
    identity: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of `clones.tsv`: each clone in each library with malignant cells or not.

    Parameters
    ----------
    lost_library
        (n_lost,) number of the library of each cell brought back without a plasma cell's
        identity. They count; what is learned of a clone is learned without them.
    identity
        By clone and library number, the columns that tell what is left of the identity.
    """
    lost_library = np.zeros(0, dtype=int) if lost_library is None else lost_library
    course = _course_of(libraries, cells, malignancy, clones, lost_library=lost_library)
    before, number = course.before, course.number
    relapses = [v for v in course.visits if v.timepoint == "relapse" and course.n_at(v)]
    last = last_library(relapses, {name: int(course.n_malignant[i]) for name, i in number.items()})
    returned = relapse_clone({c: n[last] for c, n in course.counts.items()}) if last else None
    shares = _expected_shares(clones, cells.library, course.malignant, len(libraries), lost_library)
    rows = []
    for clone in clones:
        counts = course.counts[clone.clone_id]
        is_relapse = clone.clone_id == returned
        link = Link()
        if is_relapse:
            link = _link(clone, course, number[last], cn_settings=cn_settings, settings=settings)
        for visit in filter(course.n_at, course.visits):
            count, at_relapse = counts[visit.sample_id], visit.timepoint == "relapse"
            rows.append(
                _row(patient, clone, visit, count, malignancy, why=why)
                | _share_limits(count, shares[clone.clone_id][number[visit.sample_id]])
                | {
                    "fate": _fate(visit, course, counts, settings),
                    "is_relapse_clone": is_relapse and at_relapse,
                    "relation": link.relation if at_relapse else "",
                    "share_before": pooled([counts[name] for name in before]).fraction,
                    "n_changed_genes": link.n_changed if at_relapse else None,
                    "new_events": ";".join(link.new_events) if at_relapse else "",
                    "reference_source": source,
                    "same_immunoglobulin": link.n_same > 0 if is_relapse and before else None,
                    "reason": "; ".join(filter(None, [link.reason, why])),
                }
                | dict((identity or {}).get((clone.clone_id, number[visit.sample_id]), {}))
            )
    shown = {row["sample_id"] for row in rows}
    absent = [v for v in course.visits if v.timepoint == "relapse" and v.sample_id not in shown]
    return rows + [no_clone_row(patient, visit, _why_none(malignancy, why)) for visit in absent]


@dataclass(frozen=True)
class _Course:
    """A patient's libraries in time, and how many cells of each clone they hold.

    Attributes
    ----------
    number
        Each library's number in the arrays, by sample.
    counts
        Cells by clone and sample, those brought back without a plasma cell's identity too.
    n_malignant
        (n_libraries,) malignant cells.
    lost_library
        (n_lost,) number of the library of each cell brought back.
    """

    cells: PatientCells
    malignancy: Malignancy
    clones: Sequence[Clone]
    visits: Sequence[Visit]
    number: Mapping[str, int]
    counts: Mapping[str, Mapping[str, CloneCount]]
    n_malignant: np.ndarray
    lost_library: np.ndarray

    @property
    def malignant(self) -> np.ndarray:
        """(n_cells,) bool."""
        return self.malignancy.malignancy == "malignant"

    @property
    def before(self) -> list[str]:
        """Samples from before CAR-T, in time."""
        return [visit.sample_id for visit in self.visits if visit.timepoint in BEFORE]

    @property
    def numbers_before(self) -> list[int]:
        """Numbers of the libraries from before CAR-T, in time."""
        return [self.number[name] for name in self.before]

    def n_at(self, visit: Visit) -> int:
        """Return the malignant cells of a visit."""
        return int(self.n_malignant[self.number[visit.sample_id]])


def _course_of(
    libraries: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    *,
    lost_library: np.ndarray,
) -> _Course:
    malignant = malignancy.malignancy == "malignant"
    n_malignant = np.bincount(
        np.append(cells.library[malignant], lost_library), minlength=len(libraries)
    )
    number = {library.sample_id: i for i, library in enumerate(libraries)}
    counts = {
        clone.clone_id: {
            name: count_clone(
                int((cells.library[clone.cells] == i).sum())
                + int((lost_library[clone.lost] == i).sum()),
                int(n_malignant[i]),
                clone.unseen[i],
            )
            for name, i in number.items()
        }
        for clone in clones
    }
    visits = in_time([Visit(lib.sample_id, lib.timepoint, lib.day) for lib in libraries])
    return _Course(cells, malignancy, clones, visits, number, counts, n_malignant, lost_library)


@dataclass(frozen=True)
class Link:
    """How the clone that came back is related to the tumour before CAR-T, and why it is said.

    Attributes
    ----------
    n_changed
        Genes that it changed since; None where none surely did.
    new_events
        Arms by which it differs from the cells before.
    n_same
        Cells before CAR-T with its immunoglobulin.
    """

    relation: str = ""
    reason: str = ""
    n_changed: int | None = None
    new_events: tuple[str, ...] = ()
    n_same: int = 0


def _link(
    clone: Clone,
    course: _Course,
    relapse: int,
    *,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> Link:
    """Return the relation of the relapse clone; `relapse` is the number of its library.

    A clone that seems the same, but in which a new subclone is not excluded, is not assessable.
    """
    cells, before, numbers = course.cells, course.before, course.numbers_before
    kin = () if clone.ig_clone >= 0 else shared_arms(clone, course.clones, course.counts, before)
    n_same = _same_immunoglobulin(clone, course, by_arms=len(kin) >= MIN_KIN_ARMS)
    link, reason = relation(
        pooled([course.counts[clone.clone_id][name] for name in before]),
        same_ig_before=n_same,
        ig_known=clone.ig_clone >= 0 or len(kin) >= MIN_KIN_ARMS,
        new_share=settings.new_share,
        n_sure=_sure(clone, cells.library, numbers),
    )
    if link == SAME and _may_be_new(clone, cells.library, numbers, relapse, settings):
        link = "not_assessable"
        reason += (
            "; the cells at relapse split from those before, but not in every sample of "
            f"the cells (stability {clone.stability:.2f}): a new subclone is not excluded"
        )
    if kin and link != "not_assessable":
        reason += (
            f"; its immunoglobulin is not seen: that it is the same tumour is said from "
            f"{';'.join(kin)}, which both show"
        )
    earlier = course.malignant & np.isin(cells.library, numbers)
    gained, seen = new_events(cells, clone.cells, earlier, relapse, cn_settings, settings=settings)
    if link == SAME and not seen:
        link = "not_assessable"
        reason += "; the same immunoglobulin, but a new subclone could not have been seen"
    if link == SAME and gained:
        link = "not_assessable"
        reason += (
            f"; {';'.join(gained)} differ from the cells before, but no subclone holds in "
            "every sample of the cells: a new subclone is not excluded"
        )
    changed = _changed(cells, clone, numbers)
    if changed and link == SAME:
        reason += (
            f"; {changed} genes changed at least twofold since: a changed state, or a new "
            "subclone without arm events, which expression cannot tell apart"
        )
    return Link(link, reason, changed, gained, n_same)


def _same_immunoglobulin(clone: Clone, course: _Course, *, by_arms: bool) -> int:
    """Return the malignant cells before CAR-T with a clone's immunoglobulin.

    With `by_arms` every malignant cell counts: shared arms tell that they are one tumour.
    """
    same = course.malignant & ((course.malignancy.ig_clone == clone.ig_clone) | by_arms)
    lost = np.concatenate(
        [other.lost for other in course.clones if other.ig_clone == clone.ig_clone]
    )
    numbers = course.numbers_before
    found = np.isin(course.cells.library[same], numbers).sum()
    return int(found + np.isin(course.lost_library[lost], numbers).sum())


def last_library(relapses: Sequence[Visit], n_malignant: Mapping[str, int]) -> str | None:
    """Return the library that shows the last relapse best, None without a relapse.

    Sorted fractions of one marrow are one moment: that with the most malignant cells tells which
    clone came back, whatever the fractions are called.
    """
    if not relapses:
        return None
    day = relapses[-1].day
    moment = [v for v in relapses if v.day == day or (np.isnan(v.day) and np.isnan(day))]
    return max(moment, key=lambda visit: n_malignant[visit.sample_id]).sample_id


def shared_arms(
    clone: Clone,
    clones: Sequence[Clone],
    counts: Mapping[str, Mapping[str, CloneCount]],
    before: Sequence[str],
) -> tuple[str, ...]:
    """Return the events that a clone shares with those seen before CAR-T, in genome order.

    Where no immunoglobulin tells (a matrix without its genes), arms changed alike tell that two
    groups of cells are one tumour.
    """
    earlier = [
        set(other.events)
        for other in clones
        if any(counts[other.clone_id][name].n_cells for name in before)
    ]
    shown = set().union(*earlier)
    return tuple(event for event in clone.events if event in shown)


def new_events(
    cells: PatientCells,
    clone: np.ndarray,
    earlier: np.ndarray,
    relapse: int,
    cn_settings: CopyNumberSettings,
    *,
    settings: CloneSettings,
) -> tuple[tuple[str, ...], bool]:
    """Return the arms by which a clone at relapse differs from the cells before, and if any could.

    Both groups are the patient's own, so no normal cell is needed. An arm could have shown a
    difference where one copy more, in all cells, would have been called.

    Parameters
    ----------
    clone
        Numbers of the clone's cells.
    earlier
        (n_cells,) bool, the malignant cells before CAR-T.
    relapse
        Number of the library at relapse.
    """
    own = clone[cells.library[clone] == relapse]
    if min(len(own), earlier.sum()) < cn_settings.min_group_cells:
        return (), False
    chosen = np.flatnonzero(earlier | np.isin(np.arange(len(earlier)), own))
    arms = difference(cells.subset(chosen), np.isin(chosen, own), cn_settings=cn_settings)
    events = arms.events(probability=settings.split_probability, min_effect=MIN_DIFFERENCE)
    return events, _able_arms(arms, cn_settings, settings) >= ABLE_ARMS


def _able_arms(arms: ArmRatios, cn_settings: CopyNumberSettings, settings: CloneSettings) -> float:
    """Return the share of arms in which a gain would have been called with these errors."""
    able = []
    for place in range(len(arms.arms)):
        ratio = np.where(np.isfinite(arms.log_ratio), 0.0, np.nan)
        ratio[place] = GAIN_MEAN
        gain, _ = event_probabilities(ratio, arms.error, prior=cn_settings.event_prior)
        able.append(gain[place] >= settings.split_probability)
    return float(np.mean(able)) if able else 0.0


def _may_be_new(
    clone: Clone,
    library: np.ndarray,
    before: Sequence[int],
    relapse: int,
    settings: CloneSettings,
) -> bool:
    """Return whether most cells at relapse are of a subclone that did not hold and was new."""
    if clone.dissolved is None:
        return False
    known = clone.dissolved >= 0
    own, label = library[clone.cells][known], clone.dissolved[known]
    then, now = label[np.isin(own, before)], label[own == relapse]
    if not (len(then) and len(now)):
        return False
    return (then == np.bincount(now).argmax()).mean() < settings.new_share


def no_clone_row(patient: str, visit: Visit, reason: str) -> dict[str, Any]:
    """Return the row of a relapse library without any clone: its relation cannot be assessed."""
    return {
        "patient_id": patient,
        "clone_id": None,
        "timepoint": visit.timepoint,
        "sample_id": visit.sample_id,
        "n_cells": 0,
        "cnv_evaluable": False,
        "is_relapse_clone": False,
        "relation": "not_assessable",
        "reason": reason,
    }


def _why_none(malignancy: Malignancy, why: str) -> str:
    undetermined = (malignancy.malignancy == "undetermined").any()
    told = "malignant cells cannot be told" if undetermined else "no malignant plasma cells"
    return "; ".join(filter(None, [told, *malignancy.reasons, why]))


def _expected_shares(
    clones: Sequence[Clone],
    library: np.ndarray,
    malignant: np.ndarray,
    n_libraries: int,
    lost_library: np.ndarray,
) -> dict[str, list[tuple[float, float] | None]]:
    """Return each clone's mean posterior among each library's malignant cells, and its error.

    Counting assigned cells favours the larger clone where clones overlap; this does not. The
    error is that of the cells' assignment alone.
    """
    malignant = np.append(malignant, np.ones(len(lost_library), dtype=bool))
    library = np.append(library, lost_library)
    every = [np.append(clone.probability, clone.lost_probability) for clone in clones]
    total = np.sum(every, axis=0) if clones else 1.0
    result: dict[str, list[tuple[float, float] | None]] = {}
    for clone, probability in zip(clones, every, strict=True):
        share = probability / np.maximum(total, 1e-12)
        inside = [share[malignant & (library == i)] for i in range(n_libraries)]
        result[clone.clone_id] = [
            (float(own.mean()), float(np.sqrt((own * (1 - own)).sum()) / len(own)))
            if len(own)
            else None
            for own in inside
        ]
    return result


def _share_limits(count: CloneCount, expected: tuple[float, float] | None) -> dict[str, Any]:
    """Return the expected share, and the limits that hold the errors of counting and assignment."""
    if expected is None or count.fraction is None:
        return {"expected_fraction": None}
    low, high = share_limits(count, *expected)
    return {"expected_fraction": expected[0], "fraction_ci_low": low, "fraction_ci_high": high}


def _sure(clone: Clone, library: np.ndarray, before: Sequence[int]) -> int:
    """Return how many of the clone's cells in these libraries are surely of it."""
    own = clone.cells[np.isin(library[clone.cells], before)]
    return int((clone.probability[own] >= SURE).sum())


def _changed(cells: PatientCells, clone: Clone, before: Sequence[int]) -> int | None:
    """Return the genes that a clone changed since before CAR-T; None where none surely did."""
    members = np.zeros(len(cells.library), dtype=bool)
    members[clone.cells] = True
    found = changed_genes(cells, members, np.array(before, dtype=int))
    return found if found >= MIN_GENES else None


def _fate(
    visit: Visit, course: _Course, counts: Mapping[str, CloneCount], settings: CloneSettings
) -> str:
    """Return the fate from the first visit with malignant cells to this one, "" at the first."""
    first = next(filter(course.n_at, course.visits)).sample_id
    if visit.sample_id == first:
        return ""
    return fate(
        counts[first],
        counts[visit.sample_id],
        new_share=settings.new_share,
        fold_change=settings.fold_change,
    )


def _row(
    patient: str, clone: Clone, visit: Visit, count: CloneCount, malignancy: Malignancy, *, why: str
) -> dict[str, Any]:
    ig = malignancy.ig_clones[clone.ig_clone] if clone.ig_clone >= 0 else None
    return {
        "patient_id": patient,
        "clone_id": clone.clone_id,
        "timepoint": visit.timepoint,
        "sample_id": visit.sample_id,
        "n_cells": count.n_cells,
        "fraction": count.fraction,
        "fraction_ci_low": count.low,
        "fraction_ci_high": count.high,
        "detection_limit": count.detection_limit,
        "n_malignant": count.n_malignant,
        "light_chain": ig.light_chain if ig else None,
        "v_gene": ig.v_gene if ig else None,
        "heavy_chain": ig.heavy if ig else None,
        "cnv_events": ";".join(clone.events),
        "cnv_evaluable": not why and clone.arms is not None,
        "stability": clone.stability,
    }


def arm_rows(patient: str, clone: Clone) -> list[dict[str, Any]]:
    """Return the rows of a clone in `copy_number.tsv`; none where it could not be evaluated."""
    if clone.arms is None:
        return []
    arms, to_log2 = clone.arms, 1 / np.log(2)
    events = {event[1:]: event for event in clone.events}
    return [
        {
            "patient_id": patient,
            "clone_id": clone.clone_id,
            "arm": arm,
            "n_genes": int(arms.n_genes[i]),
            "log2_ratio": arms.log_ratio[i] * to_log2,
            "log2_ratio_ci_low": (arms.log_ratio[i] - 1.96 * arms.error[i]) * to_log2,
            "log2_ratio_ci_high": (arms.log_ratio[i] + 1.96 * arms.error[i]) * to_log2,
            "probability_gain": arms.gain[i],
            "probability_loss": arms.loss[i],
            "event": events.get(arm, ""),
        }
        for i, arm in enumerate(arms.arms)
    ]
