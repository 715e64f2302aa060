"""The sections of the pages, in the order in which a reader meets them.

A section is a function that takes the page's context and gives a `Section`. What a later step
adds to the report is one more module here and one more line in `COHORT_SECTIONS`; what it adds to
a patient's page, a function of the patient's context and one more line in `PATIENT_SECTIONS`.
"""

from relapsescope.report.sections import (
    antigens,
    atlas,
    clones,
    composition,
    course,
    libraries,
    methods,
    microenvironment,
    patient,
    patient_molecules,
    programmes,
    quality,
    summary,
)

COHORT_SECTIONS = (
    summary.build,
    libraries.build,
    quality.build,
    quality.build_ambient,
    quality.build_doublets,
    atlas.build_map,
    composition.build,
    atlas.build_integration,
    atlas.build_markers,
    clones.build,
    antigens.build,
    programmes.build,
    microenvironment.build,
    course.build,
    methods.build,
)
PATIENT_SECTIONS = (
    patient.build_summary,
    patient.build_course,
    patient.build_calls,
    patient_molecules.build_clones,
    patient_molecules.build_antigens,
    programmes.build_patient,
    microenvironment.build_patient,
    patient.build_samples,
)
