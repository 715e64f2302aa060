"""Numbers of the step that looks at one library alone; `config/README.md` explains each."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relapsescope.settings import (
    Ascending,
    Count,
    LevelsOf,
    NotEmpty,
    NotNegative,
    Order,
    Percent,
    Positive,
    Probability,
    Share,
    Within,
)


@dataclass(frozen=True)
class QualityLimits:
    """Limits of cells and libraries: section `quality`."""

    min_counts: Annotated[int, Within(0)] = 200
    min_genes: Annotated[int, Within(0)] = 100
    max_adaptive_counts: Annotated[int, Within(0)] = 1000
    max_adaptive_genes: Annotated[int, Within(0)] = 400
    mad_factor: Positive = 3.0
    min_cells_for_mad: Annotated[int, Within(2)] = 30
    dominated_pct: Percent = 50.0
    mt_floor_pct: Percent = 10.0
    mt_cap_pct: Percent = 25.0
    debris_ambient_share: Share = 0.5
    fail_min_cells: Annotated[int, Within(0)] = 20
    fail_median_counts: NotNegative = 250.0
    warn_median_counts: NotNegative = 500.0
    fail_median_mt_pct: Percent = 35.0
    warn_median_mt_pct: Percent = 20.0
    fail_pass_share: Share = 0.2
    warn_pass_share: Share = 0.5
    warn_cells: Annotated[int, Within(0)] = 100
    fail_ambient_fraction: Share = 0.5
    warn_ambient_fraction: Share = 0.2

    ORDER: ClassVar = (
        Order("min_counts", "max_adaptive_counts", equal=True),
        Order("min_genes", "max_adaptive_genes", equal=True),
        Order("mt_floor_pct", "mt_cap_pct", equal=True),
        Order("fail_min_cells", "warn_cells", equal=True),
        Order("fail_median_counts", "warn_median_counts", equal=True),
        Order("warn_median_mt_pct", "fail_median_mt_pct", equal=True),
        Order("fail_pass_share", "warn_pass_share", equal=True),
        Order("warn_ambient_fraction", "fail_ambient_fraction", equal=True),
    )


@dataclass(frozen=True)
class CellCallingLimits:
    """How cells of an unfiltered matrix are told: section `cell_calling`."""

    top_ratio: Annotated[float, Within(1)] = 10.0
    min_counts: Positive = 100.0
    fdr: Share = 0.01
    n_simulated: Annotated[int, Within(50)] = 400


@dataclass(frozen=True)
class AmbientLimits:
    """Numbers of the ambient estimate: section `ambient`."""

    min_empty_droplets: Count = 100
    empty_window: Annotated[float, Within(1)] = 6.0
    raw_log_sd: Positive = 0.15
    prior_fraction: Probability = 0.05
    prior_log_sd: Positive = 1.2
    floor_log_sd: Positive = 0.3
    min_cells: Count = 50
    max_cells: Count = 2500
    n_groups: Count = 14
    min_group: Count = 20
    tolerance: Positive = 0.5

    ORDER: ClassVar = (Order("min_cells", "max_cells", equal=True),)


@dataclass(frozen=True)
class DoubletLimits:
    """Numbers of the doublet calls: section `doublets`."""

    rate_per_thousand: Share = 0.008
    min_cells: Count = 50
    min_precision: Share = 0.65
    max_share: Share = 0.2
    min_separation: Share = 0.75
    n_genes: Count = 1500
    n_components: Count = 30
    simulated_per_cell: Annotated[float, Within(0, 100, open=True)] = 2.0
    lowest_umi_share: Share = 0.6
    depth_weight: NotNegative = 0.25
    max_reference_cells: Count = 3000
    max_ambient_share: Share = 0.5
    min_evidence: NotNegative = 1.0

    ORDER: ClassVar = (Order("n_components", "n_genes", equal=True),)


@dataclass(frozen=True)
class LightChainLimits:
    """Numbers of the light-chain ratio of B cells: section `b_cell_light_chains`."""

    min_umi: Positive = 4.0
    min_share: Annotated[float, Within(0.5, 1)] = 0.8
    low: Positive = 0.5
    high: Positive = 4.0

    ORDER: ClassVar = (Order("low", "high"),)


@dataclass(frozen=True)
class LineageLimits:
    """Numbers of the calls of lineages and cell types: section `lineage`."""

    rate_levels: Annotated[dict[str, Positive], LevelsOf("markers.tsv", "level")]
    gene_limit: Positive
    identity_limit: Positive
    marker_weight: Annotated[float, Within(0, 1)]
    rounds: Annotated[int, Within(0, 100)]
    prior_umi: Positive
    confident: Share
    call_probability: Share
    min_native_umi: NotNegative
    neighbours: Count
    neighbour_cells: Count
    type_lapse: Share
    contradiction_nats: NotNegative
    min_signature: Share
    min_signature_hspc: Share
    min_identity: Share
    warn_signature: Share
    foreign_signature: Share
    decisive: NotNegative
    type_rate_log_sd: NotNegative

    ORDER: ClassVar = (Order("neighbours", "neighbour_cells", equal=True),)


@dataclass(frozen=True)
class CycleSettings:
    """Numbers of the calls of dividing cells: section `cell_cycle`."""

    p: Probability
    min_genes: Count
    dispersion: NotNegative
    resting_share: Probability
    prior_cells: Positive
    cycling_cpm: Positive


@dataclass(frozen=True)
class RankSettings:
    """How a library ranks its genes: section `gene_ranks`."""

    loess_spans: Annotated[tuple[Positive, ...], NotEmpty(), Ascending()]
