"""Lineages and cell types: synthetic cells of known type, then real and simulated libraries."""

import csv
import dataclasses
import gzip
from types import SimpleNamespace

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.libraries.lineage import _flat_prior, _learned_prior, call_lineages
from relapsescope.libraries.markers import align_markers, read_markers
from relapsescope.libraries.neighbours import (
    Company,
    cells_together,
    company_of_lineages,
    nearest_cells,
    refine_types,
    share_composition,
)
from relapsescope.libraries.settings import LineageLimits
from relapsescope.libraries.state_model import Depth, marker_log_likelihood, update_rates
from relapsescope.paths import RESOURCES
from relapsescope.run.config_file import default_values
from relapsescope.vocabulary import CELL_TYPES, LINEAGES
from scipy import sparse

REPOSITORY = RESOURCES.parent
DATA = REPOSITORY.parent / "shared" / "data"
CONFIG = default_values()
LIMITS = LineageLimits(**CONFIG["lineage"])
JUDGED = judged_genes(CONFIG)

# Rates written by hand (UMI per million), not those of the table under test.
RATES = {
    "T": {"CD3D": 700, "CD3E": 600, "CD3G": 300, "TRAC": 600, "IL7R": 600, "LTB": 900, "CD4": 90,
          "TRBC2": 600, "IL32": 2500, "CD2": 500, "CD27": 200, "LCK": 200, "CD6": 100, "TCF7": 150,
          "BCL11B": 150, "CD247": 150, "CD5": 100, "CD7": 150, "TRAT1": 80},
    "Plasma": {"MZB1": 3000, "XBP1": 1500, "DERL3": 900, "SSR4": 4000, "IGKC": 90000, "FKBP11": 900,
               "JCHAIN": 9000, "IGHA1": 50000, "CD79A": 900, "SEC11C": 900},
    "Monocyte": {"LYZ": 12000, "S100A8": 11000, "S100A9": 14000, "CD14": 800, "VCAN": 1200,
                 "FCN1": 1300, "MNDA": 900, "CTSS": 2500, "TYROBP": 3000, "CST3": 2500},
    "B": {"CD79A": 1500, "CD79B": 900, "MS4A1": 900, "CD74": 11000, "HLA-DRA": 5000, "CD19": 150,
          "TCL1A": 900, "IGHD": 2000, "IGHM": 4000, "IGKC": 3000, "CD37": 1500, "PAX5": 120},
    "Erythroid": {"HBB": 300000, "HBA1": 150000, "AHSP": 5000, "GYPA": 800, "ALAS2": 2500,
                  "CA1": 2000, "SLC25A37": 2000, "HBM": 1500},
    "NK": {"NKG7": 7000, "GNLY": 7000, "KLRF1": 800, "KLRD1": 1000, "TYROBP": 1500, "GZMB": 3500,
           "FCER1G": 1000, "PRF1": 2500, "FCGR3A": 1200, "SPON2": 1000, "FGFBP2": 1500,
           "CST7": 2000},
}  # fmt: skip
FILLERS = 300  # genes that every cell shows alike


def make_library(
    composition: dict[str, int], *, umi=4000, ambient=0.08, seed=0, genes=None, extra=None
):
    """Return counts, truth and ambient of a library drawn from `RATES`."""
    rng = np.random.default_rng(seed)
    table = read_markers(LIMITS.rate_levels)
    symbols = sorted({symbol for feature in table.features for symbol in feature.split("+")})
    # Of the table's genes those only that a type is written with: the others would be missing from
    # cells that they make up, as from cells of another tissue.
    if genes is None:
        genes = {symbol for rates in RATES.values() for symbol in rates}
    symbols = [s for s in symbols if s in genes]
    symbols += [f"FILLER{i}" for i in range(FILLERS)]
    position = {symbol: i for i, symbol in enumerate(symbols)}

    def profile(lineage):
        rates = np.full(len(symbols), 2.0)
        for symbol, rate in RATES.get(lineage, {}).items():
            if symbol in position:
                rates[position[symbol]] = rate
        rates[-FILLERS:] = max(1e6 - rates[:-FILLERS].sum(), 1e5) / FILLERS
        return rates / rates.sum()

    truth = np.repeat(list(composition), list(composition.values()))
    soup = sum(profile(k) for k in RATES) / len(RATES)
    native = [profile(k) for k in truth]
    for i, other in (extra or {}).items():
        native[i] = (native[i] + profile(other)) / 2
    depth = rng.lognormal(np.log(umi), 0.3, len(truth))
    dense = np.array(
        [
            rng.poisson(d * ((1 - ambient) * p + ambient * soup))
            for d, p in zip(depth, native, strict=True)
        ]
    ).reshape(len(truth), len(symbols))
    counts = SimpleNamespace(
        matrix=sparse.csr_matrix(dense.astype(np.int32)),
        symbols=np.array(symbols, dtype=object),
        barcodes=np.array([f"cell{i}" for i in range(len(truth))], dtype=object),
    )
    return counts, truth, SimpleNamespace(profile=soup, per_cell=depth * ambient)


