"""What is listed for a relapse clone, and what never is; the two jobs on simulated patients."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from relapsescope.antigens.files import MOLECULE_FILES
from relapsescope.antigens.tables import write_molecular_tables
from relapsescope.antigens.tallies import tally_molecules
from relapsescope.antigens.targets import (
    COLUMNS,
    NO_EARLIER_LINE,
    agents_text,
    off_tumour,
    prior_exposure,
    read_caveats,
    read_targets,
    target_rows,
)
from relapsescope.libraries.library import process_library
from relapsescope.paths import RESOURCES
from relapsescope.run.config_file import default_values

from ..cohorts.molecule_cohort import CLONES, group, molecules

REPOSITORY = RESOURCES.parent
CONFIG = default_values()
ALPHA = REPOSITORY.parent / "shared" / "data" / "cohorts" / "alpha"
OUTPUTS = ("antigens", "anxa1", "targets", "anxa1_untreated", "detection")


def target(verdict, therapies=(), **further):
    """Return the row of `targets.tsv` for BCMA in a relapse clone with this verdict."""
    row = {"patient_id": "P", "sample_id": "relapse", "clone_id": "B", "antigen": "TNFRSF17"}
    cohort = molecules(group("relapse", "clone", "B", "TNFRSF17", 0))
    (found,) = target_rows(
        cohort,
        CLONES,
        [row | {"verdict": verdict, "needed_umi": 240.2} | further],
        read_targets(),
        caveats=read_caveats(),
        therapies={"P": therapies},
    )
    return found


def test_every_agent_has_a_source_and_dates_belong_to_approvals():
    table = read_targets()
    assert (table["source"] != "").all()
    assert set(table["status"]) == {"approved", "investigational"}
    dated = table[table["approved_on"] != ""]
    assert (dated["status"] == "approved").all()
    assert all(re.fullmatch(r"\d{4}(-\d\d){0,2}", day) for day in dated["approved_on"])
    assert not table.duplicated(["antigen", "agent"]).any()


def test_every_agent_says_when_its_source_was_read_and_what_status_it_gives():
    table = read_targets()
    assert table["read_in"].str.fullmatch(r"20\d\d-(0[1-9]|1[0-2])").all()
    approved = table["status"] == "approved"
    assert (table.loc[approved, "status_read"] == "approved").all()
    assert not table.loc[~approved, "status_read"].isin(["", "approved"]).any()
    assert (table["approved_on"].str[:7] <= table["read_in"]).all()
    agents = {"anitocabtagene autoleucel", "arlocabtagene autoleucel", "cevostamab"}
    assert agents <= set(table.loc[~approved, "agent"])


def test_caveats_are_cited_and_told_only_where_the_antigen_is_not_lost():
    caveats = read_caveats()
    assert set(caveats) <= set(CONFIG["antigens"]["genes"])
    assert "gamma-secretase" in caveats["TNFRSF17"] and "Blood 2024;144:2637" in caveats["TNFRSF17"]
    for verdict, told in (("RETAINED", True), ("LOST", False)):
        assert ("gamma-secretase" in target(verdict)["note"]) == told


def test_agents_are_unranked_and_named_with_their_status():
    told = agents_text("TNFRSF17", read_targets())
    names = [part.split(" (")[0] for part in told.split("; ") if "approved" not in part[:9]]
    names = [name for name in names if name in set(read_targets()["agent"])]
    assert names == sorted(names)


def test_agents_are_named_with_their_status():
    agents = read_targets()
    assert "teclistamab" in agents_text("TNFRSF17", agents)
    assert agents_text("SDC1", agents) == "none listed in resources/targets.tsv"


@pytest.mark.parametrize(
    ("verdict", "group"),
    [
        ("RETAINED", "shown"),
        ("REDUCED", "lost_or_reduced"),
        ("LOST", "lost_or_reduced"),
        ("INDETERMINATE", "undecided"),
    ],
)
def test_agents_are_named_against_what_is_shown_and_nothing_else(verdict, group):
    found = target(verdict)
    assert found["group"] == group
    assert ("teclistamab" in found["agents"]) == (group == "shown")
    assert ("not listed" in found["note"]) == (group != "shown")
    if group != "shown":
        text = json.dumps(found)
        assert all(agent not in text for agent in read_targets()["agent"])


def test_what_would_decide_an_open_antigen_is_said_and_how_many_cells_show_another():
    assert "about 240 expected molecules would decide it" in target("INDETERMINATE")["note"]
    shown = target("RETAINED", retaining_share=0.93, retaining_share_ci_low=0.88)
    assert shown["retaining_share"] == 0.93
    assert shown["note"].startswith("shown by at least 88 % of the cells; ")


def line(number, kind, target="", start="", end="", regimen=""):
    return {
        "line": number,
        "therapy_class": kind,
        "target": target,
        "start_day": start,
        "end_day": end,
        "regimen": regimen,
    }


LINES = [
    line("1", "imid", start="-900", end="-600", regimen="Rd"),
    line("2", "cd38_antibody", start="-500", end="-200", regimen="DPd"),
    line("3", "car_t", "TNFRSF17", "0"),
    line("4", "bispecific", "GPRC5D", "400", "520", "talquetamab"),
]


def test_lines_of_the_same_target_and_of_the_same_class_stand_beside_the_agents():
    agents = read_targets()
    assert prior_exposure("TNFRSF17", agents, LINES) == (
        "line 3: CAR-T against BCMA (TNFRSF17), from day 0; "
        "line 4: bispecific (talquetamab) against GPRC5D, day 400 to 520, the same class"
    )
    assert prior_exposure("CD38", agents, LINES) == "line 2: CD38 antibody (DPd), day -500 to -200"
    assert prior_exposure("SLAMF7", agents, LINES) == NO_EARLIER_LINE
    assert prior_exposure("SLAMF7", agents, []) == ""


def test_only_relapse_clones_have_rows_and_notes_say_what_not_to_conclude():
    rows = [
        {"patient_id": "P", "sample_id": "relapse", "clone_id": clone, "antigen": "TNFRSF17"}
        | {"verdict": verdict}
        for clone, verdict in (("A", "RETAINED"), ("B", "LOST"), ("all_malignant", "REDUCED"))
    ]
    cohort = molecules(group("relapse", "clone", "B", "TNFRSF17", 0))
    (row,) = target_rows(cohort, CLONES, rows, read_targets(), caveats=read_caveats(), therapies={})
    assert tuple(row) == COLUMNS
    assert (row["clone_id"], row["agents"]) == ("B", "")
    assert "lost in this clone" in row["note"] and "not advice" in row["note"]
    text = json.dumps(row)
    assert all(agent not in text for agent in read_targets()["agent"])


def test_other_cells_that_express_the_antigen_are_named_with_their_rate():
    cohort = molecules(
        group("relapse", "cell_type", "NK", "SLAMF7", 100),
        group("relapse", "cell_type", "CD4 T", "SLAMF7", 20, ambient=20.0, ambient_sd=3.0),
        group("relapse", "cell_type", "pDC", "SLAMF7", 50, n_cells=10),
        group("relapse", "normal_plasma", "", "SLAMF7", 200),
    )
    told = off_tumour(cohort, "relapse", "SLAMF7")
    assert told.startswith("normal plasma cells 200 per million (")
    assert "NK 100 per million (" in told
    assert "CD4 T" not in told and "pDC" not in told
    assert off_tumour(cohort, "relapse", "CD38").startswith("none of the 0 other cell types")


def course_table(folder, lines=()):
    """Return the path of a `course.tsv` with these lines of patient A01."""
    columns = ["patient_id", *line("", "")]
    table = pd.DataFrame([{"patient_id": "A01"} | one for one in lines], columns=columns)
    table.to_csv(folder / "course.tsv", sep="\t", index=False)
    return str(folder / "course.tsv")


def test_a_cohort_without_a_usable_library_has_empty_tables(tmp_path):
    summary = tmp_path / "library.json"
    summary.write_text(json.dumps({"verdict": "fail"}), encoding="utf-8")
    failed = {"sample_id": "S", "patient_id": "P", "timepoint": "relapse", "tissue": "bone_marrow"}
    tallies = {name: str(tmp_path / f"{name}.parquet") for name in MOLECULE_FILES}
    outputs = {name: str(tmp_path / f"{name}.tsv") for name in OUTPUTS}
    tally_molecules(
        [failed | {"summary": str(summary)}],
        clone_cells_path=None,
        outputs=tallies,
        settings=CONFIG,
    )
    write_molecular_tables(
        molecules_paths=[tallies["molecules"]],
        counted_cells_paths=[tallies["counted_cells"]],
        pooled_paths=[tallies["pooled"]],
        clones_paths=[],
        course_path=course_table(tmp_path),
        outputs=outputs,
        settings=CONFIG,
    )
    assert all(len(pd.read_csv(path, sep="\t")) == 0 for path in outputs.values())
    assert list(pd.read_csv(outputs["targets"], sep="\t").columns) == list(COLUMNS)


@pytest.mark.real
def test_the_simulated_relapse_lost_its_antigen_and_gained_anxa1(tmp_path):
    """Patient A01 of the cohort alpha: the truth's clones, our own library jobs."""
    if not ALPHA.is_dir():
        pytest.skip("../shared/data/cohorts/alpha is absent")
    cells = pd.read_parquet(ALPHA / "truth" / "cells.parquet")
    plasma = cells[(cells["patient_id"] == "A01") & (cells["lineage"] == "Plasma")]
    calls = plasma[["sample_id", "barcode"]].assign(
        malignancy=np.where(plasma["malignant"], "malignant", "normal"),
        clone_id=plasma["clone"].where(plasma["malignant"], None),
    )
    calls.to_parquet(tmp_path / "calls.parquet")
    libraries = []
    for sample, timepoint in (("A01_pre_infusion", "pre_infusion"), ("A01_relapse", "relapse")):
        folder = ALPHA / "matrices" / sample
        matrices = {
            "matrix": str(folder / "filtered_feature_bc_matrix.h5"),
            "raw_matrix": str(folder / "raw_feature_bc_matrix.h5"),
        }
        row = {"sample_id": sample, "patient_id": "A01", "timepoint": timepoint}
        paths = {
            name: str(tmp_path / sample / file)
            for name, file in (
                ("counts", "counts.h5"),
                ("cells", "cells.parquet"),
                ("genes", "genes.parquet"),
                ("summary", "library.json"),
            )
        }
        process_library(
            row | matrices,
            **{f"{name}_path": path for name, path in paths.items()},
            settings=CONFIG,
        )
        libraries.append(row | {"tissue": "bone_marrow"} | paths)
    tallies = {name: str(tmp_path / f"{name}.parquet") for name in MOLECULE_FILES}
    tally_molecules(
        libraries,
        clone_cells_path=str(tmp_path / "calls.parquet"),
        outputs=tallies,
        settings=CONFIG,
    )
    outputs = {name: str(tmp_path / f"{name}.tsv") for name in OUTPUTS}
    write_molecular_tables(
        molecules_paths=[tallies["molecules"]],
        counted_cells_paths=[tallies["counted_cells"]],
        pooled_paths=[tallies["pooled"]],
        clones_paths=[str(ALPHA / "truth" / "clones.tsv")],
        course_path=course_table(tmp_path, LINES),
        outputs=outputs,
        settings=CONFIG,
    )
    antigens = pd.read_csv(outputs["antigens"], sep="\t")
    relapse = antigens[(antigens["sample_id"] == "A01_relapse") & (antigens["clone_id"] == "B")]
    verdicts = relapse.set_index("antigen")["verdict"]
    assert verdicts["TNFRSF17"] == "LOST"
    assert (verdicts.drop("TNFRSF17") != "LOST").all()
    assert verdicts[["GPRC5D", "FCRL5", "SLAMF7", "SDC1", "CD38"]].eq("RETAINED").all()
    anxa1 = pd.read_csv(outputs["anxa1"], sep="\t").query("sample_id == 'A01_relapse'")
    high = anxa1.set_index("compartment")["verdict"]
    assert high["relapse_clone"] == "HIGH"
    assert (high[["T", "Monocyte"]] == "NOT_HIGH").all()
    targets = pd.read_csv(outputs["targets"], sep="\t", keep_default_na=False)
    lost = targets[(targets["antigen"] == "TNFRSF17") & (targets["clone_id"] == "B")]
    assert list(lost["agents"]) == [""]
    assert list(lost["group"]) == ["lost_or_reduced"]
    assert lost["prior_exposure"].str.contains("CAR-T against BCMA", regex=False).all()
    assert float(relapse.set_index("antigen")["retaining_share_ci_high"]["TNFRSF17"]) < 0.05
    detection = pd.read_csv(outputs["detection"], sep="\t")
    assert detection["detected_fraction"].between(0, 1).all()
