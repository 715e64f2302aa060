"""The numbers of the config's section ``course``."""

from dataclasses import dataclass
from typing import Annotated

from relapsescope.settings import Count, Gene, NotNegative, Text, Within
from relapsescope.survival.settings import BulkCohortSettings

Days = Annotated[int, Within(0)]


@dataclass(frozen=True)
class CourseSettings:
    """Choices that the response criteria and the survival methods leave open.

    Parameters
    ----------
    baseline_window_days
        How old a baseline value may be at the start of a line.
    marrow_window_days
        How long before the first negative immunofixation a marrow may stand for a CR.
    confirm_progression_after_next_line
        Whether an assessment after the next line's start may confirm a progression before it.
    antibody_classes, antibody_names
        Therapy classes, and drug names within a regimen, that are monoclonal antibodies.
    antibody_washout_days
        How long after the end of such a line its band may still be seen.
    antibody_band_g_dl
        The largest serum M-protein that may be the drug.
    landmark_days
        Days after relapse at which salvage classes are fixed for the landmark comparison.
    long_first_response_days
        First CAR-T responses at least this long count as long in the sequential analysis.
    near_days
        How far a laboratory value may lie from a relapse library to be said beside it.
    soluble_bcma_absent, soluble_bcma_present
        Soluble BCMA at relapse over that before the infusion up to which it counts as absent, and
        from which as there.
    aplasia_below
        Normal plasma cells in a marrow after the infusion over those before it, under which they
        count as gone.
    exact_up_to
        Groups of together at most this many patients are tested by permutation.
    min_events_per_covariate
        With fewer events a covariate, Cox models take Firth's penalty.
    bulk_genes
        Genes tested in the bulk cohorts.
    myeloid_genes
        Genes whose mean z-score measures myeloid contamination of a bulk sample.
    bulk_cohorts
        One entry a cohort; see ``docs/course.md``.
    """

    baseline_window_days: Days = 90
    marrow_window_days: Days = 35
    confirm_progression_after_next_line: bool = True
    antibody_classes: tuple[Text, ...] = ("cd38_antibody", "bispecific")
    antibody_names: tuple[Text, ...] = ("daratumumab", "isatuximab", "elotuzumab")
    antibody_washout_days: Days = 180
    antibody_band_g_dl: NotNegative = 0.2
    landmark_days: Days = 90
    long_first_response_days: Days = 365
    near_days: Days = 60
    soluble_bcma_absent: Annotated[float, Within(0, 1)] = 0.1
    soluble_bcma_present: Annotated[float, Within(0)] = 0.5
    aplasia_below: Annotated[float, Within(0, 1)] = 0.1
    exact_up_to: Annotated[int, Within(0, 24)] = 20
    min_events_per_covariate: Count = 10
    bulk_genes: tuple[Gene, ...] = ("ANXA1", "TNFRSF17")
    myeloid_genes: tuple[Gene, ...] = ("S100A8", "S100A9", "CD14", "LYZ")
    bulk_cohorts: tuple[BulkCohortSettings, ...] = ()
