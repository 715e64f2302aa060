"""Sizes of figures and pages; `config/README.md`, section `report`, explains each."""

from dataclasses import dataclass
from typing import Annotated

from relapsescope.settings import Count, Text, Within


@dataclass(frozen=True)
class ReportSettings:
    """The section `report`."""

    title: Text = "Unnamed cohort"
    distribution_bins: Annotated[int, Within(1, 10_000)] = 48
    map_points: Count = 60_000
    figure_map_points: Count = 10_000
    markers_per_cluster: Count = 5
    tracked_clonotypes: Count = 8
