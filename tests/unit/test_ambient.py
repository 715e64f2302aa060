import csv
import dataclasses
import warnings

import numpy as np
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.libraries.ambient import estimate_ambient
from relapsescope.libraries.quality import cell_metrics, flag_cells
from relapsescope.libraries.settings import AmbientLimits, QualityLimits
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import default_values
from scipy import sparse

DATA = REPOSITORY.parent / "shared" / "data"
LIMITS = AmbientLimits()
N_GENES = 600
N_MARKERS = 60


def counts_of(matrix, prefix: str = "cell", symbols=None) -> Counts:
    matrix = sparse.csr_matrix(matrix).astype(np.int32)
    ids = np.array([f"ENSG{i:011d}" for i in range(matrix.shape[1])], dtype=object)
    names = ids if symbols is None else np.array(symbols, dtype=object)
    barcodes = np.array([f"{prefix}{i}-1" for i in range(matrix.shape[0])], dtype=object)
    return Counts(matrix, barcodes, ids, names, {}, ())


def native_profiles(n_types: int, rng: np.random.Generator) -> np.ndarray:
    """Return profiles that share housekeeping genes and have markers of their own."""
    profiles = np.zeros((n_types, N_GENES))
    house = rng.lognormal(0, 1, N_GENES - n_types * N_MARKERS)
    for i in range(n_types):
        profiles[i, n_types * N_MARKERS :] = house
        markers = slice(i * N_MARKERS, (i + 1) * N_MARKERS)
        profiles[i, markers] = rng.lognormal(0, 1, N_MARKERS)
        profiles[i, markers] *= 0.6 * house.sum() / profiles[i, markers].sum()
    return profiles / profiles.sum(axis=1, keepdims=True)


def library(amount: float, seed: int, n_types: int = 4, n_cells: int = 500):
    """Return a library whose droplets hold `amount` ambient UMIs, and its truth."""
    rng = np.random.default_rng(seed)
    profiles = native_profiles(n_types, rng)
    kind = rng.choice(n_types, n_cells, p=rng.dirichlet(np.full(n_types, 8.0)))
    lysed = rng.dirichlet(np.full(n_types, 4.0)) @ profiles
    size = rng.lognormal(np.log(2500), 0.4, n_cells)
    native = rng.poisson(size[:, None] * profiles[kind])
    taken_up = amount * rng.lognormal(-0.02, 0.2, n_cells)
    foreign = rng.poisson(taken_up[:, None] * lysed)
    fraction = foreign.sum() / (foreign.sum() + native.sum())
    empty = rng.poisson(amount * rng.lognormal(-0.08, 0.4, (400, 1)) * lysed)
    return native + foreign, fraction, lysed, empty


def estimate(counts: Counts, raw: Counts | None = None, **given):
    use = given.pop("use", np.ones(len(counts.barcodes), dtype=bool))
    return estimate_ambient(counts, raw=raw, use=use, limits=LIMITS, seed=1, **given)


def test_empty_droplets_give_profile_and_amount() -> None:
    cells, fraction, lysed, empty = library(300, seed=1)
    barely = sparse.random(3000, N_GENES, 0.002, random_state=1, data_rvs=np.ones)
    raw = counts_of(sparse.vstack([sparse.csr_matrix(cells), sparse.csr_matrix(empty), barely]))
    raw = dataclasses.replace(
        raw, barcodes=np.array([f"b{i}" for i in range(len(raw.barcodes))], dtype=object)
    )
    counts = dataclasses.replace(counts_of(cells), barcodes=raw.barcodes[: len(cells)])
    ambient = estimate(counts, raw)
    assert ambient.source == "raw_matrix"
    assert ambient.fraction == pytest.approx(fraction, abs=0.01)
    assert ambient.fraction_low < fraction < ambient.fraction_high
    assert ambient.profile.sum() == pytest.approx(1)
    assert np.corrcoef(np.log1p(1e6 * ambient.profile), np.log1p(1e6 * lysed))[0, 1] > 0.98


def test_cells_left_out_of_the_filtered_matrix_for_their_size_are_no_empty_droplets() -> None:
    """They hold ten times the UMIs of the 400 empty droplets together."""
    cells, fraction, _, empty = library(300, seed=1)
    order = np.argsort(cells.sum(axis=1))
    kept, large = cells[order[:400]], 10 * cells[order[400:]]
    assert large.sum() > 10 * empty.sum()
    raw = counts_of(np.vstack([empty, large]), prefix="other")
    ambient = estimate(counts_of(kept), raw)
    assert ambient.source == "raw_matrix"
    assert ambient.fraction == pytest.approx(fraction, rel=0.3)


def test_genes_of_the_raw_matrix_are_matched_by_id() -> None:
    cells, _, _, empty = library(300, seed=2)
    raw = counts_of(empty, prefix="empty")
    turned = dataclasses.replace(
        raw, matrix=raw.matrix[:, ::-1].tocsr(), gene_ids=raw.gene_ids[::-1]
    )
    np.testing.assert_allclose(
        estimate(counts_of(cells), turned).profile, estimate(counts_of(cells), raw).profile
    )


def test_too_few_empty_droplets_are_not_used() -> None:
    cells, _, _, empty = library(300, seed=3)
    ambient = estimate(counts_of(cells), counts_of(empty[:20], prefix="empty"))
    assert ambient.source == "estimated"
    assert "empty droplets" in ambient.notes[0]


