"""Cells brought back to their clone without a plasma cell's identity, and what they leave of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from relapsescope.clones.fates import BEFORE
from relapsescope.clones.immunoglobulin import call_immunoglobulin
from relapsescope.clones.lost_identity import (
    LostIdentity,
    clones_of_lost,
    find_lost_identity,
    identity_ratio,
    with_candidates,
)
from relapsescope.clones.malignancy import Malignancy
from relapsescope.clones.patient_cells import PatientCells
from relapsescope.clones.plasma_cells import PlasmaLibrary
from relapsescope.clones.tables import Clone

if TYPE_CHECKING:
    from relapsescope.clones.patient_clones import Settings


@dataclass(frozen=True)
class BroughtBack:
    """The cells of a patient that are of its clone although no plasma cells by their markers.

    Attributes
    ----------
    evidence, chosen
        What was found of all candidates, and the numbers of those brought back.
    library
        (n_back,) number of each one's library.
    columns
        By name, their (n_back,) values in the patient's table of cells.
    """

    evidence: LostIdentity
    chosen: np.ndarray
    library: np.ndarray
    columns: dict[str, np.ndarray]

    def by_library(self, libraries: Sequence[PlasmaLibrary]) -> dict[str, int]:
        """Return how many were brought back in each library that has any."""
        numbers, sizes = np.unique(self.library, return_counts=True)
        return {
            libraries[number].sample_id: int(size)
            for number, size in zip(numbers, sizes, strict=True)
        }


def bring_back(
    libraries: Sequence[PlasmaLibrary],
    used: Sequence[PlasmaLibrary],
    symbols: np.ndarray,
    cells: PatientCells,
    malignancy: Malignancy,
    *,
    clones: Sequence[Clone],
    evaluable: bool,
    floor: float,
    settings: "Settings",
) -> tuple[list[Clone], BroughtBack]:
    """Return the clones with their cells that lost their identity, and these cells.

    Parameters
    ----------
    libraries, used
        The patient's libraries over all genes (`symbols`) and over the panel's.
    """
    found = find_lost_identity(
        libraries,
        used,
        symbols,
        cells,
        malignancy,
        evaluable=evaluable,
        floor=floor,
        cn_settings=settings.copy_number,
        settings=settings.clones,
    )
    chosen = np.flatnonzero(found.found(settings.clones.lost_identity_probability))
    share = clones_of_lost(
        used,
        cells,
        malignancy,
        clones,
        found,
        chosen=chosen,
        cn_settings=settings.copy_number,
        settings=settings.clones,
    )
    own = share.argmax(axis=1) if len(chosen) else np.zeros(0, dtype=int)
    clones = [
        replace(clone, lost=np.flatnonzero(own == k), lost_probability=share[:, k])
        for k, clone in enumerate(clones)
    ]
    columns = _columns(libraries, symbols, found, chosen, settings)
    columns["clone_id"] = np.array([clones[k].clone_id for k in own], dtype=object)
    columns["clone_probability"] = share[np.arange(len(own)), own]
    return clones, BroughtBack(found, chosen, found.library[chosen], columns)


def _columns(
    libraries: Sequence[PlasmaLibrary],
    symbols: np.ndarray,
    found: LostIdentity,
    chosen: np.ndarray,
    settings: "Settings",
) -> dict[str, np.ndarray]:
    """Return the columns of the brought-back cells, those of their clone apart."""
    names = ("patient_id", "sample_id", "barcode", "light_chain", "light_v", "heavy_v")
    texts: dict[str, list[Any]] = {name: [] for name in (*names, "heavy_chain")}
    numbers: dict[str, list[float]] = {"kappa_umi": [], "lambda_umi": []}
    for number in np.unique(found.library[chosen]):
        library, at = libraries[number], found.index[chosen[found.library[chosen] == number]]
        candidates = library.candidates
        calls = call_immunoglobulin(
            candidates.counts[at],
            symbols,
            ambient_umi=candidates.ambient_umi[at],
            ambient=library.ambient,
            settings=settings.immunoglobulin,
        )
        values = (calls.light_chain, calls.light_v, calls.heavy_v, calls.heavy)
        who = ([library.patient_id] * len(at), [library.sample_id] * len(at))
        for name, column in zip(texts, (*who, candidates.barcodes[at], *values), strict=True):
            texts[name].extend(column)
        numbers["kappa_umi"].extend(calls.kappa)
        numbers["lambda_umi"].extend(calls.lambda_)
    return {
        **{name: np.array(values, dtype=object) for name, values in texts.items()},
        **{name: np.array(values, dtype=float) for name, values in numbers.items()},
        "malignancy": np.full(len(chosen), "malignant", dtype=object),
        "malignancy_probability": found.probability[chosen],
        "log_odds_immunoglobulin": found.segments[chosen],
        "log_odds_programme": found.private[chosen],
        "identity_lost": np.ones(len(chosen), dtype=bool),
    }


def identity_columns(
    used: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    back: BroughtBack,
    *,
    markers: np.ndarray,
) -> Mapping[tuple[str, int], dict[str, Any]]:
    """Return by clone and library number how many cells lost their identity, and what is left.

    A clone is compared with the tumour before CAR-T, in whichever clone, or with normal plasma
    cells where there is none; of before CAR-T itself only the cells are counted.

    Parameters
    ----------
    markers
        (n_genes,) bool, which of the panel's genes are markers of plasma cells.
    """
    everyone = with_candidates(used, cells, back.evidence, back.chosen)
    n = len(cells.library)
    before = np.array([library.timepoint in BEFORE for library in used])[everyone.library]
    malignant = np.append(malignancy.malignancy == "malignant", np.ones(len(back.chosen), bool))
    told = {}
    for clone in clones:
        members = np.zeros(len(malignant), dtype=bool)
        members[clone.cells] = True
        members[n + clone.lost] = True
        for number in np.unique(everyone.library[members]):
            here = members & (everyone.library == number)
            row: dict[str, Any] = {"n_identity_lost": int(here[n:].sum())}
            left = None
            if not before[here].any() and malignancy.panel.background.sum():
                left = identity_ratio(everyone, here, malignant & before, malignancy.panel, markers)
            if left is not None:
                row |= {
                    "identity_ratio": left.ratio,
                    "identity_ci_low": left.low,
                    "identity_ci_high": left.high,
                    "identity_reference": left.reference,
                }
            told[clone.clone_id, int(number)] = row
    return told