def call(counts, ambient, limits=LIMITS):
    use = np.ones(counts.matrix.shape[0], bool)
    return call_lineages(counts, use=use, ambient=ambient, limits=limits, seed=1)


EVERY = dict.fromkeys(RATES, 40)


def test_every_marker_row_is_cited_and_in_the_vocabulary():
    with open(RESOURCES / "markers.tsv", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    readme = (RESOURCES / "README.md").read_text(encoding="utf-8")
    assert {row["lineage"] for row in rows} == {"any", *LINEAGES[:-1]}
    assert {row["cell_type"] for row in rows} >= {t for types in CELL_TYPES.values() for t in types}
    assert all(f"`{row['source']}`" in readme for row in rows)


def test_no_judged_gene_is_a_marker():
    assert {"SDC1", "CD19", "TNFRSF17", "ANXA1"} <= set(JUDGED)
    everything = set(read_markers(LIMITS.rate_levels).features)
    left = read_markers(LIMITS.rate_levels, judged=JUDGED)
    assert everything - set(left.features) == {"SDC1", "CD19"}
    globins = read_markers(LIMITS.rate_levels, judged=["HBA1"])
    assert not [feature for feature in globins.features if "HBA1" in feature]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Plasmacyte\t\t\tMZB1\thigh\t\thca", "not in the vocabulary"),
        ("T\tCD9 T\t\tCD3D\thigh\t\thca", "not one of the lineage's"),
        ("T\t\t\tCD3D\tenormous\t\thca", "not one of"),
        ("T\t\t\tCD3D\thigh\tperhaps\thca", "not yes, type or empty"),
    ],
)
def test_a_bad_marker_row_is_refused_with_its_line(tmp_path, row, message):
    table = tmp_path / "markers.tsv"
    table.write_text(f"lineage\tcell_type\tstate\tsymbol\tlevel\tidentity\tsource\n{row}\n")
    with pytest.raises(InputProblem, match=message) as caught:
        read_markers(LIMITS.rate_levels, table)
    assert "markers.tsv:2" in str(caught.value)


def test_genes_that_tell_types_apart_exclude_no_lineage():
    table = read_markers(LIMITS.rate_levels)
    within = {f for f, found in zip(table.features, table.type_identity, strict=True) if found}
    assert {"FOXP3", "CD8B", "TRDC", "SLC4A10"} <= within
    excluding = np.logical_or.reduce(list(table.identity.values()))
    assert not (excluding & table.type_identity).any()


def test_genes_of_one_feature_are_added_up_and_absent_ones_left_out():
    table = read_markers(LIMITS.rate_levels)
    left, sums = align_markers(table, np.array(["HBA2", "HBB", "CD3D", "OTHER"], dtype=object))
    assert set(left.features) == {"HBB+HBA1+HBA2", "CD3D"}
    counted = np.asarray(sums.T @ np.array([3, 4, 5, 9]))
    assert dict(zip(left.features, counted, strict=True)) == {"HBB+HBA1+HBA2": 7, "CD3D": 5}


def test_likelihood_is_the_geometric_one_where_no_gene_is_limited():
    counts = np.array([[0, 3], [2, 0]])
    native, soup = np.array([1000.0, 3000.0]), np.array([100.0, 100.0])
    rates = np.array([[500.0, 5.0], [20.0, 900.0]])
    ambient = np.array([0.001, 0.0])
    got = marker_log_likelihood(
        sparse.csr_matrix(counts), Depth(native, soup), ambient, rates, gene_limit=np.full(2, 1e3)
    )
    mean = soup[:, None, None] * ambient[:, None] + native[:, None, None] * 1e-6 * rates
    expected = (counts[..., None] * np.log(mean / (1 + mean)) - np.log1p(mean)).sum(axis=1)
    assert np.allclose(got[:, 0] - got[:, 1], expected[:, 0] - expected[:, 1], atol=1e-3)


