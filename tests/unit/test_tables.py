import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import relapsescope
from relapsescope.tables import (
    is_true,
    read_columns,
    whole_file,
    write_json,
    write_parquet,
    write_tsv,
)


def test_parquet_keeps_values_and_nulls(tmp_path):
    path = tmp_path / "cells.parquet"
    write_parquet(
        path,
        {
            "barcode": np.array(["AAA-1", "007"], dtype=object),
            "light_chain": np.array(["kappa", None], dtype=object),
            "score": np.array([0.5, np.nan]),
        },
    )
    columns = read_columns(path)
    assert list(columns["barcode"]) == ["AAA-1", "007"]
    assert list(columns["light_chain"]) == ["kappa", None]
    assert columns["score"][0] == 0.5 and np.isnan(columns["score"][1])


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        write_parquet(tmp_path / name, {"x": np.arange(5)})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_an_empty_text_column_stays_text(tmp_path):
    write_parquet(tmp_path / "none.parquet", {"barcode": np.array([], dtype=object)})
    assert read_columns(tmp_path / "none.parquet")["barcode"].dtype == object


def test_a_missing_value_is_an_empty_field(tmp_path):
    path = tmp_path / "t.tsv"
    write_tsv(path, ["a", "b", "c"], [{"a": None, "b": float("nan"), "c": 0}])
    assert path.read_text() == "a\tb\tc\n\t\t0\n"


def test_text_cannot_break_a_row(tmp_path):
    path = tmp_path / "t.tsv"
    write_tsv(path, ["a"], [{"a": "one\ttwo\nthree"}])
    assert path.read_text() == "a\none two three\n"


def test_numbers_that_are_not_finite_become_null(tmp_path):
    write_json(tmp_path / "x.json", {"b": np.float64("nan"), "a": np.int64(3), "c": [np.inf]})
    assert (tmp_path / "x.json").read_text() == '{\n "a": 3,\n "b": null,\n "c": [\n  null\n ]\n}\n'


def test_a_failed_write_leaves_the_old_file_and_no_partial_one(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_logical_columns_are_logical_to_pandas_and_r(tmp_path):
    """R's type.convert takes T, F, TRUE, FALSE, true and false, and no `True`."""
    path = tmp_path / "t.tsv"
    rows = [{"a": True, "b": np.bool_(False), "c": 1}, {"a": False, "b": None, "c": "True"}]
    write_tsv(path, ["a", "b", "c"], rows)
    assert path.read_text() == "a\tb\tc\nTRUE\tFALSE\t1\nFALSE\t\tTrue\n"
    assert list(pd.read_csv(path, sep="\t")["a"]) == [True, False]
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    assert list(is_true(table["a"])) == [True, False]
    assert list(is_true(table["b"])) == [False, False]
    assert (is_true("TRUE"), is_true(True), is_true(""), is_true("1")) == (True, True, False, False)


def test_no_reader_looks_for_a_logical_word_of_python():
    """`== "True"` is never true of a table as it is written."""
    package = Path(relapsescope.__file__).parent
    found = [
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.suffix in (".py", ".html") and re.search("[\"']True[\"']", path.read_text())
    ]
    assert found == []
