"""Numbers of T cells: scores, states, receptors; `config/README.md` explains each."""

from dataclasses import dataclass
from typing import Annotated

from relapsescope.settings import Count, Draws, NotNegative, Share, Within, WordOf


@dataclass(frozen=True)
class ScoreSettings:
    """Numbers of the scores of single cells: section `t_cell_scores`."""

    depth: Count
    draws: Annotated[int, Within(1, 1000)]
    set_aside: tuple[Annotated[str, WordOf("signatures.tsv", "flag")], ...]


@dataclass(frozen=True)
class StateSettings:
    """Numbers of the states: section `t_cell_states`."""

    min_z: NotNegative
    min_margin: NotNegative
    expression_bins: Count
    receptor_depth: Count


@dataclass(frozen=True)
class ReceptorSettings:
    """Numbers of clonotypes and repertoires: section `receptors`."""

    expanded_cells: Count
    hyperexpanded_share: Share
    min_cells: Annotated[int, Within(2)]
    draws: Draws


@dataclass(frozen=True)
class CarCloneSettings:
    """Numbers of the finding of an expanded CAR-positive clone: section `car_clones`."""

    share: Share
    false_share: Share
    min_cells: Count
