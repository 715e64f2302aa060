"""Numbers of the comparison of a relapse clone with the tumour before CAR-T."""

from dataclasses import dataclass

# Column `status`, and column `comparison` of the tables.
DESCRIPTIVE, TESTED, NOT_ASSESSABLE = "descriptive", "tested", "not_assessable"
PATIENT, COHORT = "patient", "cohort"


@dataclass(frozen=True)
class ProgrammeSettings:
    """`config.yaml`, section `programmes`, explains each."""

    min_cells: int
    min_umi: float
    max_foreign_share: float
    min_log2_change: float
    call_level: float
    min_patients: int
    false_discovery_rate: float
    gene_sets: tuple[str, ...]
    min_set_genes: int
    max_set_genes: int
    permutations: int
