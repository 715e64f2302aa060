"""The configuration's section `novelty`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NoveltySettings:
    """When a library that is placed on a reference is warned of; `config.yaml` explains each."""

    warn_share: float
    out_share: float
    drift_z: float
    max_missing_genes: float
    min_cells: int
