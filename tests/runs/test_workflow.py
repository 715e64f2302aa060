"""The whole workflow on a small cohort: what it writes, what it runs again, how it fails."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from relapsescope.cohort.cells import CELL_COLUMNS, SAMPLE_COLUMNS
from relapsescope.deposit.columns import described
from relapsescope.intake.kept_sheet import KEPT
from relapsescope.intake.patients import libraries_by_patient
from relapsescope.run.check import check_inputs
from relapsescope.run.resource_models import model_of, request, total_size

from ..cohorts.small_run import write_results

CONTRACT_CELL_COLUMNS = re.findall(
    r"\w+",
    """
    sample_id barcode patient_id timepoint total_counts n_genes_by_counts pct_counts_mt
    doublet_score predicted_doublet qc_pass qc_reason lineage cell_type cell_type_probability
    light_chain malignancy malignancy_probability clone_id car_status phase cycling anxa1_umi
    umap_1 umap_2 leiden
    """,
)
CONTRACT_SAMPLE_COLUMNS = re.findall(
    r"\w+",
    """
    sample_id verdict reason n_barcodes n_pass n_doublets ambient_fraction median_total_counts
    median_pct_counts_mt umi_ceiling_suspected
    """,
)
CONTRACT_COURSE_COLUMNS = re.findall(
    r"\w+",
    """
    patient_id line therapy_class best_response progression_day time_to_response_days
    duration_of_response_days pfs_days pfs_event os_days os_event evaluable reason
    """,
)
CONTRACT_MOLECULAR_COLUMNS = {
    "clones": """
    patient_id clone_id timepoint sample_id n_cells fraction light_chain v_gene cnv_events
    cnv_evaluable fate is_relapse_clone relation
    """,
    "antigens": """
    patient_id clone_id sample_id timepoint antigen n_cells total_umi antigen_umi rate_cpm
    rate_ci_low rate_ci_high ambient_cpm reference reference_cpm expected_umi ratio ratio_ci_low
    ratio_ci_high detected_fraction verdict reason
    """,
    "anxa1": """
    patient_id sample_id timepoint compartment n_cells rate_cpm rate_ci_low rate_ci_high
    ambient_cpm contrast log2_ratio log2_ratio_ci_low log2_ratio_ci_high did_log2_ratio did_ci_low
    did_ci_high verdict reason
    """,
    "targets": "patient_id clone_id antigen verdict agents off_tumour note group "
    "retaining_share prior_exposure",
    "car_t": """
    patient_id sample_id timepoint population n_cells fraction_of_t fraction_ci_low
    fraction_ci_high cycling_fraction cycling_ci_low cycling_ci_high cd4_fraction clonality
    good2021_mean good2021_effect good2021_effect_ci_low good2021_effect_ci_high
    """,
}
TOTALS = {"all", "default", "total"}
REDUCE_STEPS = {
    *(
        "atlas",
        "cells",
        "samples",
        "microenvironment",
        "clone_table",
        "antigens",
        "figures",
        "programmes",
    ),
    "car_t",
    *("suppression", "interactions", "composition_shifts", "page"),
}


def test_a_bare_call_from_the_root_plans_jobs(finished):
    """The root's Snakefile must repeat the default target: an include alone plans nothing."""
    assert finished.planned("--forceall")["library"] == 4


def test_every_output_is_there(finished):
    for name in (
        "tables/cells.parquet",
        "tables/samples.tsv",
        "tables/microenvironment.tsv",
        "tables/suppression.tsv",
        "tables/interactions.tsv",
        "tables/course.tsv",
        "course/salvage_comparison.tsv",
        "tables/detection.tsv",
        "clones/normal_plasma.npz",
        "patients/H1/clones.json",
        "figures/manifest.tsv",
        "figures/figures.tsv",
        "report/index.html",
        "report/methods.md",
        "report/patients/P1.html",
        "atlas/bundle",
        "run_manifest.json",
    ):
        assert (finished.results / name).exists(), name
    panels = pd.read_csv(finished.results / "figures/manifest.tsv", sep="\t")
    for panel in panels["panel"]:
        for name in (f"figures/{panel}.svg", f"figures/{panel}.png", f"source_data/{panel}.csv"):
            assert (finished.results / name).stat().st_size, name


