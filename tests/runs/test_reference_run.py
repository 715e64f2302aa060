"""A run frozen as a reference: what travels, and new libraries placed on it."""

import json

import pandas as pd
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import read_sheet
from relapsescope.reference.files import ATLAS, FILES, has_atlas
from relapsescope.reference.freeze import freeze
from relapsescope.reference.manifest import reference_problems
from relapsescope.reference.placed_libraries import place_libraries
from relapsescope.run.config_file import default_values


@pytest.fixture(scope="module")
def frozen(finished, tmp_path_factory):
    """Return the reference of the tiny run: a donor, and a patient before CAR-T."""
    folder = tmp_path_factory.mktemp("frozen") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished.folder)
        freeze(finished.results, folder)
    return folder


def test_a_finished_run_becomes_a_whole_reference(frozen):
    assert reference_problems(frozen) == []
    manifest = json.loads((frozen / "manifest.json").read_text())
    assert (manifest["made_from"]["n_libraries"], manifest["made_from"]["n_people"]) == (2, 2)
    assert set(manifest["files"]) == set(FILES.values())
    assert has_atlas(str(frozen))
    libraries = pd.read_csv(frozen / FILES["libraries"], sep="\t", dtype=str)
    # The library at relapse and the failed one stay at home.
    assert set(libraries["timepoint"]) == {"healthy", "pre_infusion"}
    assert libraries["day"].isna().all()


def test_nothing_in_a_reference_names_a_sample_a_person_or_a_barcode(finished, frozen):
    cells = pd.read_parquet(finished.results / "tables/cells.parquet")
    secrets = {*cells["sample_id"], *cells["patient_id"], *cells["barcode"].iloc[:200]} - {
        "H1",
        "P1",
    }
    content = b"".join(path.read_bytes() for path in frozen.rglob("*") if path.is_file())
    assert [name for name in secrets if str(name).encode() in content] == []
    for name in ("molecules", "pooled", "niche"):
        table = pd.read_parquet(frozen / FILES[name])
        assert table["sample_id"].str.match(r"reference_\d{4}$").all()
        assert (table["n_cells"] >= 10).all()
        if "kind" in table and name != "niche":
            assert set(table["kind"]) <= {"normal_plasma", "all_malignant", "lineage", "cell_type"}


def test_a_reference_is_never_changed_and_may_be_added_to(finished, frozen, tmp_path, monkeypatch):
    monkeypatch.chdir(finished.folder)
    before = {path: path.read_bytes() for path in frozen.rglob("*") if path.is_file()}
    with pytest.raises(InputProblem, match="a reference is never changed"):
        freeze(finished.results, frozen)
    manifest = freeze(finished.results, tmp_path / "two", add=frozen)
    assert manifest.made_from["n_libraries"] == 4
    libraries = pd.read_csv(tmp_path / "two" / FILES["libraries"], sep="\t", dtype=str)
    assert libraries["sample_id"].is_unique
    assert {path: path.read_bytes() for path in before} == before
    assert not list(tmp_path.glob(".two*"))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "run_manifest.json").unlink(), "no run_manifest.json"),
        (
            lambda folder: (folder / "run_manifest.json").write_text('{"state": "failed"}'),
            "is failed, not succeeded",
        ),
        (lambda folder: (folder / "run_manifest.json").write_text("[1]"), "no run_manifest.json"),
    ],
)
def test_a_run_that_did_not_end_well_is_not_frozen(spoil, words, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r/run_manifest.json").write_text("{}")
    spoil(tmp_path / "r")
    with pytest.raises(InputProblem, match=words):
        freeze(tmp_path / "r", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_on_a_reference_places_its_cells_and_trains_nothing(finished, frozen):
    planned = finished.planned("--forceall", "--config", f"reference={frozen}", "results=elsewhere")
    assert planned["place"] == 1
    assert "atlas" not in planned
    assert "place" not in finished.planned("--forceall")


def test_libraries_are_placed_among_their_own_types(finished, frozen, tmp_path, repository):
    config = default_values()
    libraries = read_sheet(finished.sheet)
    folders = [finished.results / "libraries" / library.sample_id for library in libraries]
    names = ("embedding", "latent", "genes", "integration", "markers", "novelty")
    outputs = {name: str(tmp_path / name) for name in names}
    place_libraries(
        [library.as_params() for library in libraries],
        reference=str(frozen),
        counts_paths=[str(folder / "counts.h5") for folder in folders],
        cells_paths=[str(folder / "cells.parquet") for folder in folders],
        genes_paths=[str(folder / "genes.parquet") for folder in folders],
        summary_paths=[str(folder / "library.json") for folder in folders],
        outputs=outputs,
        settings=config["novelty"],
    )
    placed = pd.read_parquet(outputs["embedding"])
    trained = pd.read_parquet(finished.results / "atlas/embedding.parquet")
    keys = ["sample_id", "barcode"]
    assert placed[keys].equals(trained[keys])
    novelty = pd.read_csv(outputs["novelty"], sep="\t").set_index(["sample_id", "cell_type"])
    whole = novelty.xs("all", level="cell_type")
    assert whole.loc["P1_pre_infusion", "novel_fraction"] < 0.1
    assert "P1_remission" not in whole.index
    assert {*whole["verdict"]} <= {"within", "warn", "out"}
    assert set(ATLAS) <= set(FILES)
