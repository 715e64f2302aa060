import ast
import json
import re

import pytest
from relapsescope.run import provenance
from relapsescope.run.provenance import code_version, config_hash, versions, write_run_manifest


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: `a` imports `b`, `c` stands alone."""
    folder = tmp_path / "relapsescope"
    folder.mkdir()
    (folder / "a.py").write_text("from relapsescope.b import x\n")
    (folder / "b.py").write_text("x = 1\n")
    (folder / "c.py").write_text("y = 1\n")
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    code_version.cache_clear()
    yield folder
    code_version.cache_clear()


def test_code_version_follows_imports_and_nothing_else(package):
    before = code_version("a")
    (package / "c.py").write_text("y = 2\n")
    code_version.cache_clear()
    assert code_version("a") == before
    (package / "b.py").write_text("x = 2\n")
    code_version.cache_clear()
    assert code_version("a") != before


def test_code_version_of_the_library_job_covers_its_steps():
    names = {
        path.name for path in provenance._imported_files([provenance.PACKAGE / "libraries/library"])
    }
    assert {"library.py", "quality.py", "ambient.py", "doublets.py", "lineage.py"} <= names
    assert "cohort.py" not in names


def test_imports_are_those_that_a_parser_finds():
    for path in provenance.PACKAGE.rglob("*.py"):
        expected = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                expected |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                expected |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        files = {
            file
            for name in expected
            if name.startswith("relapsescope.")
            for file in provenance._module_files(provenance.PACKAGE / name[13:].replace(".", "/"))
        }
        assert set(provenance._imports(path)) == files, path


def test_config_hash_ignores_the_order_of_keys():
    assert config_hash({"a": 1, "b": {"c": 2, "d": 3}}) == config_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert config_hash({"a": 1}) != config_hash({"a": 2})


def test_every_direct_dependency_has_a_version():
    found = versions()
    assert "not installed" not in found.values()
    assert found["snakemake"] == "9.27.1"


def test_run_manifest_says_what_ran_and_how_it_ended(tmp_path):
    sheet = tmp_path / "samples.tsv"
    sheet.write_text("sample_id\n")
    path = tmp_path / "run_manifest.json"
    write_run_manifest(
        path, config={"seed": 7}, sheet=sheet, state="failed", started="2026-01-01T00:00:00+00:00"
    )
    content = json.loads(path.read_text())
    assert content["state"] == "failed"
    assert content["seed"] == 7
    assert re.fullmatch("[0-9a-f]{64}", content["sheet_sha256"])
    assert content["ended"] >= content["started"]


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        (["neighbours: exact"], "bytes"),
        (["scVI was trained on a GPU (A100)", "neighbours: exact"], "statistics"),
        (["no GPU was found where one was wanted: scVI was trained on the CPU"], "bytes"),
        (None, "bytes"),
    ],
)
def test_the_manifest_says_how_exactly_the_atlas_comes_again(tmp_path, notes, expected):
    if notes is not None:
        (tmp_path / "atlas/bundle").mkdir(parents=True)
        (tmp_path / "atlas/bundle/bundle.json").write_text(json.dumps({"notes": notes}))
    assert provenance.reproducibility(tmp_path)["atlas"] == expected


def test_a_module_that_is_not_there_has_no_version():
    with pytest.raises(ValueError, match="no such module of the package: nowhere"):
        code_version("statistics.rates", "nowhere")
