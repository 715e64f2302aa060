"""What a panel is: numbers first, then a chart that is drawn from nothing else."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd

from relapsescope.figures.evidence import Evidence
from relapsescope.figures.settings import ReportSettings
from relapsescope.settings import settings_of

NOT_ASSESSABLE = "not assessable: "
"""What the manifest's `test` begins with where a panel could not be made."""


class NotAssessableError(Exception):
    """A panel cannot be made from this run; the message says why, for the reader."""


@dataclass(frozen=True)
class PanelSettings(ReportSettings):
    """Numbers from the configuration's section `report`, and the run's seed."""

    seed: int = 1


def panel_settings(config: Mapping[str, Any]) -> PanelSettings:
    """Return the section `report` of the configuration with its `seed`."""
    section = settings_of(ReportSettings, config["report"], name="report")
    return PanelSettings(**dataclasses.asdict(section), seed=config["seed"])


@dataclass(frozen=True)
class PanelData:
    """The plotted numbers, and how many cells and patients stand behind them."""

    frame: pd.DataFrame
    n_cells: int
    n_patients: int


@dataclass(frozen=True)
class Panel:
    """One figure.

    Attributes
    ----------
    columns
        Columns of the source data, each ``text`` or ``number``; the CSV has these and no others.
    collect
        Takes the run's tables and gives the numbers; raises `NotAssessableError`.
    chart
        Draws the source data as read back from its CSV.
    claim
        The statement that the panel supports.
    test
        The statistic used, or ``none (descriptive)``.
    reproducibility, tolerance
        Its class in the contract's words, and by how much a repeat may differ.
    unit
        What `n_cells` counts, as the page says it; empty where the panel shows no cells.
    tables
        Files of the run that `collect` takes the numbers from, for the figure's legend.
    split_rows, split_columns
        Columns whose values a numbered figure shares out over pages where the panel is too high,
        or too wide; without the second the first serves for both.
    """

    name: str
    title: str
    claim: str
    columns: Mapping[str, Literal["text", "number"]]
    collect: Callable[[Evidence, PanelSettings], PanelData]
    chart: Callable[[pd.DataFrame], alt.TopLevelMixin]
    test: str = "none (descriptive)"
    reproducibility: str = "deterministic"
    tolerance: str = "1e-05"
    unit: str = "cells"
    tables: tuple[str, ...] = ()
    split_rows: str = ""
    split_columns: str = ""


def row_labels(frame: pd.DataFrame) -> list[str]:
    """Return the label of each library in order of appearance; verdicts but `pass` are in it."""
    unique = frame[["sample_id", "verdict"]].drop_duplicates("sample_id")
    return [
        sample if verdict in ("pass", "") else f"{sample} ({verdict})"
        for sample, verdict in zip(unique["sample_id"], unique["verdict"], strict=True)
    ]
