"""Numbers of the map of immune cells; `config/README.md` explains each."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relapsescope.settings import Count, OneOf, Order, Positive, Share, Within


@dataclass(frozen=True)
class IntegrationSettings:
    """Sizes of the model and of its training: section `atlas.integration`."""

    n_latent: Annotated[int, Within(2, 1000)]
    n_hidden: Annotated[int, Within(1, 100_000)]
    n_layers: Annotated[int, Within(1, 100)]
    steps: Annotated[int, Within(1, 10_000_000)]
    batch_size: Annotated[int, Within(2)]
    learning_rate: Annotated[float, Within(0, 1, open=True)]
    sketch_cells: Count
    min_cells: Count
    n_components: Annotated[int, Within(2)]


@dataclass(frozen=True)
class AtlasSettings:
    """The section `atlas`."""

    n_genes: Annotated[int, Within(2)]
    min_cells_to_vote: Count
    n_neighbours: Annotated[int, Within(2)]
    exact_neighbours_below: Annotated[int, Within(0)]
    min_neighbour_recall: Share
    resolution: Positive
    layout_cells: Count
    marker_cells: Count
    n_markers: Count
    reference_cells: Count
    accelerator: Annotated[str, OneOf(("cpu", "gpu"))]
    integration: IntegrationSettings

    ORDER: ClassVar = (Order("n_neighbours", "layout_cells"),)
