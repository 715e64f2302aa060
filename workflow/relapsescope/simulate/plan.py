"""What a simulated cohort holds: patients, libraries, clones; read from YAML or composed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from relapsescope.course.clinical_columns import COLUMNS
from relapsescope.errors import InputProblem
from relapsescope.intake.regular_files import why_not_a_file
from relapsescope.paths import RESOURCES
from relapsescope.vocabulary import SORTINGS, TIMEPOINTS, TISSUES

SIMULATE_RESOURCES = RESOURCES / "simulate"
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")
EVENT = re.compile(r"[+-](?:[1-9]|1\d|2[0-2]|X)[pq]")
RESPONSES = ("sCR", "CR", "VGPR", "PR")
COMPOSITIONS = ("healthy_marrow", "myeloma_marrow", "treated_marrow", "blood")


@dataclass(frozen=True)
class ClonePlan:
    """One malignant clone.

    Attributes
    ----------
    clone_id
        Letter of the clone, unique in its patient.
    copy_number
        Arm-level events, ``+1q;-13q``.
    rates
        Factor on a gene's rate against what the clone's parent (or, for the first clone, a
        normal plasma cell) shows, e.g. ``{"TNFRSF17": 0.0, "ANXA1": 6.0}``.
    retaining
        Share of the clone's cells that keep what the parent shows of a gene in `rates`.
    driver
        Programme of resources/simulate/programmes.tsv, e.g. ``driver_ccnd1``.
    parent
        The clone that this one came from, None for the first.
    immunoglobulin_share
        Mean share of a cell's RNA that is immunoglobulin.
    identity_lost
        Share of the clone's cells that lost the programme of a plasma cell.
    identity_genes
        The genes that these cells lost; empty for all that a plasma cell shows beyond others.
    identity_immunoglobulin
        Factor on the immunoglobulin of these cells.
    """

    clone_id: str
    copy_number: tuple[str, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    retaining: Mapping[str, float] = field(default_factory=dict)
    driver: str | None = None
    parent: str | None = None
    immunoglobulin_share: float = 0.45
    cycling: float = 0.05
    identity_lost: float = 0.0
    identity_genes: tuple[str, ...] = ()
    identity_immunoglobulin: float = 0.1


@dataclass(frozen=True)
class LibraryPlan:
    """One library: who, when, how many cells, and what spoils it.

    Attributes
    ----------
    cells
        Barcodes in the filtered matrix before a UMI ceiling, at scale 1.
    depth
        Factor on every cell's UMIs.
    ambient
        Share of all UMIs in the filtered barcodes that comes from ambient RNA.
    doublets_per_1000
        Doublet rate per 1,000 barcodes: 0.06 makes 4.2 % of 700 barcodes doublets.
    dying, debris
        Share of the barcodes.
    plasma
        Share of the live cells that are malignant plasma cells.
    clones
        Share of each clone among them.
    car
        Share of the T cells that carry the CAR.
    car_exhausted, car_cycling
        Share of the CAR-T cells.
    normal_plasma
        Factor on the share of normal plasma cells: 0 in plasma-cell aplasia.
    suppressive
        0 (as the tissue usually is) to 1 (suppressive myeloid and regulatory T cells rise).
    umi_ceiling
        Barcodes with this many UMIs or more are left out of the filtered matrix, as some
        deposited data sets do.
    failed
        True where the library is meant to be beyond use.
    sorting
        What the sheet says of it; name a composition and `plasma` that fit.
    site
        Where an extramedullary library is from, ``plasmacytoma``.
    """

    timepoint: str
    day: int | None = None
    tissue: str = "bone_marrow"
    composition: str | None = None
    cells: int = 600
    depth: float = 1.0
    ambient: float = 0.06
    doublets_per_1000: float = 0.06
    dying: float = 0.05
    debris: float = 0.02
    plasma: float = 0.0
    clones: Mapping[str, float] = field(default_factory=dict)
    car: float = 0.0
    car_exhausted: float = 0.0
    car_cycling: float = 0.02
    normal_plasma: float = 1.0
    suppressive: float = 0.0
    umi_ceiling: int | None = None
    failed: bool = False
    contigs: bool = False
    sorting: str = "none"
    site: str = ""


@dataclass(frozen=True)
class PatientPlan:
    """One donor or patient, with clones, libraries and clinical course.

    Attributes
    ----------
    genetics
        Rows of `clinical/genetics.tsv` without the patient: what sequencing or FISH found. They
        change no count: a mutation of the epitope leaves the RNA.
    """

    patient_id: str
    libraries: tuple[LibraryPlan, ...]
    clones: tuple[ClonePlan, ...] = ()
    involved_chain: str | None = None
    car_product: str | None = None
    best_response: str | None = None
    progression_day: int | None = None
    salvage: tuple[str, str, str] | None = None
    death_day: int | None = None
    sex: str = "female"
    genetics: tuple[Mapping[str, Any], ...] = ()

    def sample_id(self, library: LibraryPlan) -> str:
        """Return the name of `library`: patient and timepoint."""
        return f"{self.patient_id}_{library.timepoint}"

    def clone(self, clone_id: str) -> ClonePlan:
        """Return the clone of that name; KeyError when the patient has none such."""
        return {clone.clone_id: clone for clone in self.clones}[clone_id]


@dataclass(frozen=True)
class CohortPlan:
    """A whole cohort.

    Attributes
    ----------
    genes
        Genes in the matrices, the CAR feature not counted.
    car_feature
        Name of the transgene, the last feature of every matrix.
    library_effect, donor_effect
        Standard deviation of the natural logarithm of gene-wise factors, one draw a library
        and one a donor.
    empty_droplets
        Barcodes that only the raw matrix holds, at scale 1.
    antibodies
        Names of antibodies that the matrices hold beside the genes, as a vendor writes them.
    """

    patients: tuple[PatientPlan, ...]
    genes: int = 14_000
    car_feature: str = "BCMA_CAR"
    library_effect: float = 0.15
    donor_effect: float = 0.10
    empty_droplets: int = 1000
    antibodies: tuple[str, ...] = ()

    def libraries(self) -> list[tuple[PatientPlan, LibraryPlan]]:
        """Return every patient with each of its libraries, in the sheet's order."""
        return [(p, library) for p in self.patients for library in p.libraries]


