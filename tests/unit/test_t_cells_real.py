"""Receptors and states on real CAR-T cells (carpall), against the authors' labels."""

import numpy as np
import pandas as pd
import pytest
from relapsescope.intake.contigs import read_contigs
from relapsescope.intake.matrix import read_counts
from relapsescope.paths import REPOSITORY
from relapsescope.t_cells.receptors import call_receptors
from relapsescope.t_cells.settings import StateSettings
from relapsescope.t_cells.states import call_states, read_states, state_scores

CARPALL = REPOSITORY.parent / "shared" / "data" / "carpall"
P02 = ("10593342", "10310322", "10310324", "10484037", "10310321", "11252627")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CARPALL.is_dir(), reason="needs ../shared/data/carpall"),
]


@pytest.fixture(scope="module")
def labels():
    table = pd.read_csv(CARPALL / "published_labels.csv.gz")
    table["barcode"] = table["cell"].str.split("_").str[1]
    return table[table["published_CART"]]


def test_clones_of_a_patient_are_found_again_in_later_samples():
    libraries = {
        name: read_contigs(CARPALL / f"VDJ/CAR-T{name}.csv", "tcr_contigs") for name in P02
    }
    called = call_receptors(libraries)
    table = pd.crosstab(called.clonotype, called.sample_id)
    assert ((table > 0).sum(axis=1) > 1).sum() >= 60
    # The largest clone is there from day 30 to day 450.
    assert (table.loc["T1", ["10593342", "10310322", "10310324", "10484037", "11252627"]] > 0).all()
    by_two = pd.Series(called.joined_by).value_counts(normalize=True)
    assert by_two["both_chains"] > 0.7
    # A clonotype has one beta chain but for cells with two.
    paired = called.joined_by == "both_chains"
    betas = [{c.cdr3_nt for c in own if c.locus == "TRB"} for own in called.chains]
    several = pd.Series(map(len, betas))[paired] > 1
    assert several.mean() < 0.05


def test_states_agree_with_the_authors_subsets(labels):
    name = "CAR-T10310322"
    counts = read_counts(CARPALL / f"GEX/{name}.h5")
    own = labels[(labels["sample"] == name)].set_index("barcode")["published_celltype"]
    place = {barcode: i for i, barcode in enumerate(counts.barcodes)}
    own = own[own.index.isin(place)]
    rows = np.array([place[barcode] for barcode in own.index])
    scores = state_scores(counts, read_states(), rows=rows, n_bins=25)
    settings = StateSettings(min_z=1.64, min_margin=0.5, expression_bins=25, receptor_depth=500)
    nobody = np.full(len(rows), "", dtype=object)
    state, _ = call_states(scores, nobody, np.zeros(len(rows), bool), settings=settings)
    table = pd.crosstab(own.to_numpy(), state, normalize="index")
    assert table.loc["CD8 TEM"].drop("undetermined").idxmax() == "effector_memory"
    assert table.loc["CD8 Naive/TCM"].drop("undetermined").idxmax() == "naive_central_memory"
    effectors = ["cytotoxic", "terminal_effector"]
    assert table.loc["CD8 CTL", effectors].sum() > 3 * table.loc["CD8 TEM", effectors].sum()
    assert table["terminally_exhausted"].max() < 0.15