def test_cells_hold_every_barcode_and_the_contracts_columns(finished, tiny_cohort):
    cells = pd.read_parquet(finished.results / "tables/cells.parquet")
    assert list(CELL_COLUMNS) == CONTRACT_CELL_COLUMNS
    scores = [name for name in cells.columns if name.startswith("exhaustion_")]
    assert scores == [f"exhaustion_{n}" for n in ("good2021", "chu2023", "wherry2007", "cartex")]
    place = CONTRACT_CELL_COLUMNS.index("cycling") + 1
    expected = [*CONTRACT_CELL_COLUMNS[:place], *scores, *CONTRACT_CELL_COLUMNS[place:]]
    assert list(cells.columns[: len(expected)]) == expected
    assert set(cells["car_status"]) <= {"detected", "not_detected", "not_assessable"}
    assert set(cells["phase"]) <= {"G1", "S", "G2M"}
    assert cells.loc[cells["lineage"] != "T", scores].isna().all(axis=None)
    n_barcodes = 0
    for matrix in tiny_cohort.glob("matrices/*/filtered_feature_bc_matrix.h5"):
        with h5py.File(matrix) as file:
            n_barcodes += len(file["matrix/barcodes"])
    assert len(cells) == n_barcodes
    assert not cells.duplicated(["sample_id", "barcode"]).any()
    assert (cells.loc[~cells["qc_pass"], "qc_reason"] != "").all()
    assert (cells.loc[cells["qc_pass"], "qc_reason"] == "").all()


def test_truth_is_found_well_enough(finished, tiny_cohort):
    """A whole run is right on its own cohort: a swapped column anywhere would show."""
    cells = pd.read_parquet(finished.results / "tables/cells.parquet")
    truth = pd.read_parquet(tiny_cohort / "truth/cells.parquet")
    both = truth.merge(cells, on=["sample_id", "barcode"], suffixes=("_true", ""))
    good = both[(both["quality"] == "live") & ~both["doublet"] & both["qc_pass"]]
    assert len(good) > 400
    assert (good["lineage"] == good["lineage_true"]).mean() > 0.9
    on_map = good["umap_1"].notna()
    assert on_map.mean() > 0.4
    assert not good.loc[on_map, "lineage"].isin(["Plasma", "Erythroid", "Unknown"]).any()


@pytest.mark.parametrize("table", CONTRACT_MOLECULAR_COLUMNS)
def test_clones_and_molecules_have_the_contracts_columns_and_rows(finished, table):
    found = pd.read_csv(finished.results / f"tables/{table}.tsv", sep="\t")
    columns = CONTRACT_MOLECULAR_COLUMNS[table].split()
    assert list(found.columns[: len(columns)]) == columns
    assert "P1" in set(found["patient_id"])


def test_the_clone_came_back_and_its_cells_are_in_the_table(finished, tiny_cohort):
    cells = pd.read_parquet(finished.results / "tables/cells.parquet")
    truth = pd.read_parquet(tiny_cohort / "truth/cells.parquet")
    both = truth.merge(cells, on=["sample_id", "barcode"], suffixes=("_true", ""))
    good = both[(both["quality"] == "live") & ~both["doublet"] & both["qc_pass"]]
    called = good["malignancy"] == "malignant"
    assert good["malignant"].sum() > 50
    assert (called & good["malignant"]).sum() / good["malignant"].sum() > 0.8
    assert (called & good["malignant"]).sum() / called.sum() > 0.95
    assert not called[good["patient_id"] == "H1"].any()
    clones = pd.read_csv(finished.results / "tables/clones.tsv", sep="\t")
    assert set(clones["patient_id"]) == {"P1"}
    returned = clones[clones["is_relapse_clone"]]
    assert list(returned["timepoint"]) == ["relapse"]
    assert list(returned["light_chain"]) == ["kappa"]
    counted = cells[cells["clone_id"].notna()].groupby(["sample_id", "clone_id"]).size()
    for row in clones.to_dict("records"):
        assert counted.get((row["sample_id"], row["clone_id"]), 0) == row["n_cells"]
    page = (finished.results / "report/patients/P1.html").read_text()
    said = f"malignant plasma cells are of clone {returned['clone_id'].iloc[0]}"
    assert said in re.sub(r"<[^>]+>", "", page)


