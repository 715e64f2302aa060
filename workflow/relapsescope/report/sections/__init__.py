"""The sections of the pages, in the order in which a reader meets them.

A section is a function that takes the page's context and gives a `Section`. What a later step
adds to the report is one more module here and one more line in `COHORT_SECTIONS`; what it adds to
a patient's page, a function of the patient's context and one more line in `PATIENT_SECTIONS`.
"""

from relapsescope.report.sections import (
    atlas,
    composition,
    course,
    libraries,
    methods,
    patient,
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
    course.build,
    methods.build,
)
PATIENT_SECTIONS = (
    patient.build_summary,
    patient.build_course,
    patient.build_calls,
    patient.build_samples,
)
