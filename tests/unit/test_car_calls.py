"""Who carries the CAR: calls on drawn transgene molecules, and on real libraries."""

import numpy as np
import pandas as pd
import pytest
from relapsescope.car_t.calls import (
    call_car,
    carrier_probability,
    log_negative_binomial,
    transgene_umi,
)
from relapsescope.car_t.settings import CarSettings
from relapsescope.intake.counts import Counts, FeatureBlock
from relapsescope.intake.matrix import read_counts
from relapsescope.libraries.library import assess
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import default_values
from scipy import sparse

CONFIG = default_values()
SETTINGS = CarSettings(**CONFIG["car_calls"])
CARPALL = REPOSITORY.parent / "shared" / "data" / "carpall"


def draw(n_t, n_other, carriers, *, rate=500e-6, ambient=200.0, share=0.0, depth=2500, seed=0):
    """Return the arguments of `call_car` and the truth."""
    rng = np.random.default_rng(seed)
    n = n_t + n_other
    native = depth * np.exp(rng.normal(0, 0.4, n))
    truth = np.zeros(n, bool)
    truth[rng.permutation(n_t)[: round(carriers * n_t)]] = True
    own = rng.poisson(native * rate * rng.gamma(2.0, 0.5, n)) * truth
    umi = own + rng.poisson(ambient * share, n)
    lineage = np.array(["T"] * n_t + ["Monocyte"] * n_other)
    droplet = np.full(n, ambient)
    known = {"native": native, "ambient_umi": droplet, "total": native + droplet}
    return umi, known | {"lineage": lineage, "use": np.ones(n, bool)}, truth


@pytest.mark.parametrize("carriers", [0.01, 0.1, 0.4, 0.9])
@pytest.mark.parametrize("share", [1e-6, 2e-4])
def test_false_calls_stay_within_the_setting(carriers, share):
    called, false, seen, found = 0, 0, 0, 0
    for seed in range(8):
        umi, known, truth = draw(600, 400, carriers, share=share, seed=seed)
        status = call_car(umi, **known, settings=SETTINGS).status == "detected"
        called += status.sum()
        false += (status & ~truth).sum()
        seen += (truth & (umi >= 2)).sum()
        found += (truth & (umi >= 2) & status).sum()
    assert false <= SETTINGS.max_false_share * called + 3 * np.sqrt(0.05 * max(called, 1))
    # Among 600 cells with 0.04 ambient molecules each some hold two by chance; where true carriers
    # are as few, two molecules are no proof.
    if carriers >= 0.1 or share < 1e-5:
        assert found >= 0.95 * seen


def test_molecules_that_ambient_rna_explains_make_no_carrier():
    # 0.06 ambient transgene molecules a cell: some fifty cells of 1,000 hold one by chance.
    umi, known, _ = draw(600, 400, 0.0, share=3e-4, seed=3)
    assert (umi > 0).sum() > 30
    calls = call_car(umi, **known, settings=SETTINGS)
    assert (calls.status == "detected").sum() <= 2
    assert calls.other_cells == 400
    assert calls.ambient.mean() == pytest.approx(200 * 3e-4, rel=0.6)


def test_a_single_molecule_counts_where_nothing_else_explains_it():
    umi, known, truth = draw(600, 400, 0.1, share=0.0, seed=4)
    status = call_car(umi, **known, settings=SETTINGS).status == "detected"
    assert status[umi == 1].mean() > 0.6
    assert status[umi > 1].all()
    assert not status[umi == 0].any()
    assert (truth & ~status).any()


def test_without_a_transgene_in_the_reference_nothing_is_assessable():
    _, known, _ = draw(20, 5, 0.0)
    calls = call_car(None, **known, settings=SETTINGS)
    assert set(calls.status) == {"not_assessable"}
    assert np.isnan(calls.umi).all()


def test_no_molecule_at_all_is_not_detected():
    umi, known, _ = draw(20, 5, 0.0)
    assert set(call_car(umi * 0, **known, settings=SETTINGS).status) == {"not_detected"}


def test_features_are_summed_over_names_and_blocks():
    matrix = sparse.csr_matrix(np.array([[1, 2, 4], [0, 0, 8]], dtype=np.int32))
    names = np.array(["CAR_a", "CAR_b", "GFP"], dtype=object)
    barcodes = np.array(["x", "y"], dtype=object)
    nothing = np.array([], dtype=object)
    block = FeatureBlock(names, matrix)
    counts = Counts(
        sparse.csr_matrix((2, 0), dtype=np.int32), barcodes, nothing, nothing,
        {"Transgene": block, "Custom": FeatureBlock(np.array(["CAR_c"], object), matrix[:, [2]])},
        (),
    )  # fmt: skip
    assert transgene_umi(counts, ["CAR_a", "CAR_c"]).tolist() == [5, 8]
    assert transgene_umi(counts, ["other"]) is None
    assert transgene_umi(counts, []) is None


def test_negative_binomial_by_hand():
    # Size 2, mean 3: P(0) = (2/5)^2; P(1) = 2 (2/5)^2 (3/5).
    found = np.exp(log_negative_binomial(np.array([0, 1]), np.array([3.0, 3.0]), 0.5))
    np.testing.assert_allclose(found, [0.16, 0.192])


def test_probability_grows_with_molecules():
    umi, known, _ = draw(400, 0, 0.3, share=1e-4, seed=5)
    own = carrier_probability(umi, known["native"], np.full(400, 0.02), SETTINGS)
    means = [own[umi == k].mean() for k in (0, 1, 2, 3)]
    assert means == sorted(means)


@pytest.mark.real
@pytest.mark.parametrize(
    ("sample", "carriers"),
    [("CAR-T11388808", 68), ("CAR-T12187589", 7), ("CAR-T10310321", 0)],
)
def test_published_car_t_cells_are_detected(sample, carriers):
    """Anderson 2023: sorted marrow and blood, and an unsorted marrow that holds no transgene."""
    path = CARPALL / "GEX" / f"{sample}.h5"
    if not path.is_file():
        pytest.skip("no ../shared/data/carpall")
    counts = read_counts(path)
    cells, _, _ = assess(counts, None, settings=CONFIG)
    umi = transgene_umi(counts, ["CAT_scFv"])
    calls = call_car(
        umi,
        native=cells["total_counts"] - cells["ambient_umi"],
        ambient_umi=cells["ambient_umi"],
        total=cells["total_counts"],
        lineage=np.array([str(name or "") for name in cells["lineage"]]),
        use=cells["qc_pass"],
        settings=SETTINGS,
    )
    detected = calls.status == "detected"
    if not carriers:
        assert detected.mean() <= 0.002
        return
    published = pd.read_csv(CARPALL / "published_labels.csv.gz").query("sample == @sample")
    named = set(published.loc[published["published_CART"], "cell"].str.split("_").str[1])
    known = np.isin(counts.barcodes.astype(str), list(named)) & (umi >= 2)
    assert known.sum() == carriers
    assert detected[known].mean() >= 0.95