def test_the_failed_library_is_named_and_left_out(finished):
    samples = pd.read_csv(finished.results / "tables/samples.tsv", sep="\t").set_index("sample_id")
    assert list(samples.reset_index().columns[: len(CONTRACT_SAMPLE_COLUMNS)]) == (
        CONTRACT_SAMPLE_COLUMNS
    )
    assert list(SAMPLE_COLUMNS[: len(CONTRACT_SAMPLE_COLUMNS)]) == CONTRACT_SAMPLE_COLUMNS
    assert (samples["verdict"] == "fail").sum() == 1
    failed = samples.index[samples["verdict"] == "fail"][0]
    assert "remission" in failed
    assert samples.loc[failed, "reason"]
    cells = pd.read_parquet(finished.results / "tables/cells.parquet")
    of_failed = cells[cells["sample_id"] == failed]
    assert len(of_failed) and not of_failed["qc_pass"].any()
    assert of_failed["qc_reason"].str.contains("failed_library").all()
    composition = pd.read_csv(finished.results / "tables/microenvironment.tsv", sep="\t")
    assert failed not in set(composition["sample_id"])
    assert failed in (finished.results / "report/index.html").read_text()


def test_composition_is_that_of_the_cells(finished):
    cells = pd.read_parquet(finished.results / "tables/cells.parquet").query("qc_pass")
    composition = pd.read_csv(finished.results / "tables/microenvironment.tsv", sep="\t")
    for sample_id, rows in composition.groupby("sample_id"):
        assert rows["n_cells"].sum() == (cells["sample_id"] == sample_id).sum()
        assert rows["fraction"].sum() == pytest.approx(1, abs=1e-4)


def test_the_course_is_that_of_the_cohort(finished):
    """The plan of the tiny cohort: CR on CAR-T, progression on day 364."""
    course = pd.read_csv(finished.results / "tables/course.tsv", sep="\t")
    assert list(course.columns[: len(CONTRACT_COURSE_COLUMNS)]) == CONTRACT_COURSE_COLUMNS
    (line,) = course[course["therapy_class"] == "car_t"].to_dict("records")
    assert (line["patient_id"], line["best_response"]) == ("P1", "CR")
    assert line["progression_day"] == 364
    page = (finished.results / "report/patients/P1.html").read_text()
    said = re.sub(r"<[^>]+>", "", page)
    assert re.search(r"progression on day 364 \(month 12\), confirmed", said)


