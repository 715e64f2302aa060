"""The configuration's section `novelty`."""

from dataclasses import dataclass
from typing import ClassVar

from relapsescope.settings import Count, Order, Positive, Probability, Share


@dataclass(frozen=True)
class NoveltySettings:
    """When a library placed on a reference is warned of; `config/README.md` explains each."""

    warn_share: Probability
    out_share: Probability
    drift_z: Positive
    max_missing_genes: Share
    min_cells: Count

    ORDER: ClassVar = (Order("warn_share", "out_share", equal=True),)
