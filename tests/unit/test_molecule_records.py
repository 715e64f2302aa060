"""The table of what was counted: its key, its schema, and asking it by key."""

import ast
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from relapsescope.antigens.counted_cells import cell_columns
from relapsescope.antigens.molecules import Molecules, read_clones, read_molecules
from relapsescope.antigens.records import (
    SCHEMA,
    Counted,
    Kind,
    Library,
    Measure,
    Record,
    Subset,
    as_recorded,
    record_columns,
)
from relapsescope.paths import REPOSITORY
from relapsescope.reference.files import FILES, SHIPPED_FOLDER
from relapsescope.reference.freeze import _grouped
from relapsescope.statistics.rates import Tally
from relapsescope.tables import write_parquet, write_tsv

TYPES = {object: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
LIBRARY = Library("S", "P", "relapse", "bone_marrow", True, left_out=frozenset({"SDC1", "CD38"}))
WHOLE = Tally(20, 7.0, 5000.0, 1.5, 0.5, 0.05, 0.25)
SURE = Counted("S", Kind.CLONE, "A", "TNFRSF17")
RECORDS = [
    Record(SURE, 20, WHOLE, detected=6, mixed=0.5),
    Record(SURE._replace(stratum=2), 9, Tally(9, 4.0, 3000.0, 1.0, 0.5, 0.1, 0.25)),
    Record(SURE._replace(subset=Subset.ASSIGNED), 25, Tally(25, 8.0, 6000.0, 2.0, 0.5, 0.04, 1.0)),
    Record(SURE._replace(measure=Measure.PROTEIN), 18, detected=17),
    Record(Counted("S", Kind.CELL_TYPE, "CD4 T", "TNFRSF17"), 3, Tally(3, 0, 9.0, 0, 0, 1.0, 1.0)),
]


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "molecules.parquet"
    write_parquet(path, record_columns(RECORDS, {"S": LIBRARY}))
    return path


def test_the_table_has_the_schemas_columns_and_types(written, tmp_path):
    found = pq.read_schema(written)
    assert dict(zip(found.names, found.types, strict=True)) == {
        name: TYPES[kind] for name, kind in SCHEMA.items()
    }
    # Of no record at all too: a patient whose libraries all failed.
    write_parquet(tmp_path / "empty.parquet", record_columns([], {}))
    assert pq.read_schema(tmp_path / "empty.parquet").equals(found)


def test_what_was_written_is_found_by_its_key(written):
    found = Molecules(pd.read_parquet(written), {})
    assert found.libraries["S"] == LIBRARY
    assert found.tally(*SURE[:4]) == WHOLE
    assert found.tally(*SURE[:4], stratum=2).umi == 4
    assert found.tally(*SURE[:4], subset=Subset.ASSIGNED).n_cells == 25
    assert found.tally(*SURE[:4], subset=Subset.STRICT).n_cells == 0
    assert (found.number("detected", SURE), found.number("mixed", SURE)) == (6, 0.5)
    assert found.number("detected", SURE._replace(measure=Measure.PROTEIN)) == 17
    assert np.isnan(found.number("high_cells", SURE))
    assert np.isnan(found.number("detected", SURE._replace(gene="CD19")))
    assert found.cells_in("S", "clone", "A") == 20
    assert found.cells_in("S", "clone", "A", subset=Subset.ASSIGNED) == 25
    assert found.has("S", "clone", "A") and not found.has("S", "clone", "B")
    assert (found.clones("S"), found.cell_types("S")) == (["A"], ["CD4 T"])


def test_a_reference_of_an_earlier_version_is_read():
    """It has no column of subset or measure, and kinds that say both."""
    table = pd.read_parquet(SHIPPED_FOLDER / FILES["molecules"])
    row = table[table["gene"] == "TNFRSF17"]
    wide = row.assign(kind="normal_plasma:wide", umi=1e6)
    found = Molecules(pd.concat([row, wide], ignore_index=True), {})
    (name,) = found.own
    assert found.tally(name, Kind.NORMAL_PLASMA, "", "TNFRSF17").umi == row["umi"].item()
    assert not found.libraries[name].undetected_removed


def test_no_reader_takes_a_kind_apart():
    """Kinds, subsets and measures are words of `records` and nowhere put together."""
    words = {*Kind, *Subset, *Measure}
    for path in sorted((REPOSITORY / "workflow/relapsescope/antigens").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = node.value.split(":")
                assert not (len(parts) == 2 and words & set(parts)), (path.name, node.value)


def test_a_frozen_reference_holds_groups_own_rna_only(written):
    """Subsets and proteins are for the patient's own clones, and of clones no row travels."""
    frame = pd.read_parquet(written).assign(n_cells=500)
    everywhere = [frame, *(frame.assign(kind=kind) for kind in ("all_malignant", "cell_type"))]
    found = _grouped(pd.concat(everywhere, ignore_index=True), "molecules")
    assert set(found["kind"]) == {"all_malignant", "cell_type"}
    assert not {"subset", "measure"} & set(found.columns)
    # Of the five records of each kind two are of a subset or a protein.
    assert len(found) == 3 + 3 + 1


def test_a_table_joined_with_an_older_one_says_what_that_one_did_not(written):
    of_now = pd.read_parquet(written)
    older = of_now.drop(columns=["undetected_removed", "left_out", "measure"])
    joined = as_recorded(pd.concat([of_now, older], ignore_index=True))
    assert joined["undetected_removed"].dtype == bool and not joined["undetected_removed"].any()
    assert joined["left_out"].tolist() == ["CD38;SDC1"] * len(of_now) + [""] * len(older)
    assert joined["measure"].iloc[len(of_now) :].eq(Measure.RNA).all()
    assert joined["measure"].iloc[: len(of_now)].tolist() == of_now["measure"].tolist()


def test_patients_are_read_in_their_order(written, tmp_path):
    other = [replace(record, key=record.key._replace(sample_id="T")) for record in RECORDS]
    second = tmp_path / "second.parquet"
    write_parquet(second, record_columns(other, {"T": replace(LIBRARY, sample_id="T")}))
    cells = tmp_path / "cells.parquet"
    write_parquet(cells, cell_columns({}))
    found = read_molecules([str(second), str(written)], [str(cells)])
    assert (found.own, list(found.libraries)) == (["T", "S"], ["T", "S"])
    assert found.tally(*SURE._replace(sample_id="T")[:4]) == found.tally(*SURE[:4]) == WHOLE


def test_relapse_clones_are_read_with_what_is_left_of_their_identity(tmp_path):
    row = dict.fromkeys(("identity_ratio", "identity_ci_low", "identity_ci_high"), "")
    rows = [
        row | {"sample_id": "S", "clone_id": "A", "is_relapse_clone": False, "relation": ""},
        row
        | {"sample_id": "S", "clone_id": "B", "is_relapse_clone": True, "relation": "different_ig"}
        | {"n_identity_lost": 7, "n_cells": 20, "identity_ratio": 0.4, "identity_ci_low": 0.3}
        | {"identity_ci_high": 0.5},
    ]
    rows = [{"patient_id": "P", "n_identity_lost": "", "n_cells": 9} | row for row in rows]
    write_tsv(tmp_path / "clones.tsv", list(rows[0]), rows)
    found = read_clones([str(tmp_path / "clones.tsv")])
    assert found.relapse == {"S": ("B",)} and found.unrelated == {("P", "B")}
    assert list(found.identity) == [("S", "B")]
    left = found.identity["S", "B"]
    assert (left.n_lost, left.n_cells, left.ratio, left.low, left.high) == (7, 20, 0.4, 0.3, 0.5)