def test_a_changed_lab_value_reruns_the_course_and_what_shows_it(finished):
    labs = finished.folder / "cohort/clinical/labs.tsv"
    text, before = labs.read_text(), labs.stat()
    try:
        labs.write_text(text.replace("3.4", "3.5"))
        planned = finished.planned()
    finally:
        labs.write_text(text)
        os.utime(labs, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert text != text.replace("3.4", "3.5")
    assert set(planned) - TOTALS == {"course", "antigens", "answers", "figures", "page"}
    assert finished.planned() == {}


def test_the_manifest_says_how_the_run_ended(finished):
    manifest = json.loads((finished.results / "run_manifest.json").read_text())
    assert manifest["state"] == "succeeded"
    assert manifest["started"] <= manifest["ended"]
    assert manifest["threads"]["OMP_NUM_THREADS"] == "1"


def test_jobs_used_what_their_models_say(finished):
    """Memory within a factor of 2, jobs under 200 MB apart; requests enough for what was used.

    Of CPU time only that the request was enough: a busy machine tells nothing more.
    """
    checked = check_inputs(finished.sheet)
    of_patient = {
        patient: total_size(checked.sizes[sample] for sample in samples)
        for patient, samples in libraries_by_patient(checked.libraries).items()
    }
    everything = total_size(checked.sizes.values())
    benchmarks = [*(finished.results / "benchmarks").rglob("*.tsv")]
    assert len(benchmarks) > 20
    for path in benchmarks:
        of_one = path.parent.name != "benchmarks"
        rule, job = (path.parent.name, path.stem) if of_one else (path.stem, "")
        size = {**checked.sizes, **of_patient, "": everything}[job]
        used = pd.read_csv(path, sep="\t").iloc[0]
        model, asks = model_of(rule, size), request(rule, size)
        assert asks.mem_mb >= used["max_rss"], path
        assert asks.runtime * 60 >= used["cpu_time"], path
        assert model.memory(size) < 2 * max(used["max_rss"], 200), path
        assert model.memory(size) > used["max_rss"] / 2, path


def test_a_finished_run_runs_nothing_again(finished):
    assert finished.planned() == {}


def rename_barcodes(folder):
    """Give a copied library other barcodes: the same library twice is refused."""
    other = bytes.maketrans(b"ACGT", b"CGTA")
    for name in ("filtered_feature_bc_matrix.h5", "raw_feature_bc_matrix.h5"):
        with h5py.File(folder / name, "r+") as file:
            barcodes = file["matrix/barcodes"]
            barcodes[:] = [barcode.translate(other) for barcode in barcodes[:]]


def test_a_new_row_runs_its_library_and_the_reduce_steps_only(finished, tmp_path):
    sheet = finished.sheet.read_text()
    first = sheet.splitlines()[1]
    copied = finished.folder / "cohort/matrices/H9"
    shutil.copytree(finished.folder / "cohort/matrices" / first.split("\t")[0], copied)
    rename_barcodes(copied)
    row = first.replace(first.split("\t")[0], "H9").replace(
        f"\t{first.split(chr(9))[1]}\t", "\tH9\t"
    )
    try:
        finished.sheet.write_text(sheet + row + "\n")
        planned = finished.planned()
    finally:
        finished.sheet.write_text(sheet)
        shutil.rmtree(copied)
    assert planned.pop("library") == 1
    assert set(planned) >= {*REDUCE_STEPS, "normal_plasma"}
    assert planned["clones"] == 3
    assert "course" not in planned


def test_a_sheet_that_changes_during_a_run_waits_for_the_next(fresh):
    """Every job's process reads the workflow again, and must not read half an edit."""
    sheet = fresh.sheet.read_text()
    summary = f"{fresh.results_name}/libraries/H1_healthy/library.json"
    with subprocess.Popen(
        fresh.command("--", summary), cwd=fresh.folder, stderr=subprocess.PIPE, text=True
    ) as run:
        while run.poll() is None and not (fresh.results / KEPT).exists():
            time.sleep(0.005)
        fresh.sheet.write_text("half an edi")
        told = run.communicate(timeout=300)[1]
    assert run.returncode == 0, told
    assert "[libraries 1 of 4 done] H1_healthy: pass" in told
    manifest = json.loads((fresh.results / "run_manifest.json").read_text())
    assert manifest["sheet_sha256"] == hashlib.sha256(sheet.encode()).hexdigest()
    assert not (fresh.results / KEPT).exists()


def test_a_new_patient_leaves_the_others_clones_alone(finished):
    sheet = finished.sheet.read_text()
    (relapse,) = [line for line in sheet.splitlines() if "\trelapse\t" in line]
    sample = relapse.split("\t")[0]
    copied = finished.folder / "cohort/matrices/P9"
    shutil.copytree(finished.folder / "cohort/matrices" / sample, copied)
    rename_barcodes(copied)
    row = relapse.replace(sample, "P9").replace("\tP1\t", "\tP9\t")
    try:
        finished.sheet.write_text(sheet + row + "\n")
        planned = finished.planned()
    finally:
        finished.sheet.write_text(sheet)
        shutil.rmtree(copied)
    assert [planned[rule] for rule in ("library", "clones", "molecules")] == [1, 1, 1]
    assert set(planned) >= REDUCE_STEPS
    assert "normal_plasma" not in planned


@pytest.mark.parametrize(
    ("change", "untouched"),
    [
        ("report={map_points: 500}", {"library", "atlas", "cells", "clones", "antigens"}),
        ("atlas={resolution: 0.5}", {"library", "clones", "molecules"}),
        ("antigens={min_cells: 6}", {"library", "atlas", "clones", "cells"}),
        ("clones={bootstraps: 5}", {"library", "atlas", "normal_plasma"}),
    ],
)
def test_a_changed_setting_reruns_what_depends_on_it(finished, change, untouched):
    planned = finished.planned("--config", change)
    assert planned
    assert not untouched & set(planned)


def test_inputs_put_back_with_an_older_time_rerun_what_reads_them(finished):
    matrix = finished.folder / "cohort/matrices/P1_relapse/filtered_feature_bc_matrix.h5"
    labs = finished.folder / "cohort/clinical/labs.tsv"
    before = {path: path.stat() for path in (matrix, labs)}
    try:
        for path in before:
            os.utime(path, (10, 10))
        planned = finished.planned()
    finally:
        for path, known in before.items():
            os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert (planned["library"], planned["course"]) == (1, 1)
    assert finished.planned() == {}


def test_every_rule_depends_on_the_number_of_numeric_threads(finished):
    planned = finished.planned("--config", "numeric_threads=2")
    assert (planned["library"], planned["clones"]) == (4, 2)
    assert {"atlas", "course", "figures", "page"} <= set(planned)


def test_a_sheet_that_was_only_touched_reruns_nothing(finished):
    os.utime(finished.sheet)
    assert finished.planned() == {}


def table_bytes(results: Path) -> dict[str, str]:
    """Return the hash of every file that must not differ between runs."""
    folders = ("tables", "course", "figures", "source_data", "report", "atlas", "libraries")
    folders += ("patients", "clones")
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted((results / folder).rglob("*"))
        if path.is_file()
    }