def test_the_interval_from_cells_covers_the_truth() -> None:
    covered, errors = [], []
    for seed in range(16):
        amount = [40, 120, 300, 700][seed % 4]
        cells, fraction, _, _ = library(amount, seed)
        ambient = estimate(counts_of(cells))
        covered.append(ambient.fraction_low <= fraction <= ambient.fraction_high)
        errors.append(abs(ambient.fraction - fraction))
    assert np.mean(covered) >= 0.9
    assert np.mean(np.array(errors) <= 0.03) >= 0.75


def test_more_ambient_is_estimated_as_more() -> None:
    found = [estimate(counts_of(library(amount, 7)[0])).fraction for amount in (50, 200, 600)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 4 * found[0]


def test_one_cell_type_gives_a_wide_interval_and_says_so() -> None:
    ambient = estimate(counts_of(library(200, 5, n_types=1)[0]))
    assert ambient.fraction_high > 4 * ambient.fraction_low
    assert any("uncertain" in note for note in ambient.notes)


def test_haemoglobin_in_every_cell_is_ambient() -> None:
    cells = library(20, 6)[0]
    symbols = [f"GENE{i}" for i in range(N_GENES)]
    symbols[-1] = "HBB"
    cells[:, -1] = np.random.default_rng(1).poisson(400, len(cells))
    ambient = estimate(counts_of(cells, symbols=symbols))
    assert np.argmax(ambient.profile) == N_GENES - 1
    assert ambient.fraction > 0.08


def test_expected_ambient_never_exceeds_a_barcodes_total() -> None:
    cells = library(300, 8)[0]
    cells[0] = 0
    cells[1, :] = 0
    cells[1, 5] = 3
    ambient = estimate(counts_of(cells))
    assert ambient.per_cell[:2].tolist() == [0, 3]
    assert (ambient.per_cell <= cells.sum(axis=1)).all()
    assert ambient.fraction == pytest.approx(ambient.per_cell.sum() / cells.sum())


@pytest.mark.parametrize("n", [0, 1, 3, 60])
@pytest.mark.parametrize("level", [0, 1, 50])
def test_degenerate_libraries_are_answered_without_a_warning(n: int, level: int) -> None:
    cells = np.full((n, 30), level)
    ambient = estimate(counts_of(cells.reshape(n, 30)))
    assert ambient.profile.sum() == pytest.approx(1)
    assert ambient.per_cell.shape == (n,)
    if cells.sum() == 0:
        assert np.isnan(ambient.fraction)
    else:
        assert 0 <= ambient.fraction_low <= ambient.fraction <= ambient.fraction_high <= 1


def test_no_usable_cell_falls_back_on_the_assumption() -> None:
    cells = library(100, 9)[0]
    ambient = estimate(counts_of(cells), use=np.zeros(len(cells), dtype=bool))
    assert 0.02 < ambient.fraction < 0.1


def test_the_seed_fixes_the_estimate() -> None:
    counts = counts_of(library(200, 10)[0])
    first, second = estimate(counts), estimate(counts)
    assert first.fraction == second.fraction
    np.testing.assert_array_equal(first.profile, second.profile)


def test_the_config_holds_every_limit() -> None:
    assert default_values()["ambient"] == dataclasses.asdict(LIMITS)


@pytest.mark.real
def test_the_estimated_profile_is_the_real_soup() -> None:
    path = DATA / "soupx" / "PBMC4k_soupx_2170.h5ad"
    if not path.exists():
        pytest.skip(f"the soupx data are not in {DATA}")
    import h5py

    with h5py.File(path) as file:
        matrix = sparse.csr_matrix((file["X/data"][:], file["X/indices"][:], file["X/indptr"][:]))
        soup = file["var/soup_counts"][:]
        symbols = [symbol.decode() for symbol in file["var/_index"][:]]
    matrix.resize(matrix.shape[0], soup.size)
    counts = counts_of(matrix, symbols=symbols)
    flags = flag_cells(cell_metrics(counts), QualityLimits())
    ambient = estimate(counts, use=flags.qc_pass)
    real, found = 1e6 * soup / soup.sum(), 1e6 * ambient.profile
    assert np.corrcoef(np.log1p(real), np.log1p(found))[0, 1] >= 0.95
    in_soup = soup > 0
    assert np.corrcoef(np.log1p(real[in_soup]), np.log1p(found[in_soup]))[0, 1] >= 0.95
    assert 0.02 < ambient.fraction < 0.12


@pytest.mark.real
def test_alpha_fractions_are_found_with_and_without_the_raw_matrix() -> None:
    folder = DATA / "cohorts" / "alpha"
    if not folder.exists():
        pytest.skip(f"the alpha cohort is not in {DATA}")
    from relapsescope.intake.matrix import read_counts

    def rows(path):
        with open(path, encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))

    truth = {
        row["sample_id"]: float(row["ambient_fraction"])
        for row in rows(folder / "truth" / "samples.tsv")
    }
    errors, covered = {"raw": [], "cells": []}, []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index, row in enumerate(rows(folder / "samples.tsv")):
            counts = read_counts(folder / row["matrix"])
            use = flag_cells(cell_metrics(counts), QualityLimits()).qc_pass
            true = truth[row["sample_id"]]
            if index % 3 == 0:
                raw = read_counts(folder / row["raw_matrix"])
                errors["raw"].append(abs(estimate(counts, raw, use=use).fraction - true))
            ambient = estimate(counts, use=use)
            errors["cells"].append(abs(ambient.fraction - true))
            covered.append(ambient.fraction_low <= true <= ambient.fraction_high)
    assert max(errors["raw"]) <= 0.01
    assert np.mean(np.array(errors["cells"]) <= 0.03) >= 0.9
    assert np.mean(covered) >= 0.9
