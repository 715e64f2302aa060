"""The sections of the pages, in the order in which a reader meets them.

A section is a function that takes the page's context and gives a `Section`. What a later step
adds to the report is one more module here and one more line in `COHORT_SECTIONS`; what it adds to
a patient's page, a function of the patient's context and one more line in `PATIENT_DETAILS`, or in
`PATIENT_SECTIONS` where the answer itself needs it.
"""

from relapsescope.report.sections import (
    antigens,
    atlas,
    car_t,
    clones,
    composition,
    contrasts,
    course,
    libraries,
    mechanisms,
    methods,
    microenvironment,
    patient,
    patient_answer,
    patient_methods,
    patient_molecules,
    patient_overview,
    programmes,
    quality,
    summary,
    t_cells,
)

COHORT_SECTIONS = (
    summary.build,
    mechanisms.build,
    mechanisms.build_claims,
    contrasts.build,
    clones.build,
    antigens.build,
    car_t.build,
    t_cells.build,
    programmes.build,
    microenvironment.build,
    course.build,
    atlas.build_map,
    composition.build,
    libraries.build,
    quality.build,
    quality.build_ambient,
    quality.build_doublets,
    atlas.build_integration,
    atlas.build_markers,
    methods.build,
)
"""The answer a patient first, then the cohort's figures, then the quality of what they rest on."""

PATIENT_SECTIONS = (
    patient_overview.build,
    patient_answer.build_answer,
    patient.build_course,
    patient_molecules.build_clones,
    patient_molecules.build_antigens,
    patient_answer.build_mechanisms,
    patient_molecules.build_targets,
    patient_answer.build_limits,
    patient.build_samples,
    patient_methods.build_methods,
)
"""What is read in two minutes and printed on two or three sheets."""

SECTIONS_WITHOUT_STEPS = (
    patient_answer.build_answer,
    patient.build_course,
    patient.build_samples,
    patient_methods.build_methods,
    patient_methods.build_numbers,
)
"""What rests on libraries and the course alone: all that is shown where a patient's step failed."""

PATIENT_DETAILS = (
    patient.build_calls,
    patient_molecules.build_molecules,
    car_t.build_patient,
    t_cells.build_patient,
    programmes.build_patient,
    microenvironment.build_patient,
    patient_methods.build_rules,
    patient_methods.build_numbers,
)
"""What stands behind it, folded; the list of numbers is made last."""
