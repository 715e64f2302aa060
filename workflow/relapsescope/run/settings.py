"""The whole configuration: what a run is told, and every room's section."""

from dataclasses import dataclass
from typing import Annotated, Any

from relapsescope.antigens.settings import AntigenSettings, Anxa1Settings
from relapsescope.atlas.settings import AtlasSettings
from relapsescope.car_t.settings import (
    CarSettings,
    ExhaustionSettings,
    FractionSettings,
    ProliferationSettings,
)
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings, ImmunoglobulinSettings
from relapsescope.course.settings import CourseSettings
from relapsescope.figures.settings import ReportSettings
from relapsescope.intake.settings import InputLimits
from relapsescope.libraries.settings import (
    AmbientLimits,
    CellCallingLimits,
    CycleSettings,
    DoubletLimits,
    LightChainLimits,
    LineageLimits,
    QualityLimits,
    RankSettings,
)
from relapsescope.mechanisms.settings import ClaimSettings, ContrastSettings
from relapsescope.microenvironment.settings import (
    CompositionSettings,
    InteractionSettings,
    SuppressionSettings,
)
from relapsescope.programmes.settings import ProgrammeSettings
from relapsescope.reference.settings import NoveltySettings
from relapsescope.settings import Count, Within
from relapsescope.statistics.settings import LeaningSettings
from relapsescope.t_cells.settings import (
    CarCloneSettings,
    ReceptorSettings,
    ScoreSettings,
    StateSettings,
)


@dataclass(frozen=True)
class ClusterSettings:
    """The configuration's section `cluster`."""

    libraries_per_job: Count
    patients_per_job: Count


@dataclass(frozen=True)
class Configuration:
    """Every key that `config.yaml` may hold; `config/README.md` explains each."""

    clinical: Any
    # numpy's generators take no larger seed.
    seed: Annotated[int, Within(0, 2**32 - 1)]
    numeric_threads: Annotated[int, Within(1, 1024)]
    cellxgene: bool
    inputs: InputLimits
    cluster: ClusterSettings
    quality: QualityLimits
    cell_calling: CellCallingLimits
    ambient: AmbientLimits
    doublets: DoubletLimits
    lineage: LineageLimits
    atlas: AtlasSettings
    immunoglobulin: ImmunoglobulinSettings
    copy_number: CopyNumberSettings
    clones: CloneSettings
    report: ReportSettings
    microenvironment: CompositionSettings
    suppression: SuppressionSettings
    interactions: InteractionSettings
    t_cell_states: StateSettings
    receptors: ReceptorSettings
    car_clones: CarCloneSettings
    antigens: AntigenSettings
    anxa1: Anxa1Settings
    car_calls: CarSettings
    cell_cycle: CycleSettings
    t_cell_scores: ScoreSettings
    exhaustion: ExhaustionSettings
    programmes: ProgrammeSettings
    car_fraction: FractionSettings
    proliferation: ProliferationSettings
    b_cell_light_chains: LightChainLimits
    gene_ranks: RankSettings
    course: CourseSettings
    claims: ClaimSettings
    contrasts: ContrastSettings
    leaning: LeaningSettings
    novelty: NoveltySettings
    # Paths; `run.places` says what is wrong with them.
    samples: Any = ""
    results: Any = ""
    reference: Any = ""