def compose_plan(
    *,
    healthy: int = 2,
    untreated: int = 2,
    relapses: Sequence[str] = ("antigen_escape", "car_t_non_persistence"),
    cells: int = 600,
    depth: float = 1.0,
    ambient: float = 0.06,
    doublets_per_1000: float = 0.06,
) -> CohortPlan:
    """Return a plan made from counts: so many donors, so many patients of each kind.

    Parameters
    ----------
    healthy, untreated
        Number of healthy donors and of untreated patients.
    relapses
        One word a relapsed patient: a mechanism of the demo plan (``antigen_escape``,
        ``car_t_non_persistence``, ``suppressive_microenvironment``) or ``none``, a relapse
        in which nothing that the pipeline looks for is true.
    cells, depth, ambient, doublets_per_1000
        As in `LibraryPlan`, for every library.

    Raises
    ------
    InputProblem
        On an unknown word in `relapses`.
    """
    demo = {p.patient_id: p for p in read_plan(SIMULATE_RESOURCES / "demo.yaml").patients}
    null = {p.patient_id: p for p in read_plan(SIMULATE_RESOURCES / "null.yaml").patients}
    models = {
        "antigen_escape": demo["P1"],
        "car_t_non_persistence": demo["P2"],
        "suppressive_microenvironment": demo["P3"],
        "none": null["N1"],
    }
    unknown = sorted(set(relapses) - set(models))
    if unknown:
        raise InputProblem(f"plan relapses: unknown {unknown}; use any of {sorted(models)}")

    def named(model: PatientPlan, name: str) -> PatientPlan:
        libraries = tuple(
            replace(
                library,
                cells=cells,
                depth=depth,
                ambient=ambient,
                doublets_per_1000=doublets_per_1000,
            )
            for library in model.libraries
            if not library.failed
        )
        return replace(model, patient_id=name, libraries=libraries)

    patients = [named(demo[("H1", "H2")[i % 2]], f"H{i + 1}") for i in range(healthy)]
    patients += [named(demo[("U1", "U2")[i % 2]], f"U{i + 1}") for i in range(untreated)]
    patients += [named(models[word], f"P{i + 1}") for i, word in enumerate(relapses)]
    return CohortPlan(patients=tuple(patients))


def read_plan(path: Path) -> CohortPlan:
    """Return the plan in a YAML file: the fields of `CohortPlan`, or ``compose:`` with its counts.

    Raises
    ------
    InputProblem
        When the file cannot be read, a key or value is unknown, or the plan contradicts itself.
    """
    if fault := why_not_a_file(Path(path)):
        raise InputProblem(f"{path}: {'; '.join(fault)}")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        problem = f"{path}: cannot be read as YAML ({type(reason).__name__}); check the file"
        raise InputProblem(problem) from reason
    if not isinstance(content, dict):
        raise InputProblem(f"{path}: holds no keys; see resources/simulate/demo.yaml")
    try:
        if "compose" in content:
            return compose_plan(**content["compose"])
        plan = _cohort(content)
    except (TypeError, AttributeError, KeyError, ValueError) as reason:
        problem = f"{path}: {reason}; see resources/simulate/demo.yaml for the keys"
        raise InputProblem(problem) from reason
    problems = check_plan(plan)
    if problems:
        raise InputProblem(*(f"{path}: {problem}" for problem in problems))
    return plan


