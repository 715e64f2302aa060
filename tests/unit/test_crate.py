"""The RO-Crate of a run, read again by the library that wrote it."""

import hashlib
import json
import re
import shutil

import pytest
from relapsescope.commands.app import app
from relapsescope.deposit.crate import PROFILES, is_orcid, write_crate
from relapsescope.errors import InputProblem
from relapsescope.figures.draw import draw_figures, read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings
from relapsescope.provenance.record import write_run_manifest
from rocrate.rocrate import ROCrate
from typer.testing import CliRunner

from ..cohorts.small_run import write_results

SHEET = (
    "sample_id\tpatient_id\ttimepoint\ttissue\tmatrix\traw_matrix\n"
    "S1\tP1\trelapse\tbone_marrow\tone.h5\tfolder\n"
)
OUTSIDE = ("https://snakemake.readthedocs.io", "https://doi.org/10.1093/bioinformatics/bts480")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of one library: a matrix that is a file, an unfiltered one that is a folder."""
    place = tmp_path_factory.mktemp("place")
    (place / "samples.tsv").write_text(SHEET)
    (place / "one.h5").write_bytes(b"counts")
    (place / "folder").mkdir()
    (place / "folder/matrix.mtx").write_bytes(b"raw")
    results = place / "results"
    sheet = write_results(results)
    settings = PanelSettings(distribution_bins=12, figure_map_points=200)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=settings)
    (results / "report").mkdir()
    (results / "report/index.html").write_text("<!doctype html>")
    write_run_manifest(
        results / "run_manifest.json",
        config={"seed": 7, "samples": str(place / "samples.tsv"), "results": str(results)},
        sheet=place / "samples.tsv",
        state="succeeded",
        started="2026-01-01T00:00:00+00:00",
    )
    return results


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_the_crate_reads_again_and_keeps_its_profile(run):
    path, untold = write_crate(run)
    assert untold == ["who ran it: name a person or an organisation with --agent and --orcid"]
    crate = ROCrate(run)
    assert {entity.id for entity in crate.root_dataset["conformsTo"]} == set(PROFILES)
    workflow = crate.mainEntity
    assert workflow.id == "workflow/Snakefile"
    assert set(workflow.type) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert workflow["programmingLanguage"]["name"] == "Snakemake"
    (action,) = crate.root_dataset["mentions"]
    assert action.type == "CreateAction"
    assert action["instrument"] == workflow
    assert action["startTime"] == "2026-01-01T00:00:00+00:00"
    assert action["actionStatus"].endswith("CompletedActionStatus")
    assert path.parent == run


def test_every_file_of_the_crate_is_there_with_its_hash(run):
    write_crate(run)
    crate = ROCrate(run)
    files = [entity for entity in crate.get_entities() if "File" in entity.type]
    named = {entity.id for entity in files}
    assert {"tables/cells.parquet", "figures/manifest.tsv", "report/index.html"} <= named
    assert named >= {f"figures/{panel}.svg" for panel in read_manifest(run).index}
    assert named >= {row.id for row in crate.root_dataset["hasPart"]}
    for entity in files:
        content = (run / entity.id).read_bytes()
        assert entity["sha256"] == sha256(content), entity.id
        assert entity["contentSize"] == str(len(content))
    swimmer = crate.get("figures/swimmer.svg")
    assert swimmer["name"] == read_manifest(run).loc["swimmer", "title"]


def test_inputs_and_settings_are_told_without_a_path(run):
    path, _ = write_crate(run)
    (action,) = ROCrate(run).root_dataset["mentions"]
    objects = {entity.id: entity for entity in action["object"]}
    assert objects["#input-S1-matrix"]["sha256"] == sha256(b"counts")
    listed = f"{sha256(b'raw')}  matrix.mtx\n"
    assert objects["#input-S1-raw_matrix"]["sha256"] == sha256(listed.encode())
    assert objects["#input-S1-raw_matrix"]["contentSize"] == "3"
    assert objects["#input-sheet"]["sha256"] == sha256(SHEET.encode())
    assert objects["#setting-seed"]["value"] == "7"
    assert objects["#setting-seed"]["exampleOfWork"]["name"] == "seed"
    assert "#setting-samples" not in objects
    assert str(run.parent) not in path.read_text()
    assert re.search(r'": "/', path.read_text()) is None


def test_the_same_run_gives_the_same_crate(run):
    path, _ = write_crate(run)
    before = path.read_bytes()
    assert write_crate(run)[0].read_bytes() == before


def test_a_failed_run_says_so_and_a_running_one_waits(run):
    manifest = run / "run_manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "state": "failed"}))
    write_crate(run)
    (action,) = ROCrate(run).root_dataset["mentions"]
    assert action["actionStatus"].endswith("FailedActionStatus")
    for text in (json.dumps({**content, "state": "running"}), "{", None):
        if text is None:
            manifest.unlink()
        else:
            manifest.write_text(text)
        found = CliRunner().invoke(app, ["crate", str(run)])
        assert found.exit_code == 2
        assert len(found.output.splitlines()) == 1


def test_inputs_that_are_elsewhere_are_named_and_stop_nothing(run):
    manifest = run / "run_manifest.json"
    content = json.loads(manifest.read_text())
    content["config"]["samples"] = "elsewhere.tsv"
    manifest.write_text(json.dumps(content))
    found = CliRunner().invoke(app, ["crate", str(run), "--licence", "https://example.org/l"])
    assert found.exit_code == 0
    assert "elsewhere.tsv: not found from here" in found.output
    assert ROCrate(run).root_dataset["license"].id == "https://example.org/l"


def test_who_ran_it_under_which_licence_and_with_which_software(run):
    write_crate(run, licence="https://example.org/l", agent="A Name", orcid="0000-0002-1825-0097")
    content = json.loads((run / "ro-crate-metadata.json").read_text())
    graph = {entity["@id"]: entity for entity in content["@graph"]}
    assert content["@context"] == [
        "https://w3id.org/ro/crate/1.3/context",
        "https://w3id.org/ro/terms/workflow-run/context",
    ]
    descriptor = graph["ro-crate-metadata.json"]
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.3"}
    assert graph["./"]["license"] == {"@id": "https://example.org/l"}
    assert graph["https://example.org/l"]["@type"] == "CreativeWork"
    assert graph["#run"]["agent"] == {"@id": "https://orcid.org/0000-0002-1825-0097"}
    person = graph["https://orcid.org/0000-0002-1825-0097"]
    assert (person["@type"], person["name"]) == ("Person", "A Name")
    software = [each for each in graph.values() if each["@type"] == "SoftwareApplication"]
    assert len(software) > 20
    for each in software:
        assert each["@id"] == each["url"]
        assert each["url"].startswith("https://")
        assert each["version"]
    torch = next(each for each in software if each["name"] == "torch")
    assert "+" not in torch["url"]
    # Nothing is referred to that is not described.
    for entity in graph.values():
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and one["@id"] not in graph:
                    assert one["@id"] in ("https://w3id.org/ro/crate/1.3", *OUTSIDE)


def test_an_organisation_needs_no_orcid_and_a_wrong_one_is_refused(run):
    write_crate(run, agent="A Hospital")
    (action,) = ROCrate(run).root_dataset["mentions"]
    assert action["agent"].type == "Organization"
    with pytest.raises(InputProblem, match="no ORCID iD"):
        write_crate(run, orcid="0000-0002-1825-0098")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("0000-0002-1825-0097", True),
        ("0000-0002-1694-233X", True),
        ("0000-0002-1694-2330", False),
        ("0000-0002-1825-009", False),
        ("https://orcid.org/0000-0002-1825-0097", False),
    ],
)
def test_an_orcid_s_last_digit_checks_the_others(text, valid):
    """The iDs of the examples on orcid.org."""
    assert is_orcid(text) == valid
