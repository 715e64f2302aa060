"""A cohort of CITE-seq through the workflow: RNA as without antibodies, and protein beside it."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from relapsescope.intake.matrix import read_counts
from relapsescope.simulate import simulate_cohort
from relapsescope.simulate.plan import read_plan

# As vendors write them; CD3, CD14 and CD45 are against no antigen.
PANEL = ("CD3", "CD14", "CD45", "CD269|TNFRSF17|AHS0103|pAbO", "CD38_HIT2_TotalSeqB")


# Cells, normal plasma cells (1: as a myeloma marrow has them) and share of malignant ones.
MARROWS = {"pre_infusion": (500, 30.0, 0.2), "relapse": (400, 0.0, 0.12)}


def emptied(plan):
    """Return a plan whose patient's normal plasma cells are gone at relapse."""

    def marrow(library):
        if library.timepoint not in MARROWS:
            return library
        cells, normal, malignant = MARROWS[library.timepoint]
        return replace(library, cells=cells, normal_plasma=normal, plasma=malignant)

    patients = (
        replace(one, libraries=tuple(marrow(library) for library in one.libraries))
        for one in plan.patients
    )
    return replace(plan, patients=tuple(patients))


@pytest.fixture(scope="module")
def cite_seq(tmp_path_factory, repository):
    plan = read_plan(repository / "tests/runs/plans/tiny.yaml")
    folder = tmp_path_factory.mktemp("cite") / "cohort"
    simulate_cohort(folder, plan=replace(plan, antibodies=PANEL), seed=3)
    return folder


def test_antibodies_stand_beside_the_same_genes(cite_seq, tiny_cohort):
    name = "matrices/P1_relapse/filtered_feature_bc_matrix.h5"
    plain, with_panel = read_counts(tiny_cohort / name), read_counts(cite_seq / name)
    assert (plain.matrix != with_panel.matrix).nnz == 0
    block = with_panel.blocks["Antibody Capture"]
    assert list(block.names) == list(PANEL)
    truth = pd.read_parquet(cite_seq / "truth/cells.parquet")
    truth = truth[truth["sample_id"] == "P1_relapse"].set_index("barcode")
    lineage = truth.loc[list(with_panel.barcodes), "lineage"].to_numpy()
    levels = block.matrix.toarray()
    for column, shown in ((0, "T"), (1, "Monocyte"), (3, "Plasma")):
        assert (
            levels[lineage == shown, column].mean() > 10 * levels[lineage == "HSPC", column].mean()
        )


def test_the_workflow_tells_of_protein_beside_rna_and_of_an_emptied_marrow(fresh, repository):
    shutil.rmtree(fresh.folder / "cohort")
    plan = replace(read_plan(repository / "tests/runs/plans/tiny.yaml"), antibodies=PANEL)
    simulate_cohort(fresh.folder / "cohort", plan=emptied(plan), seed=3)
    run = fresh.snakemake(cores=2)
    assert run.returncode == 0, run.stderr[-3000:]
    found = pd.read_csv(fresh.results / "tables/antigens.tsv", sep="\t")
    malignant = found[found["clone_id"] == "all_malignant"].set_index(["sample_id", "antigen"])
    shares = malignant["protein_fraction"]
    for sample in ("P1_pre_infusion", "P1_relapse"):
        assert shares[sample, "TNFRSF17"] > 0.9
        assert shares[sample, "CD38"] > 0.9
        assert np.isnan(shares[sample, "GPRC5D"])
    aplasia = pd.read_csv(fresh.results / "tables/aplasia.tsv", sep="\t").set_index("sample_id")
    assert aplasia.loc["P1_relapse", "verdict"] == "APLASIA"
    page = (fresh.results / "report/patients/P1.html").read_text()
    assert "In the marrow: plasma-cell aplasia in" in re.sub(r"<[^>]+>", "", page)
    cohort = (fresh.results / "report/index.html").read_text()
    assert "one is against BCMA (TNFRSF17) in each" in cohort