def test_rates_are_learned_by_level_and_stay_as_typed_where_nothing_is_seen():
    typed = np.array([[400.0, 400.0, 5.0]])
    counts = sparse.csr_matrix(np.full((50, 1), 20))
    depth = Depth(np.full(50, 10_000.0), np.zeros(50))
    weights = np.tile([1.0, 0.0, 0.0], (50, 1))
    lineage_of = np.array([0, 0, 1])
    got = update_rates(
        counts, depth, np.zeros(1), typed, weights, lineage_of=lineage_of, prior_umi=3.0
    )
    assert got[0, 0] == pytest.approx(2000, rel=0.1)
    assert got[0, 1] == got[0, 0]
    assert got[0, 2] == 5.0


@pytest.mark.parametrize(("umi", "ambient", "least"), [(4000, 0.08, 0.99), (1500, 0.3, 0.95)])
def test_lineages_are_found_through_ambient_rna(umi, ambient, least):
    counts, truth, soup = make_library(EVERY, umi=umi, ambient=ambient)
    assert np.mean(call(counts, soup).lineage == truth) >= least


def test_a_library_of_one_lineage_keeps_it():
    counts, _, soup = make_library({"T": 80})
    calls = call(counts, soup)
    assert np.mean(calls.lineage == "T") >= 0.97
    assert set(calls.cell_type) <= {*CELL_TYPES["T"], "Unknown", "NK"}


def test_a_plasma_cell_without_half_its_markers_is_one_still():
    lost = {"SSR4", "JCHAIN", "XBP1", "FKBP11", "CD79A"}
    kept = {s for rates in RATES.values() for s in rates} - lost
    counts, truth, soup = make_library(EVERY, genes=kept)
    calls = call(counts, soup)
    assert np.mean(calls.lineage[truth == "Plasma"] == "Plasma") >= 0.95


def test_a_plasma_cell_with_t_cell_genes_contradicts_and_single_cells_do_not():
    mixed = dict.fromkeys(range(20), "T")
    counts, _, soup = make_library({"Plasma": 60, "T": 60, "B": 40}, umi=8000, extra=mixed)
    found = call(counts, soup).contradiction
    assert np.mean(np.isin(found[:20], ["T", "Plasma"])) >= 0.6
    assert np.mean(found[20:] != "") <= 0.03


def test_cells_of_another_tissue_are_unknown_and_their_library_is_warned_of(monkeypatch):
    counts, _, soup = make_library(EVERY)
    assert call(counts, soup).warning == ""
    some = {"CST3": 6000, "CTSS": 3000, "CD74": 6000, "TYROBP": 1500, "AIF1": 900, "LYZ": 3000}
    monkeypatch.setitem(RATES, "Lung", some)
    table = read_markers(LIMITS.rate_levels).features
    every_gene = {symbol for feature in table for symbol in feature.split("+")}
    counts, _, soup = make_library({"Lung": 200}, umi=8000, ambient=0.02, genes=every_gene)
    confident = dataclasses.replace(LIMITS, min_signature=0.0, min_identity=0.0)
    assert np.mean(call(counts, soup, confident).lineage == "Unknown") < 0.5
    calls = call(counts, soup)
    assert np.mean(calls.lineage == "Unknown") >= 0.9
    assert "of another tissue" in calls.warning


def test_droplets_of_ambient_rna_are_unknown():
    counts, truth, soup = make_library(EVERY | {"Debris": 30})
    rng = np.random.default_rng(2)
    debris = np.flatnonzero(truth == "Debris")
    matrix = counts.matrix.toarray()
    matrix[debris] = rng.poisson(300 * soup.profile, (len(debris), len(soup.profile)))
    counts.matrix = sparse.csr_matrix(matrix)
    soup.per_cell[debris] = 295.0
    calls = call(counts, soup)
    assert np.mean(calls.lineage[debris] == "Unknown") >= 0.9
    assert np.mean(calls.lineage[truth != "Debris"] == "Unknown") <= 0.02


