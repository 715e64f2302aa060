"""Numbers of CAR-T cells: calls, fraction, cycle, exhaustion; `config/README.md` explains them."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relapsescope.settings import (
    Count,
    Draws,
    NotEmpty,
    NotNegative,
    Order,
    Positive,
    Probability,
    Within,
    WordOf,
)

GeneSetName = Annotated[str, WordOf("signatures.tsv", "set")]


@dataclass(frozen=True)
class CarSettings:
    """Numbers of the calls of CAR-T cells: section `car_calls`."""

    max_false_share: Probability
    other_lineage_p: Probability
    ambient_prior_umi: Positive
    ambient_quantile: Probability
    dispersion: NotNegative
    usual_rate_cpm: Positive
    usual_rate_log_sd: Positive


@dataclass(frozen=True)
class FractionSettings:
    """Numbers of the corrected fraction of CAR-T cells: section `car_fraction`."""

    sorted_purity: Annotated[float, Within(0.01, 1)]
    min_cells_for_rate: Count
    draws: Annotated[int, Within(100, 1_000_000)]
    persistent_fraction: Probability
    gone_limit: Probability


@dataclass(frozen=True)
class ProliferationSettings:
    """Numbers of the verdict on division: section `proliferation`."""

    dividing_share: Probability
    min_cells: Count


@dataclass(frozen=True)
class ExhaustionSettings:
    """Numbers of the comparison of exhaustion: section `exhaustion`."""

    primary: Annotated[tuple[GeneSetName, ...], NotEmpty()]
    sensitivity: tuple[GeneSetName, ...]
    min_cells: Annotated[int, Within(2)]
    min_reference_cells: Annotated[int, Within(2)]
    bootstraps: Draws
    random_sets: Draws
    max_null_share: Probability
    min_effect: NotNegative
    absent_effect: Positive
    min_effect_same_library: NotNegative
    max_joint_p: Probability
    max_plain_p: Probability
    min_set_effect: NotNegative
    min_agreeing: Count
    library_sd: NotNegative

    ORDER: ClassVar = (
        Order("min_effect", "absent_effect", equal=True),
        Order("min_effect", "min_effect_same_library", equal=True),
    )
