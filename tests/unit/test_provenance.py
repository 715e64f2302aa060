import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from relapsescope.provenance import code as provenance
from relapsescope.provenance import record
from relapsescope.provenance.code import code_of, code_version
from relapsescope.provenance.record import config_hash, input_stamp, versions, write_run_manifest

RULES = sorted(path.stem for path in provenance.SCRIPTS.glob("*.py"))


@pytest.fixture
def forget_hashes():
    caches = (
        provenance.code_of,
        provenance.code_version,
        provenance._content_hash,
        provenance._imports,
        provenance._files_named,
        provenance._files_beside,
    )

    def forget():
        for cached in caches:
            cached.cache_clear()

    forget()
    yield forget
    forget()


@pytest.fixture
def package(tmp_path, monkeypatch, forget_hashes):
    """A package in which script `clones` reaches room `a` and its template, not room `c`."""
    files = {
        "workflow/scripts/clones.py": "from relapsescope.a.jobs import clones\n",
        "workflow/relapsescope/a/jobs.py": (
            "def clones(job):\n    from relapsescope.a.b import x\n\n\n"
            "def others(job):\n    from relapsescope.c.e import y\n"
        ),
        "workflow/relapsescope/a/__init__.py": "",
        "workflow/relapsescope/a/b.py": "def f():\n    from relapsescope import d\n",
        "workflow/relapsescope/a/page.html": "<p>",
        "workflow/relapsescope/c/e.py": "y = 1\n",
        "workflow/relapsescope/d.py": 'T = RESOURCES / "t.tsv"\nF = REPOSITORY / "x" / "y"\n',
        "resources/t.tsv": "gene\n",
        "resources/other.tsv": "gene\n",
        "x/y/caption.rst": "A figure.\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "workflow/relapsescope")
    monkeypatch.setattr(provenance, "SCRIPTS", tmp_path / "workflow/scripts")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("workflow/scripts/clones.py", True),
        ("workflow/relapsescope/a/jobs.py", True),
        ("workflow/relapsescope/a/__init__.py", True),
        ("workflow/relapsescope/a/b.py", True),
        ("workflow/relapsescope/a/page.html", True),
        ("workflow/relapsescope/d.py", True),
        ("resources/t.tsv", True),
        ("x/y/caption.rst", True),
        ("workflow/relapsescope/c/e.py", False),
        ("resources/other.tsv", False),
    ],
)
def test_a_rules_hash_follows_from_its_script(package, forget_hashes, name, changes):
    before = code_of("clones")
    path = package / name
    path.write_text(path.read_text() + "\n# edited\n")
    forget_hashes()
    assert (code_of("clones") != before) is changes


@pytest.mark.parametrize("rule", RULES)
def test_a_change_in_any_reached_file_changes_the_rules_hash(rule, forget_hashes, monkeypatch):
    files = provenance.files_of_rule(rule)
    assert any(path.suffix == ".py" and path.parent != provenance.SCRIPTS for path in files)
    before = provenance._hash_of(files)
    known = {path: provenance._content_hash(path) for path in files}
    for edited in files:
        changed = known | {edited: b"edited"}
        monkeypatch.setattr(provenance, "_content_hash", changed.__getitem__)
        assert provenance._hash_of(files) != before, edited