def test_probabilities_say_how_often_shallow_cells_are_right():
    counts, truth, soup = make_library(dict.fromkeys(RATES, 120), umi=120, seed=3)
    calls = call(counts, soup)
    best = calls.posterior[:, :-1].max(axis=1)
    guess = np.array(LINEAGES)[calls.posterior[:, :-1].argmax(axis=1)]
    right = guess == truth
    for low, high in [(0.5, 0.8), (0.8, 1.0)]:
        here = (best >= low) & (best < high)
        assert right[here].mean() >= best[here].mean() - 0.05
    assert best.min() < 0.9
    assert np.allclose(calls.posterior.sum(axis=1), 1)


def test_a_part_of_each_types_cells_is_taken_to_tell_nothing():
    """A sure CD8 T cell among 3 CD4 T cells: nine tenths sure, and a tenth of the composition."""
    markers = read_markers(LIMITS.rate_levels)
    types = np.array([state.cell_type for state in markers.states])
    cd4, cd8 = (np.flatnonzero(types == name)[0] for name in ("CD4 T", "CD8 T"))
    by_state = np.zeros((5, len(types)))
    by_state[[0, 1, 2, 3], [cd4, cd4, cd4, cd8]] = 1
    by_state[4, types == "pDC"] = 1
    company = [Company(LINEAGES.index("T"), np.arange(4), sparse.csr_matrix(np.eye(4)))]
    found = refine_types(by_state, by_state * 0, markers, company, least_cells=50, lapse=0.1)
    assert found[3, [cd4, cd8]] == pytest.approx([0.1 * 0.75, 0.9 + 0.1 * 0.25], abs=1e-3)
    assert found[0, [cd4, cd8]] == pytest.approx([0.9 + 0.1 * 0.75, 0.1 * 0.25], abs=1e-3)
    np.testing.assert_array_equal(found[4], by_state[4])
    np.testing.assert_allclose(found.sum(axis=1), 1)


