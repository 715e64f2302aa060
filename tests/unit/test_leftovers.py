import pytest
from relapsescope.commands.app import app
from relapsescope.run.leftovers import files_of_library, files_of_patient, leftovers, remove
from typer.testing import CliRunner

PATHS = (
    "libraries/{s}/counts.h5",
    "logs/library/{s}.log",
    "benchmarks/library/{s}.tsv",
    "patients/{p}/clones.tsv",
    "report/patients/{p}.html",
    "logs/clones/{p}.log",
    "benchmarks/clones/{p}.tsv",
)


@pytest.fixture
def results(tmp_path):
    """Results of libraries A1 and B1 of patients A and B, and of the cohort."""
    folder = tmp_path / "results"
    names = [path.format(s=f"{p}1", p=p) for p in "AB" for path in PATHS]
    names += ["tables/cells.parquet", "logs/atlas.log", "report/index.html"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "logs/batches").mkdir()
    for number, kept in enumerate(("A1\nB1", "A1")):
        (folder / f"logs/batches/libraries_{number}.txt").write_text(kept + "\n")
        (folder / f"logs/batches/libraries_{number}.log").write_text("")
    return folder


def test_what_left_the_sheet_is_found_and_nothing_else(results):
    found = leftovers(results, libraries={"A1"}, patients={"A"})
    assert {
        name: [str(p.relative_to(results)) for p in paths]
        for name, paths in (*found.libraries.items(), *found.patients.items())
    } == {
        "B1": ["benchmarks/library/B1.tsv", "libraries/B1", "logs/library/B1.log"],
        "B": [
            "benchmarks/clones/B.tsv",
            "logs/clones/B.log",
            "patients/B",
            "report/patients/B.html",
        ],
    }
    assert [path.name for path in found.records] == ["libraries_0.txt", "libraries_0.log"]


def test_a_renamed_library_leaves_only_its_old_files(results):
    found = leftovers(results, libraries={"A1", "B2"}, patients={"A", "B"})
    assert (list(found.libraries), found.patients) == (["B1"], {})


def test_nothing_is_left_of_those_in_the_sheet(results):
    assert leftovers(results, libraries={"A1", "B1"}, patients={"A", "B"}).paths == ()
    assert leftovers(results / "none", libraries={"A1"}, patients={"A"}).paths == ()


def test_removing_leaves_everything_else(results):
    before = {path for path in results.rglob("*") if path.is_file()}
    found = leftovers(results, libraries={"A1"}, patients={"A"})
    remove(found.paths)
    after = {path for path in results.rglob("*") if path.is_file()}
    assert {path.name for path in before - after} == {
        "B1.tsv",
        "counts.h5",
        "B1.log",
        "B.tsv",
        "B.log",
        "clones.tsv",
        "B.html",
        "libraries_0.txt",
        "libraries_0.log",
    }
    assert (results / "libraries/A1/counts.h5").is_file()


def test_of_a_link_only_the_link_goes(results, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").write_text("kept")
    (results / "libraries/C1").symlink_to(tmp_path / "elsewhere")
    remove(files_of_library(results, "C1"))
    assert not (results / "libraries/C1").exists()
    assert (tmp_path / "elsewhere/kept").read_text() == "kept"


def test_files_of_one_library_and_one_patient(results):
    assert len(files_of_library(results, "A1")) == 3
    assert len(files_of_patient(results, "A")) == 4


def test_the_command_lists_and_then_removes(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "matrix").mkdir()
    (tmp_path / "samples.tsv").write_text(
        "sample_id\tpatient_id\ttimepoint\tday\ttissue\tsorting\tmatrix\n"
        "A1\tA\trelapse\t3\tbone_marrow\tnone\tmatrix\n"
    )
    options = ["--samples", "samples.tsv", "--results", "results"]
    listed = CliRunner().invoke(app, ["prune", *options])
    assert listed.exit_code == 0, listed.output
    assert "library B1: 3 files and folders" in listed.output
    assert (results / "libraries/B1").is_dir()
    told = CliRunner().invoke(app, ["status", *options])
    assert "B1\tnot in the sheet" in told.output
    removed = CliRunner().invoke(app, ["prune", *options, "--yes"])
    assert removed.exit_code == 0
    assert not (results / "libraries/B1").exists()
    assert (results / "libraries/A1").is_dir()
    assert "nothing is left" in CliRunner().invoke(app, ["prune", *options]).output