def syntax_of(file, rule):
    """Return the syntax tree of a module; of a room's jobs without the other rules' functions."""
    tree = ast.parse(file.read_text())
    if file.name == "jobs.py":
        tree.body = [
            node
            for node in tree.body
            if not isinstance(node, ast.FunctionDef)
            or node.name == rule
            or node.name.startswith("_")
        ]
    return tree


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_reaches_is_what_a_parser_finds(rule):
    """Follow the imports of whole syntax trees, `__init__.py` of every folder included."""
    found, waiting = set(), [provenance.SCRIPTS / f"{rule}.py"]
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        for node in ast.walk(syntax_of(file, rule)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("relapsescope"):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                if name.startswith("relapsescope."):
                    parts = name.split(".")[1:]
                    waiting.append(provenance.PACKAGE.joinpath(*parts).with_suffix(".py"))
                    for n in range(1, len(parts) + 1):
                        waiting.append(provenance.PACKAGE.joinpath(*parts[:n], "__init__.py"))
    assert len(found) > 5
    assert found <= provenance.files_of_rule(rule)


def test_a_rule_does_not_hash_what_only_another_rule_of_its_room_runs():
    names = {path.name for path in provenance.files_of_rule("samples")}
    assert "cells.py" in names
    assert not {"cellxgene.py", "gene_sets.tsv"} & names


def test_a_job_loads_no_module_beyond_those_that_it_hashes():
    code = (
        "import sys, relapsescope.antigens.tallies, relapsescope.run.job_log;"
        "print(*[m.__file__ for n, m in sys.modules.items() if n.startswith('relapsescope.')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(map(Path, run.stdout.split()))
    assert provenance.PACKAGE / "antigens/tallies.py" in loaded
    assert loaded <= provenance.files_of_rule("molecules")


def test_every_rule_with_a_script_passes_that_scripts_hash():
    text = "".join(
        path.read_text() for path in sorted((provenance.SCRIPTS.parent / "rules").glob("*.smk"))
    )
    blocks = re.split(r"(?m)^(?=rule )", text)[1:]
    scripts = {
        block.split(":")[0].split()[1]: re.search(r'"\.\./scripts/(\w+)\.py"', block)
        for block in blocks
    }
    hashed = {
        block.split(":")[0].split()[1]: re.findall(r'\*\*made_by\("(\w+)"\)', block)
        for block in blocks
    }
    named = {rule: match[1] for rule, match in scripts.items() if match}
    assert hashed == {rule: [named[rule]] if rule in named else [] for rule in scripts}
    assert sorted(named.values()) == RULES
    assert all(rule == script for rule, script in named.items())


def test_what_modules_read_beside_the_users_files_is_named_so_that_the_hash_sees_it():
    for path in provenance.PACKAGE.rglob("*.py"):
        text = path.read_text()
        uses = len(re.findall(r"(?<!SIMULATE_)\bRESOURCES\b", text))
        imports = len(re.findall(r"import .*\bRESOURCES\b|^    RESOURCES,$", text, re.M))
        named = len(re.findall(r'\bRESOURCES / "', text))
        if path.name not in ("paths.py", "code.py") and path.parent != provenance.PACKAGE:
            assert uses == imports + named, path


def test_the_stamp_of_a_file_is_its_size_and_time(tmp_path):
    folder = tmp_path / "matrix"
    folder.mkdir()
    (folder / "b").write_text("12")
    (tmp_path / "a").write_text("1")
    for path in (folder / "b", tmp_path / "a"):
        os.utime(path, (50, 50))
    before = provenance.stamps([tmp_path / "a", folder, tmp_path / "absent"])
    assert before == ["a 1 50", "b 2 50"]
    os.utime(tmp_path / "a", (40, 40))
    assert provenance.stamps([tmp_path / "a"]) == ["a 1 40"]


def test_code_version_of_the_library_job_covers_its_steps():
    names = {path.name for path in provenance.files_of_rule("library")}
    assert {"library.py", "quality.py", "ambient.py", "doublets.py", "lineage.py"} <= names
    assert {"settings.py", "genes.tsv", "markers.tsv"} <= names
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
        found = set(provenance._imports(path))
        assert files <= found, path
        assert all(file.name == "__init__.py" for file in found - files), path


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
    assert record.reproducibility(tmp_path)["atlas"] == expected


def test_a_module_that_is_not_there_has_no_version():
    with pytest.raises(ValueError, match="no such module of the package: nowhere"):
        code_version("statistics.rates", "nowhere")


def test_a_large_input_is_told_by_size_time_and_its_ends(tmp_path):
    path = tmp_path / "m" / "matrix.h5"
    path.parent.mkdir()
    content = bytes(range(256)) * 10_000
    path.write_bytes(content)
    os.utime(path, (86_400, 86_400))
    ends = b"2560000" + content[:1_000_000] + content[-1_000_000:]
    stamp = {
        "bytes": 2_560_000,
        "modified": "1970-01-02T00:00:00+00:00",
        "ends_sha256": hashlib.sha256(ends).hexdigest(),
    }
    assert input_stamp(path) == stamp
    assert input_stamp(path.parent) == {"files": {"matrix.h5": stamp}}
    assert input_stamp(tmp_path / "nothing") is None
    path.write_bytes(content[:-1] + b"x")
    assert input_stamp(path)["ends_sha256"] != stamp["ends_sha256"]