def two_groups(n_cells=120, n_genes=200, seed=4):
    """Return counts of two alternating groups of cells that differ in a tenth of the genes."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_cells) % 2
    rates = np.full((2, n_genes), 1.0)
    rates[1, : n_genes // 10] = 6.0
    depth = rng.lognormal(0, 0.5, n_cells)[:, None]
    return sparse.csr_matrix(rng.poisson(depth * rates[group])), group


@pytest.mark.parametrize("most", [4000, 50])
def test_nearest_cells_are_of_the_same_group_and_never_the_cell_itself(monkeypatch, most):
    monkeypatch.setattr("relapsescope.libraries.neighbours.MOST_CANDIDATES", most)
    matrix, group = two_groups()
    nearest = nearest_cells(matrix, np.ones(matrix.shape[1], bool), n_neighbours=8)
    assert not nearest.diagonal().any()
    assert np.allclose(nearest.sum(axis=1), 1)
    assert (np.diff(nearest.indptr) == 8).all()
    assert np.mean(group[nearest.indices] == np.repeat(group, 8)) >= 0.9
    assert len(np.unique(nearest.indices)) <= most


def test_a_cell_keeps_company_with_its_nearest_of_its_lineage_or_with_all_of_a_few():
    """Four cells of one lineage, one of a second, one not used, the rest of a third."""
    matrix, _ = two_groups()
    lineage = np.r_[np.zeros(4, int), 1, np.full(115, 2)]
    markers = read_markers(LIMITS.rate_levels)
    numbers = np.array([LINEAGES.index(state.lineage) for state in markers.states])
    by_state = np.zeros((120, len(numbers)))
    by_state[np.arange(120), [np.flatnonzero(numbers == k)[0] for k in lineage]] = 1
    company = company_of_lineages(
        by_state,
        matrix,
        np.ones(200, bool),
        markers,
        use=np.arange(120) != 119,
        least_share=0.5,
        n_neighbours=8,
    )
    assert [(of.lineage, len(of.cells)) for of in company] == [(0, 4), (2, 114)]
    assert all(np.allclose(of.nearest.sum(axis=1), 1) for of in company)
    together = cells_together(company, 120)
    assert (together.diagonal() == 1).all()
    assert np.asarray(together.sum(axis=1)).ravel().tolist() == [4.0] * 4 + [1.0] + [9.0] * 114 + [
        1.0
    ]
    rows, columns = together.nonzero()
    assert (lineage[rows] == lineage[columns]).all()
    of_state = cells_together(company, 120, state=np.arange(120) % 2)
    assert np.asarray(of_state.sum(axis=1)).ravel()[:5].tolist() == [2.0] * 4 + [1.0]
    rows, columns = of_state.nonzero()
    assert (rows % 2 == columns % 2).all()


def test_genes_that_are_not_counted_do_not_make_neighbours():
    matrix, group = two_groups()
    counted = np.arange(matrix.shape[1]) >= matrix.shape[1] // 10
    nearest = nearest_cells(matrix, counted, n_neighbours=8)
    assert np.mean(group[nearest.indices] == np.repeat(group, 8)) <= 0.7


def test_doubtful_cells_follow_their_neighbours_and_sure_ones_do_not():
    matrix, group = two_groups()
    nearest = nearest_cells(matrix, np.ones(matrix.shape[1], bool), n_neighbours=8)
    evidence = np.where(group[:, None] == [0, 1], 2.0, 0.0)
    evidence[:20] = 0.0
    evidence[20] = [0.0, 12.0]  # a cell of group 0 that is sure to be the other
    posterior = share_composition(evidence, np.array([0.5, 0.5]), nearest)
    assert np.mean(posterior[:20].argmax(axis=1) == group[:20]) >= 0.9
    assert posterior[20, 1] >= 0.95
    assert np.allclose(posterior.sum(axis=1), 1)


def test_neighbours_make_right_types_surer_and_wrong_ones_not(monkeypatch):
    """Shallow naive T cells: those that show their type lend it to neighbours that show nothing."""
    naive = RATES["T"] | {"CCR7": 400, "LEF1": 150, "SELL": 400, "TCF7": 400, "NOSIP": 120}
    monkeypatch.setitem(RATES, "CD4", naive | {"CD4": 120})
    monkeypatch.setitem(RATES, "CD8", naive | {"CD8A": 300, "CD8B": 600, "CD4": 2})
    counts, truth, soup = make_library({"CD4": 150, "CD8": 150}, umi=500, ambient=0.05)
    rng = np.random.default_rng(5)
    other = rng.poisson(2.0 * (truth == "CD8")[:, None], (len(truth), 40))
    counts.matrix = sparse.csr_matrix(np.hstack([counts.matrix.toarray(), other]))
    genes = [f"PROGRAMME{i}" for i in range(40)]
    counts.symbols = np.array([*counts.symbols, *genes], dtype=object)
    soup.profile = np.append(soup.profile, np.zeros(40))
    right = np.where(truth == "CD8", "CD8 T", "CD4 T")
    alone = call(counts, soup, dataclasses.replace(LIMITS, neighbour_cells=10**6))
    asked = call(counts, soup)
    is_right = alone.cell_type == right
    gain = asked.probability - alone.probability
    assert gain[is_right].mean() > 0.05
    assert gain[~is_right].mean() < 0.02
    assert np.mean(asked.cell_type == right) >= is_right.mean()
    assert np.mean(asked.lineage == alone.lineage) == 1


@pytest.mark.parametrize("genes", [set(), None])
def test_nothing_to_go_by_gives_unknown_and_says_so(genes):
    counts, _, soup = make_library({"T": 5} if genes == set() else {}, genes=genes)
    calls = call(counts, soup)
    assert set(calls.lineage) <= {"Unknown"}
    assert calls.posterior.shape == (counts.matrix.shape[0], len(LINEAGES))
    assert "No cell was given a lineage" in calls.notes[0]


def test_same_input_same_calls():
    counts, _, soup = make_library({"T": 20, "B": 20})
    one, two = call(counts, soup), call(counts, soup)
    assert one.posterior.tobytes() == two.posterior.tobytes()


def simple_ambient(counts):
    """Return the mean cell at 8 %, so that this test stands on this step alone."""
    total = np.asarray(counts.matrix.sum(axis=1)).ravel().astype(float)
    mean = np.asarray(counts.matrix.sum(axis=0)).ravel() / total.sum()
    return SimpleNamespace(profile=mean, per_cell=0.04 * total + 0.04 * np.median(total))


@pytest.mark.real
def test_simulated_cohort_reaches_the_goal():
    pq = pytest.importorskip("pyarrow.parquet")
    from relapsescope.intake.matrix import read_counts

    cohort = DATA / "cohorts" / "alpha"
    if not cohort.exists():
        pytest.skip("../shared/data/cohorts/alpha is not here")
    table = pq.read_table(cohort / "truth" / "cells.parquet").to_pydict()
    key = list(zip(table["sample_id"], table["barcode"], strict=True))
    good = [q == "live" and not d for q, d in zip(table["quality"], table["doublet"], strict=True)]
    truth = {k: v for k, v, ok in zip(key, table["lineage"], good, strict=True) if ok}
    pairs = []
    for folder in sorted((cohort / "matrices").iterdir()):
        counts = read_counts(folder / "filtered_feature_bc_matrix.h5")
        lineage = call(counts, simple_ambient(counts)).lineage
        pairs += [
            (truth[folder.name, b], x)
            for b, x in zip(counts.barcodes, lineage, strict=True)
            if (folder.name, b) in truth
        ]
    true, called = map(np.array, zip(*pairs, strict=True))
    scores = [
        2 * np.sum((true == k) & (called == k)) / (np.sum(true == k) + np.sum(called == k))
        for k in np.unique(true)
        if np.sum(true == k) >= 20
    ]
    assert np.mean(true == called) >= 0.97
    assert np.mean(scores) >= 0.93


def with_beta_chain(path):
    """Return the barcodes with a productive beta chain; none where there are no contigs."""
    if not path.exists():
        return set()
    with open(path, encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {r["barcode"] for r in rows if r["chain"] == "TRB" and r["productive"].lower() == "true"}


@pytest.mark.real
def test_published_car_t_cells_are_t_cells():
    from relapsescope.intake.matrix import read_counts

    folder = DATA / "carpall"
    if not folder.exists():
        pytest.skip("../shared/data/carpall is not here")
    with gzip.open(folder / "published_labels.csv.gz", "rt") as lines:
        published = {
            row["cell"]: row["published_celltype"]
            for row in csv.DictReader(lines)
            if row["published_CART"] == "True"
        }
    found, fine, alpha_beta = [], [], []
    for path in sorted((folder / "GEX").glob("*.h5")):
        cells = {k[len(path.stem) + 1 :]: v for k, v in published.items() if path.stem in k}
        if not cells:
            continue
        counts = read_counts(path)
        calls = call(counts, simple_ambient(counts))
        total = np.asarray(counts.matrix.sum(axis=1)).ravel()
        beta = with_beta_chain(folder / "VDJ" / f"{path.stem}.csv")
        for i, barcode in enumerate(counts.barcodes):
            if barcode in beta and total[i] >= 500 and calls.lineage[i] == "T":
                alpha_beta.append(calls.cell_type[i] != "gdT")
            if barcode in cells and total[i] >= 500:
                found.append(calls.lineage[i] == "T")
                if cells[barcode][:3] in ("CD4", "CD8") and calls.cell_type[i] in (
                    "CD4 T",
                    "CD8 T",
                ):
                    fine.append(cells[barcode][:3] == calls.cell_type[i][:3])
    assert np.mean(found) >= 0.97
    assert np.mean(fine) >= 0.95
    assert np.mean(alpha_beta) >= 0.98  # a cell with a beta chain is no gamma-delta cell


def test_the_prior_is_even_over_lineages_then_types_then_states():
    """Two lineages; T has two types, one of them with two states: 1/2, 1/4 and twice 1/8."""
    kinds = [("B", "B"), ("T", "CD4"), ("T", "CD8"), ("T", "CD8")]
    states = [SimpleNamespace(lineage=lineage, cell_type=kind) for lineage, kind in kinds]
    flat = _flat_prior(SimpleNamespace(states=states))
    np.testing.assert_allclose(flat, [1 / 2, 1 / 4, 1 / 8, 1 / 8])
    seen = np.zeros((30, 4))
    seen[:, 0] = 1
    own = (np.array([30, 0, 0, 0]) + 10 * flat) / 40
    np.testing.assert_allclose(_learned_prior(seen, flat), 0.9 * own + 0.1 * flat)
