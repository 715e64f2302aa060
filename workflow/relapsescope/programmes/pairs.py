"""Which relapse clone is compared with which cells before CAR-T, one patient at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import REFERENCE_LINEAGES
from relapsescope.antigens.molecules import Clones
from relapsescope.antigens.references import MALIGNANT_KEY
from relapsescope.programmes.changes import Changes, changes
from relapsescope.programmes.pseudobulk import PatientPseudobulks, Pseudobulk, without_doublets
from relapsescope.programmes.settings import ProgrammeSettings
from relapsescope.statistics.library_effects import LibraryEffects
from relapsescope.vocabulary import BEFORE_TREATMENT

REFERENCE_TISSUE = "bone_marrow"


@dataclass(frozen=True)
class Pair:
    """A relapse clone and the patient's malignant cells before CAR-T, ready to compare.

    Attributes
    ----------
    now, then
        Pseudobulks over `genes`, foreign molecules of ambient RNA and unseen doublets known.
    references
        By lineage, the libraries' reference cells at relapse and before.
    same_tumour
        False where the clone's immunoglobulin differs from that before CAR-T.
    """

    patient_id: str
    clone_id: str
    genes: np.ndarray
    now: Pseudobulk
    then: Pseudobulk
    references: Mapping[str, tuple[Pseudobulk, Pseudobulk]]
    same_tumour: bool

    @property
    def arms(self) -> tuple[Pseudobulk, Pseudobulk]:
        """Before and relapse."""
        return self.then, self.now

    def changes(
        self, effects: LibraryEffects, settings: ProgrammeSettings, min_reference_umi: float
    ) -> Changes:
        """Return how each gene changed."""
        return changes(
            self.genes,
            self.now,
            self.then,
            {name: pair[0] for name, pair in self.references.items()},
            {name: pair[1] for name, pair in self.references.items()},
            effects=effects,
            settings=settings,
            min_reference_umi=min_reference_umi,
        )


@dataclass(frozen=True)
class Compared:
    """A pair with what came of it."""

    pair: Pair
    changes: Changes


def relapsed_patients(
    libraries: Sequence[Mapping[str, Any]],
) -> dict[str, tuple[list[str], list[str]]]:
    """Return each patient with a marrow at relapse: its marrows at relapse, and before CAR-T."""
    marrows = [library for library in libraries if library["tissue"] == REFERENCE_TISSUE]
    patients = dict.fromkeys(
        library["patient_id"] for library in marrows if library["timepoint"] == "relapse"
    )
    return {
        patient: tuple(
            [
                library["sample_id"]
                for library in marrows
                if library["patient_id"] == patient and library["timepoint"] in timepoints
            ]
            for timepoints in (("relapse",), BEFORE_TREATMENT)
        )
        for patient in patients
    }


def pairs_of(
    patient: str,
    relapse: Sequence[str],
    before: Sequence[str],
    bulks: PatientPseudobulks,
    clones: Clones,
    *,
    contaminants: Mapping[str, Sequence[str]],
    min_cells: int,
) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Return a patient's comparisons, a relapse clone each, and why others cannot be made.

    Parameters
    ----------
    relapse, before
        The patient's marrows.
    min_cells
        Cells that both sides need.

    Returns
    -------
    The pairs, and (clone, reason) of what is not assessable; the clone is "" where there is none.
    """
    found = list(dict.fromkeys(c for sample in relapse for c in clones.relapse.get(sample, ())))
    if not found:
        return [], [("", "no relapse clone was found")]
    then_keys = [(s, *MALIGNANT_KEY) for s in before if bulks.has((s, *MALIGNANT_KEY))]
    n_before = sum(bulks.cells_in(key) for key in then_keys)
    pairs, refused = [], []
    for clone in found:
        now_keys = [(s, "clone", clone) for s in relapse if bulks.has((s, "clone", clone))]
        n_now = sum(bulks.cells_in(key) for key in now_keys)
        if not before:
            refused.append((clone, "no marrow before CAR-T"))
        elif min(n_before, n_now) < min_cells:
            refused.append(
                (
                    clone,
                    f"{n_now} cells at relapse and {n_before} malignant cells before CAR-T; "
                    f"{min_cells} are needed on both sides",
                )
            )
        else:
            same = (patient, clone) not in clones.unrelated
            pairs.append(
                _pair(
                    patient,
                    clone,
                    now_keys,
                    then_keys,
                    bulks,
                    contaminants=contaminants,
                    same_tumour=same,
                )
            )
    return pairs, refused


def _pair(patient, clone, now_keys, then_keys, bulks, *, contaminants, same_tumour) -> Pair:
    sides = [list(dict.fromkeys(key[0] for key in keys)) for keys in (now_keys, then_keys)]
    genes = bulks.shared_genes([*sides[0], *sides[1]])
    arms, lineages = [], []
    for keys, samples in zip((now_keys, then_keys), sides, strict=True):
        own = {
            name: bulks.sum_of([(s, "lineage", name) for s in samples], genes)
            for name in REFERENCE_LINEAGES
        }
        own = {name: bulk for name, bulk in own.items() if bulk.n_cells}
        arms.append(without_doublets(bulks.sum_of(keys, genes), own, genes, contaminants))
        lineages.append(own)
    both = [name for name in lineages[0] if name in lineages[1]]
    references = {name: (lineages[0][name], lineages[1][name]) for name in both}
    return Pair(patient, clone, genes, arms[0], arms[1], references, same_tumour)


def one_per_patient(pairs: Sequence[Pair]) -> list[Pair]:
    """Return one pair a patient for tests over patients: the relapse clones' molecules together.

    Clones of another immunoglobulin are left out: what differs there are two tumours.
    """
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.same_tumour:
            found.setdefault(pair.patient_id, []).append(pair)
    return [_together(own) for own in found.values()]


def _together(pairs: Sequence[Pair]) -> Pair:
    if len(pairs) == 1:
        return pairs[0]
    genes = pairs[0].genes
    for other in pairs[1:]:
        genes = np.intersect1d(genes, other.genes)
    places = [np.searchsorted(pair.genes, genes) for pair in pairs]
    nows = [_at(pair.now, place) for pair, place in zip(pairs, places, strict=True)]
    now = replace(
        nows[0],
        umi=np.sum([bulk.umi for bulk in nows], axis=0),
        foreign=np.sum([bulk.foreign for bulk in nows], axis=0),
        foreign_sd=np.sum([bulk.foreign_sd for bulk in nows], axis=0),
        variance=np.sum([bulk.variance for bulk in nows], axis=0),
        exposure=sum(bulk.exposure for bulk in nows),
        n_cells=sum(bulk.n_cells for bulk in nows),
    )
    return replace(pairs[0], genes=genes, now=now, then=_at(pairs[0].then, places[0]))


def _at(bulk: Pseudobulk, place: np.ndarray) -> Pseudobulk:
    return replace(
        bulk,
        umi=bulk.umi[place],
        foreign=bulk.foreign[place],
        foreign_sd=bulk.foreign_sd[place],
        variance=bulk.variance[place],
    )