def check_plan(plan: CohortPlan) -> list[str]:
    """Return what contradicts itself in `plan`, one line a problem; empty when nothing does."""
    problems = []
    names = [patient.patient_id for patient in plan.patients]
    problems += [
        f"patient {n!r} occurs twice" for n in sorted({n for n in names if names.count(n) > 1})
    ]
    for patient in plan.patients:
        here = f"patient {patient.patient_id!r}"
        if not IDENTIFIER.fullmatch(patient.patient_id):
            problems.append(f"{here}: use letters, digits, _ and - only")
        if patient.best_response not in (None, *RESPONSES):
            problems.append(f"{here}: best_response must be one of {RESPONSES}")
        day = patient.progression_day
        if day is not None and (day % 28 or day < 140):
            problems.append(f"{here}: progression_day must be a visit (28, 56, …) from 140 on")
        for row in patient.genetics:
            unknown = sorted(set(row) - set(COLUMNS["genetics"][1:]))
            problems += [f"{here}: genetics has no column {name!r}" for name in unknown]
        known = {clone.clone_id for clone in patient.clones}
        for clone in patient.clones:
            if set(clone.retaining) - set(clone.rates):
                problems.append(f"{here}: clone {clone.clone_id} retains a gene that rates lacks")
            if any(not 0 <= share <= 1 for share in clone.retaining.values()):
                problems.append(f"{here}: clone {clone.clone_id} retaining: shares are 0 to 1")
            for name in ("identity_lost", "identity_immunoglobulin"):
                if not 0 <= getattr(clone, name) <= 1:
                    problems.append(f"{here}: clone {clone.clone_id} {name} must be from 0 to 1")
            bad = [e for e in clone.copy_number if not EVENT.fullmatch(e)]
            problems += [f"{here}: {event!r} is no arm event such as +1q" for event in bad]
            if clone.parent is not None and clone.parent not in known:
                problems.append(f"{here}: parent {clone.parent!r} is no clone of the patient")
        points = [library.timepoint for library in patient.libraries]
        if len(set(points)) < len(points):
            problems.append(f"{here}: one library a timepoint")
        for library in patient.libraries:
            problems += [f"{here}: {p}" for p in _check_library(library, known)]
    return problems


def _check_library(library: LibraryPlan, clones: set[str]) -> list[str]:
    problems = []
    if library.timepoint not in TIMEPOINTS:
        problems.append(f"timepoint {library.timepoint!r} is none of {TIMEPOINTS}")
    if library.tissue not in TISSUES:
        problems.append(f"tissue {library.tissue!r} is none of {TISSUES}")
    if library.sorting not in SORTINGS:
        problems.append(f"sorting {library.sorting!r} is none of {SORTINGS}")
    if library.composition not in (None, *COMPOSITIONS):
        problems.append(f"composition {library.composition!r} is none of {COMPOSITIONS}")
    for share in ("ambient", "dying", "debris", "plasma", "car", "car_exhausted", "suppressive"):
        if not 0 <= getattr(library, share) <= 1:
            problems.append(f"{library.timepoint} {share} must lie between 0 and 1")
    if library.ambient >= 0.95 or library.dying + library.debris >= 1:
        problems.append(f"{library.timepoint}: leaves no live cell's own RNA")
    if library.normal_plasma < 0:
        problems.append(f"{library.timepoint}: normal_plasma must be 0 or more")
    if library.cells < 20 or library.depth <= 0:
        problems.append(f"{library.timepoint}: cells must be 20 or more, depth over 0")
    if set(library.clones) - clones:
        problems.append(
            f"{library.timepoint}: clones {sorted(set(library.clones) - clones)} unknown"
        )
    if library.plasma and abs(sum(library.clones.values()) - 1) > 1e-6:
        problems.append(f"{library.timepoint}: the clones' shares must add up to 1")
    return problems


def _known(kind: type, content: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(content) - {f.name for f in fields(kind)})
    if unknown:
        raise ValueError(f"unknown keys {unknown} in {kind.__name__}")
    return dict(content)


def _cohort(content: Mapping[str, Any]) -> CohortPlan:
    values = _known(CohortPlan, content)
    values["patients"] = tuple(_patient(entry) for entry in content["patients"])
    values["antibodies"] = tuple(content.get("antibodies", ()))
    return CohortPlan(**values)


def _patient(content: Mapping[str, Any]) -> PatientPlan:
    values = _known(PatientPlan, content)
    values["libraries"] = tuple(LibraryPlan(**_known(LibraryPlan, x)) for x in content["libraries"])
    values["clones"] = tuple(_clone(x) for x in content.get("clones", ()))
    if values.get("salvage"):
        values["salvage"] = tuple(values["salvage"])
    values["genetics"] = tuple(content.get("genetics", ()))
    return PatientPlan(**values)


def _clone(content: Mapping[str, Any]) -> ClonePlan:
    values = _known(ClonePlan, content)
    events = str(content.get("copy_number", "") or "")
    values["copy_number"] = tuple(e.strip() for e in events.split(";") if e.strip())
    values["identity_genes"] = tuple(content.get("identity_genes", ()))
    return ClonePlan(**values)
