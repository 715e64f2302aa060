"""What a sheet cannot decide, said before the run: which statements will stay open, what to add."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from relapsescope.intake.sheet import Library
from relapsescope.reference.files import reference_files, reference_folder
from relapsescope.reference.manifest import read_manifest
from relapsescope.vocabulary import AFTER_INFUSION, FROZEN, SHIPPED

BEFORE = ("untreated", "pre_infusion")
MARROW = "bone_marrow"
# Sortings that leave no plasma cells, and those that leave nothing else.
WITHOUT_PLASMA = ("CD138_negative", "CD3_positive", "CAR_positive")
ONLY_PLASMA = ("CD138_positive",)


def foreseen(libraries: Sequence[Library], config: Mapping[str, Any]) -> list[str]:
    """Return one line for each statement that these libraries cannot carry.

    Parameters
    ----------
    libraries
        The sheet's libraries.
    config
        The configuration, of which `clinical`, `reference` and `copy_number` are read.
    """
    by_patient: dict[str, list[Library]] = {}
    for library in libraries:
        by_patient.setdefault(library.patient_id, []).append(library)
    lines = cohort_lines(libraries, config)
    for patient, own in by_patient.items():
        if any(library.timepoint == "relapse" for library in own):
            lines += [f"{patient}: {line}" for line in patient_lines(own, libraries, config)]
    return lines


def cohort_lines(libraries: Sequence[Library], config: Mapping[str, Any]) -> list[str]:
    """Return what the cohort as a whole lacks."""
    lines = []
    timepoints = config["copy_number"]["panel_timepoints"]
    people = {one.patient_id for one in libraries if one.timepoint in timepoints}
    least = config["copy_number"]["min_panel_donors"]
    if len(people) < least and not reference_files(config["reference"], ("panel",)):
        lines.append(
            f"normal plasma cells come from {len(people)} people ({least} are needed): arms are "
            "compared between a patient's own libraries only; add healthy or untreated marrows, "
            "or a frozen reference"
        )
    clinical = config.get("clinical")
    if not clinical or not Path(clinical).is_dir():
        lines.append(
            "no clinical tables: residual disease, response and survival cannot be judged; give "
            "clinical=FOLDER"
        )
    return lines


def patient_lines(
    own: Sequence[Library], libraries: Iterable[Library], config: Mapping[str, Any]
) -> list[str]:
    """Return what a relapsed patient's libraries leave open."""
    lines = []
    relapses = [one for one in own if one.timepoint == "relapse"]
    if not any(one.timepoint in BEFORE for one in own):
        lines.append(
            f"no earlier marrow: escape is judged against {_judged_against(own, libraries, config)}"
            ", and whether the clone is new cannot be told; add the marrow from before CAR-T"
        )
    if all(one.sorting in WITHOUT_PLASMA for one in relapses):
        lines.append(
            "the relapse's libraries hold no plasma cells (sorting): antigens and clones cannot be "
            "judged; add the unsorted or CD138-positive fraction"
        )
    if all(one.sorting in ONLY_PLASMA for one in relapses):
        lines.append(
            "the relapse's libraries hold plasma cells only (sorting): CAR-T cells, exhaustion and "
            "the microenvironment cannot be judged; add the CD138-negative fraction of that day"
        )
    if not any(one.tissue == MARROW for one in relapses):
        lines.append("no marrow at relapse: the microenvironment cannot be judged; add it")
    if not any(one.car_feature for one in own if one.timepoint in AFTER_INFUSION):
        lines.append(
            "no car_feature after the infusion: CAR-T cells cannot be told from other T cells; "
            "name the transgene, or count with a reference that holds it"
        )
    return lines


def _judged_against(
    own: Sequence[Library], libraries: Iterable[Library], config: Mapping[str, Any]
) -> str:
    """Return with whose cells an antigen will be compared, if the patient has no normal ones."""
    patient = own[0].patient_id
    if any(one.timepoint in BEFORE and one.patient_id != patient for one in libraries):
        return "other patients of the cohort"
    folder = reference_folder(config["reference"])
    kind = read_manifest(folder).kind if folder else ""
    if kind == FROZEN:
        return "other patients of the frozen reference"
    if kind == SHIPPED:
        return "published normal plasma cells only, with wide intervals"
    return "the patient's own normal plasma cells, if there are enough, or nothing"
