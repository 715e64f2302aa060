"""The committed sheet and clinical tables are those of the simulated demo cohort."""

import csv

import pytest
from relapsescope.simulate import simulate_cohort


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The demo cohort with few cells: sheet and clinical tables do not depend on their number."""
    folder = tmp_path_factory.mktemp("demo") / "cohort"
    simulate_cohort(folder, seed=1, scale=0.1)
    return folder


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def test_the_sheet_is_the_simulated_one_seen_from_config(repository, simulated):
    expected = rows_of(simulated / "samples.tsv")
    for row in expected:
        for name in ("matrix", "raw_matrix", "tcr_contigs", "bcr_contigs"):
            row[name] = f"../demo/{row[name]}" if row[name] else ""
    assert rows_of(repository / "config/samples.tsv") == expected


@pytest.mark.parametrize("table", ["patients", "labs", "therapies"])
def test_the_clinical_tables_are_the_simulated_ones(repository, simulated, table):
    committed = (repository / f"config/clinical/{table}.tsv").read_text()
    assert committed == (simulated / f"clinical/{table}.tsv").read_text()
