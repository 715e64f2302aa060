"""The sections of the cohort's report, in the order in which a reader meets them.

A section is a function that takes the page's context and gives a `Section`. What a later step
adds to the report is one more module here and one more line in `COHORT_SECTIONS`.
"""

from relapsescope.report.sections import (
    atlas,
    composition,
    libraries,
    methods,
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
    methods.build,
)
