"""Numbers of clonality, copy number and clones; `config/README.md` explains each."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relapsescope.settings import (
    Count,
    NotEmpty,
    NotNegative,
    OneOf,
    Order,
    Positive,
    Probability,
    Share,
    Within,
)
from relapsescope.vocabulary import TIMEPOINTS


@dataclass(frozen=True)
class ImmunoglobulinSettings:
    """The section `immunoglobulin`."""

    min_umi: Count
    class_share: Annotated[float, Within(0.5, 1)]
    class_posterior: Probability
    min_v_umi: Count
    v_share: Share
    clone_share: Share
    clone_enrichment: NotNegative
    clone_p: Probability
    class_clone_share: Annotated[float, Within(0.5, 1)]
    min_clone_cells: Count
    fidelity: Probability
    max_log_odds: Positive


@dataclass(frozen=True)
class CopyNumberSettings:
    """The section `copy_number`."""

    panel_timepoints: Annotated[tuple[Annotated[str, OneOf(TIMEPOINTS)], ...], NotEmpty()]
    min_panel_cells: Annotated[int, Within(2)]
    min_panel_donors: Count
    min_group_cells: Annotated[int, Within(2)]
    min_arm_genes: Annotated[int, Within(2)]
    event_prior: Probability
    event_probability: Probability
    min_effect: NotNegative
    max_healthy_events: NotNegative


@dataclass(frozen=True)
class CloneSettings:
    """The section `clones`."""

    min_plasma_cells: Count
    malignant_probability: Share
    normal_probability: Share
    max_log_odds: Positive
    private_share: Probability
    min_subclone_cells: Count
    split_probability: Probability
    max_subclones: Annotated[int, Within(1, 26)]
    bootstraps: Annotated[int, Within(1, 1000)]
    min_stability: Share
    new_share: Share
    fold_change: Annotated[float, Within(1)]
    lost_identity_prior: Probability
    lost_identity_probability: Probability

    ORDER: ClassVar = (Order("normal_probability", "malignant_probability"),)
