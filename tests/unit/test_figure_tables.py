"""The tables that a panel's legend names are those that its numbers are taken from."""

import shutil

import pytest
from relapsescope.figures.draw import PANELS, source_text
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import NotAssessableError, PanelSettings

from ..cohorts.small_run import write_results

SETTINGS = PanelSettings(distribution_bins=12, figure_map_points=200)
NEEDED = ("tables/cells.parquet", "tables/samples.tsv")
"""Without these nothing is read at all."""

NO_THRESHOLD = {"qc_n_genes"}
"""The small run's libraries have no threshold of genes, so their file adds nothing to it."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return results, write_results(results)


def numbers(panel, evidence):
    """Return a panel's source data, or the reason why it has none."""
    try:
        return source_text(panel, panel.collect(evidence, SETTINGS).frame)
    except (NotAssessableError, KeyError) as reason:
        return f"none: {reason}"


def test_every_panel_names_files_of_the_run(run):
    results, _ = run
    for panel in PANELS:
        assert panel.tables, panel.name
        for table in panel.tables:
            assert list(results.glob(table)), (panel.name, table)


def test_without_a_table_the_panels_change_that_name_it_and_no_others(run, tmp_path):
    results, sheet = run
    evidence = read_evidence(results, sheet=sheet)
    whole = {panel.name: numbers(panel, evidence) for panel in PANELS}
    for table in sorted({table for panel in PANELS for table in panel.tables} - set(NEEDED)):
        copy = tmp_path / table.replace("/", "_").replace("*", "x")
        shutil.copytree(results, copy)
        for path in copy.glob(table):
            path.unlink()
        evidence = read_evidence(copy, sheet=sheet)
        changed = {panel.name for panel in PANELS if numbers(panel, evidence) != whole[panel.name]}
        named = {panel.name for panel in PANELS if table in panel.tables}
        assert changed <= named, table
        assert named - changed <= NO_THRESHOLD, table
