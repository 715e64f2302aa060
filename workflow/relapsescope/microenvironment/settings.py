"""Numbers of composition, suppression, ligands and receptors; `config/README.md` explains each."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relapsescope.settings import Count, Order, Positive, Probability, Share, Within


@dataclass(frozen=True)
class CompositionSettings:
    """The section `microenvironment`."""

    pseudocount: Positive
    fraction_log_sd: Positive
    least_fraction_log_sd: Positive
    prior_df: Positive

    ORDER: ClassVar = (Order("least_fraction_log_sd", "fraction_log_sd", equal=True),)


@dataclass(frozen=True)
class SuppressionSettings:
    """The section `suppression`."""

    min_cells: Count
    matched_umi: Count
    prior_cpm: Positive
    fraction_log_sd: Positive
    least_fraction_log_sd: Positive
    programme_log2_sd: Positive
    subset_log2_sd: Positive
    least_programme_log2_sd: Positive
    prior_df: Positive
    raised_p: Probability
    relevant_fold: Annotated[float, Within(1)]
    detectable_fold: Annotated[float, Within(1)]

    ORDER: ClassVar = (
        Order("least_fraction_log_sd", "fraction_log_sd", equal=True),
        Order("least_programme_log2_sd", "programme_log2_sd", equal=True),
        Order("relevant_fold", "detectable_fold", equal=True),
    )


@dataclass(frozen=True)
class InteractionSettings:
    """The section `interactions`."""

    min_cells: Count
    least_detected: Share
