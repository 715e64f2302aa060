"""Numbers of the comparison of a relapse clone with the tumour before CAR-T."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relapsescope.settings import (
    Count,
    Draws,
    NotNegative,
    Order,
    Probability,
    Share,
    Text,
    Within,
)

# Column `status`, and column `comparison` of the tables.
DESCRIPTIVE, TESTED, NOT_ASSESSABLE = "descriptive", "tested", "not_assessable"
PATIENT, COHORT = "patient", "cohort"
# Column `change` of a gene that was compared and not called.
NEITHER = "neither"


COMPARED = {"antigens": ("library_log_sd",), "anxa1": ("contaminants", "min_reference_umi")}
"""Keys of other sections that programmes are compared by."""


@dataclass(frozen=True)
class ProgrammeSettings:
    """`config/README.md`, section `programmes`, explains each."""

    min_cells: Count
    min_umi: NotNegative
    max_foreign_share: Share
    min_log2_change: NotNegative
    call_level: Probability
    min_patients: Annotated[int, Within(2)]
    false_discovery_rate: Probability
    gene_sets: tuple[Text, ...]
    min_set_genes: Count
    max_set_genes: Count
    permutations: Draws

    ORDER: ClassVar = (Order("min_set_genes", "max_set_genes", equal=True),)
