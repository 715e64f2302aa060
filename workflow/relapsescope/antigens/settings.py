"""Numbers of the verdicts on antigens and ANXA1; `config/README.md` explains each."""

from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

from relapsescope.settings import (
    Ascending,
    Count,
    Gene,
    NotNegative,
    Order,
    Positive,
    Probability,
    Share,
)
from relapsescope.statistics.settings import RateSettings

Limits = Annotated[tuple[Positive, Positive], Ascending()]


@dataclass(frozen=True)
class ReferenceLimits:
    """From when a group of cells may serve as a reference, and how patients differ.

    `patient_log_sd` is the standard deviation of a gene's log rate between patients that is
    believed without data; it weighs as much as `patient_prior_df` patients beyond the first.
    """

    min_cells: int
    min_umi: float
    min_exposure: float
    patient_log_sd: float
    patient_prior_df: float


@dataclass(frozen=True)
class CountedAntigens:
    """The keys of `antigens` that molecules are counted by; the others judge what was counted."""

    genes: tuple[Gene, ...]
    car_target: Gene
    dispersion: NotNegative
    dispersion_sd: NotNegative
    core_probability: Share

    @property
    def rates(self) -> RateSettings:
        """How cells of a group are taken to differ."""
        return RateSettings(self.dispersion, self.dispersion_sd)


@dataclass(frozen=True)
class AntigenSettings(CountedAntigens):
    """The section `antigens`."""

    lost_below: Positive
    reduced_below: Positive
    stray_share: Share
    loss_evidence: Annotated[tuple[NotNegative, NotNegative, NotNegative], Ascending()]
    loss_evidence_umi: Annotated[tuple[Positive, Positive, Positive], Ascending()]
    strict_limits: Limits
    lenient_limits: Limits
    min_cells: Count
    min_reference_cells: Count
    min_reference_umi: NotNegative
    min_reference_exposure: NotNegative
    library_log_sd: NotNegative
    patient_log_sd: Positive
    patient_prior_df: Positive
    protein_present: Share
    protein_absent: Share

    ORDER: ClassVar = (
        Order("lost_below", "reduced_below"),
        Order("protein_absent", "protein_present", equal=True),
    )

    @property
    def limits(self) -> tuple[float, float]:
        """Ratios under which an antigen is lost, and reduced."""
        return self.lost_below, self.reduced_below

    @property
    def reference(self) -> ReferenceLimits:
        """From when a group of cells may serve as a reference."""
        return ReferenceLimits(
            self.min_reference_cells,
            self.min_reference_umi,
            self.min_reference_exposure,
            self.patient_log_sd,
            self.patient_prior_df,
        )


@dataclass(frozen=True)
class CountedAnxa1:
    """The keys of `anxa1` that molecules are counted by; the others judge what was counted."""

    gene: Gene
    usual_cpm: NotNegative
    contaminants: dict[str, tuple[Gene, ...]]
    coexpressed: tuple[Gene, ...]
    cycle_genes: tuple[Gene, ...]


@dataclass(frozen=True)
class Anxa1Settings(CountedAnxa1):
    """The section `anxa1`."""

    high_log2_ratio: Positive
    min_cells: Count
    min_reference_umi: NotNegative
    max_null_share: Probability
    patient_log_sd: Positive
    patient_prior_df: Positive


TALLIED = {
    "antigens": tuple(field.name for field in fields(CountedAntigens)),
    "anxa1": tuple(field.name for field in fields(CountedAnxa1)),
}
"""Keys by section that molecules are counted by."""