def test_one_core_and_two_give_the_same_bytes(finished, fresh):
    run = fresh.snakemake(cores=1)
    assert run.returncode == 0, run.stderr[-3000:]
    first, second = table_bytes(finished.results), table_bytes(fresh.results)
    assert len(first) > 60
    assert set(first) == set(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_an_interrupted_run_keeps_what_was_finished(fresh):
    process = subprocess.Popen(
        fresh.command(),
        cwd=fresh.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A test run in the background ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while len(list(fresh.results.glob("libraries/*/library.json"))) < 2:
        assert process.poll() is None, "ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    done = {
        path: path.stat().st_mtime_ns for path in fresh.results.glob("libraries/*/cells.parquet")
    }
    assert 1 <= len(done) < 4
    manifest = json.loads((fresh.results / "run_manifest.json").read_text())
    assert manifest["state"] == "failed"
    assert manifest["started"] <= manifest["ended"]
    planned = fresh.planned()
    assert 1 <= planned["library"] <= 4 - 1
    run = fresh.snakemake("--until", "library")
    assert run.returncode == 0, run.stderr[-3000:]
    kept = [path for path, at in done.items() if path.stat().st_mtime_ns == at]
    assert len(kept) >= 1


def test_a_run_whose_job_fails_leaves_its_manifest(fresh):
    fresh.results.mkdir()
    (fresh.results / "course").write_text("a file where the course has its folder")
    run = fresh.snakemake("--until", "course")
    assert run.returncode == 1
    manifest = json.loads((fresh.results / "run_manifest.json").read_text())
    assert manifest["state"] == "failed"
    assert manifest["started"] <= manifest["ended"]
    assert manifest["seed"] == 1
    for name in ("config_sha256", "settings_sha256", "sheet_sha256", "lock_sha256"):
        assert re.fullmatch("[0-9a-f]{64}", manifest[name]), name
    assert set(manifest["clinical_sha256"]) == {"labs.tsv", "patients.tsv", "therapies.tsv"}
    assert manifest["processor"] and manifest["git_commit"] and manifest["versions"]["numpy"]


def test_a_matrix_that_breaks_after_the_check_fails_alone(fresh):
    """The check samples a file's places of entries; a wrong one shows only when all is read."""
    sample_ids = [row.split("\t")[0] for row in fresh.sheet.read_text().splitlines()[1:]]
    broken = sample_ids[1]
    matrix = fresh.folder / "cohort/matrices" / broken / "filtered_feature_bc_matrix.h5"
    with h5py.File(matrix, "r+") as file:
        indices = file["matrix/indices"]
        indices[indices.shape[0] // 2] = np.iinfo(np.int32).max
    run = fresh.snakemake()
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Traceback" not in run.stdout + run.stderr
    samples = pd.read_csv(fresh.results / "tables/samples.tsv", sep="\t").set_index("sample_id")
    assert samples.loc[broken, "verdict"] == "fail"
    assert "filtered_feature_bc_matrix.h5" in samples.loc[broken, "reason"]
    cells = pd.read_parquet(fresh.results / "tables/cells.parquet")
    assert set(cells["sample_id"]) == set(sample_ids) - {broken}
    assert cells["qc_pass"].any()
    assert broken in (fresh.results / "report/index.html").read_text()
    for log in fresh.results.glob("logs/**/*.log"):
        assert "Warning" not in log.read_text(), log


def test_a_bad_sheet_stops_before_the_first_job(fresh):
    text = fresh.sheet.read_text().replace("\tpre_infusion\t", "\tbefore\t")
    fresh.sheet.write_text(text)
    run = fresh.snakemake()
    assert run.returncode == 1
    assert "timepoint" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert not fresh.results.exists()


def test_a_misspelt_setting_is_explained(fresh):
    run = fresh.snakemake("--config", "quality={min_count: 5}")
    assert run.returncode == 1
    assert "config quality.min_count: unknown key; did you mean `min_counts`?" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert not fresh.results.exists()


def test_snakemakes_own_report_is_made(finished):
    page = finished.folder / "snakemake.html"
    run = finished.snakemake("--report", str(page))
    assert run.returncode == 0, run.stderr[-3000:]
    text = page.read_text()
    panels = pd.read_csv(finished.results / "figures/manifest.tsv", sep="\t")["panel"]
    assert [panel for panel in panels if f"{panel}.svg" not in text] == []


def test_every_column_that_is_written_is_in_the_dictionary_with_its_type(finished):
    found = {}
    for path in sorted((finished.results / "tables").glob("*.tsv")):
        found[path.stem] = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    cells = pd.read_parquet(finished.results / "tables/cells.parquet")
    found["cells"] = cells.astype("string").fillna("").astype(object)
    assert len(found) > 20
    wrong = []
    for table, frame in found.items():
        for name in frame.columns:
            column = described(table, name)
            if column is None:
                wrong.append(f"{table} {name}: add it to resources/columns.tsv and run `make docs`")
                continue
            given = frame[name][frame[name] != ""]
            logical = given.str.upper().isin(["TRUE", "FALSE"])
            if len(given) and logical.all() != (column.type == "logical"):
                wrong.append(f"{table} {name}: {given.iloc[0]} is not {column.type}")
            if column.type in ("integer", "number"):
                numbers = pd.to_numeric(given, errors="coerce")
                if numbers.isna().any() or (column.type == "integer" and (numbers % 1 != 0).any()):
                    wrong.append(f"{table} {name}: {given.iloc[0]} is not {column.type}")
    assert wrong == []


def test_the_cellxgene_file_opens(finished):
    import anndata

    run = finished.snakemake("--config", "cellxgene=true")
    assert run.returncode == 0, run.stderr[-3000:]
    cohort = anndata.read_h5ad(finished.results / "cellxgene/cohort.h5ad")
    cells = pd.read_parquet(finished.results / "tables/cells.parquet").query("qc_pass")
    assert cohort.n_obs == len(cells)
    assert list(cohort.obs["barcode"]) == list(cells["barcode"])
    totals = np.asarray(cohort.layers["counts"].sum(axis=1)).ravel()
    np.testing.assert_array_equal(totals, cells["total_counts"].to_numpy())


# Python runs it in every process: steps fail where they have something to do.
FAILING = """
from relapsescope.atlas import jobs as atlas
from relapsescope.microenvironment import jobs as microenvironment
from relapsescope.t_cells import jobs as t_cells


def failing(real):
    def fails(job):
        if job.inputs.get("counts") or job.params.get("rows"):
            raise ValueError("made to fail <here>")
        real(job)

    return fails


atlas.atlas = failing(atlas.atlas)
microenvironment.suppression = failing(microenvironment.suppression)

real_states = t_cells.t_cell_states


def t_cell_states(job):
    if "/P1/" in job.outputs["states"] and job.inputs["cells"][0].startswith("results"):
        raise ValueError("made to fail <here>")
    real_states(job)


t_cells.t_cell_states = t_cell_states
"""


def test_what_does_not_need_a_failed_step_still_comes(finished, tmp_path, monkeypatch):
    """The atlas, a table and a patient's step fail: the rest is there, and a page that says so."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    copy = replace(finished, folder=folder)
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        again = ("--forcerun", "atlas", "t_cell_states")
        run = copy.snakemake("--rerun-triggers", "mtime", *again, cores=2)
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()
    (line,) = [line for line in last if line.startswith("3 steps failed: atlas (ValueError: ")]
    assert "suppression (ValueError: made to fail <here>; details: " in line
    assert "t_cell_states: P1 (ValueError: made to fail <here>; details: " in line
    for name in ("clones", "antigens", "course", "microenvironment", "mechanisms"):
        assert len((copy.results / f"tables/{name}.tsv").read_text().splitlines()) > 1, name
    cells = pd.read_parquet(copy.results / "tables/cells.parquet")
    assert cells["umap_1"].isna().all()
    assert cells["clone_id"].notna().any()
    for page in ("index.html", "patients/P1.html"):
        text = (copy.results / "report" / page).read_text()
        assert "atlas (ValueError: made to fail &lt;here&gt;; details: " in text
        assert "t_cell_states: P1 (ValueError: made to fail &lt;here&gt;; details: " in text
    # A stand-in looks like a patient without cells: of P1 nothing is decided.
    mechanisms = pd.read_csv(copy.results / "tables/mechanisms.tsv", sep="\t")
    of_p1 = mechanisms[mechanisms["patient_id"] == "P1"]
    assert len(of_p1) and set(of_p1["verdict"]) == {"NOT_ASSESSABLE"}
    assert of_p1["evidence"].str.contains("t_cell_states failed in this run").all()
    assert "What they show" not in (copy.results / "report/patients/P1.html").read_text()
    assert set(cells.loc[cells["t_cell_state"].notna(), "patient_id"]) == {"H1"}
    assert not (copy.results / "patients/P1/t_cell_states.parquet").exists()
    assert (copy.results / "patients/H1/t_cell_states.parquet").exists()
    assert json.loads((copy.results / "run_manifest.json").read_text())["state"] == "failed"
    assert not (copy.results / "atlas/embedding.parquet").exists()
    planned = copy.planned("--rerun-triggers", "mtime")
    assert {"atlas", "suppression", "cells", "page"} <= planned.keys()
    assert copy.planned()["t_cell_states"] == 1
    assert not {"clones", "library", "antigens"} & planned.keys()


def test_a_limit_of_the_verdicts_counts_no_molecule_again(finished):
    planned = finished.planned("--config", "antigens={lost_below: 0.11}")
    assert {"antigens", "answers"} <= planned.keys()
    assert not {"library", "clones", "molecules", "programmes"} & planned.keys()


# Columns by the gene sets that the configuration names, and by the arms of the genome.
VARYING = re.compile(r"exhaustion_.*|(wherry2007|cartex)_.*|\d+[pq]")


def columns_of(path):
    """Return the columns of a table, or the keys of a file of JSON, but those that vary."""
    if path.suffix == ".parquet":
        names = pq.read_schema(path).names
    elif path.suffix == ".json":
        names = json.loads(path.read_text())
    else:
        names = path.read_text().split("\n", 1)[0].split("\t")
    return sorted(name for name in names if not VARYING.fullmatch(name))


def test_the_small_run_that_other_tests_read_holds_what_a_run_writes(finished, tmp_path):
    """A made table that fills what no run writes, or lacks what it does, would hide a fault."""
    write_results(tmp_path)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert len(made) > 40
    for path in made:
        # Of its libraries and patients any will do that were judged.
        judged = {"libraries": "P1_relapse", "patients": "P1"}.get(path.parts[0], path.parts[1])
        real = finished.results.joinpath(path.parts[0], judged, *path.parts[2:])
        assert columns_of(tmp_path / path) == columns_of(real), path
