import csv
import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from relapsescope.intake.counts import Counts
from relapsescope.libraries.quality import (
    cell_metrics,
    flag_cells,
    library_verdict,
    umi_ceiling_suspected,
)
from relapsescope.libraries.settings import QualityLimits
from relapsescope.paths import REPOSITORY
from relapsescope.run.config_file import default_values
from scipy import sparse

DATA = REPOSITORY.parent / "shared" / "data"
LIMITS = QualityLimits()
BAD_CARPALL = {
    "CAR-T10593347": "2 UMIs",
    "CAR-T10484033": "24 UMIs",
    "CAR-T10310320": "mitochondrial",
    "CAR-T11816469": "mitochondrial",
}


def counts_of(dense: np.ndarray, symbols: list[str]) -> Counts:
    matrix = sparse.csr_matrix(dense.astype(np.int32))
    matrix.eliminate_zeros()
    names = np.array(symbols, dtype=object)
    barcodes = np.array([f"cell{i}-1" for i in range(matrix.shape[0])], dtype=object)
    return Counts(matrix, barcodes, names, names, {}, ())


def metrics_of(total, genes=None, mt=3.0, ig=0.0, hb=0.0) -> dict[str, np.ndarray]:
    total = np.asarray(total, dtype=np.int64)
    genes = np.asarray(total**0.85 if genes is None else genes, dtype=np.int64)
    same = np.ones(total.size)
    return {
        "total_counts": total,
        "n_genes_by_counts": np.minimum(genes, total),
        "pct_counts_mt": mt * same,
        "pct_counts_ig": ig * same,
        "pct_counts_hb": hb * same,
        "pct_counts_ribo": 20 * same,
    }


def joined(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def lognormal(n: int, median: float, seed: int, sd: float = 0.4) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(np.log(median), sd, n).astype(np.int64)


def test_metrics_equal_scanpy() -> None:
    anndata = pytest.importorskip("anndata")
    scanpy = pytest.importorskip("scanpy")
    symbols = ["MT-CO1", "MT-ND1", "IGKC", "IGHG1", "HBB", "RPL3", "CD3D", "LYZ", "HBP1"]
    dense = np.random.default_rng(0).poisson(2.0, (40, len(symbols)))
    counts = counts_of(dense, symbols)
    data = anndata.AnnData(counts.matrix.astype(np.float32))
    data.var_names = symbols
    data.var["mt"] = [s.startswith("MT-") for s in symbols]
    data.var["ig"] = [s in ("IGKC", "IGHG1") for s in symbols]
    data.var["hb"] = [s == "HBB" for s in symbols]
    data.var["ribo"] = [s == "RPL3" for s in symbols]
    expected, _ = scanpy.pp.calculate_qc_metrics(
        data, qc_vars=["mt", "ig", "hb", "ribo"], percent_top=None, inplace=False
    )
    ours = cell_metrics(counts)
    assert set(ours) <= set(expected.columns)
    for name, values in ours.items():
        np.testing.assert_allclose(values, expected[name].to_numpy(), rtol=1e-5, err_msg=name)


def test_a_barcode_without_umis_has_no_percentage() -> None:
    metrics = cell_metrics(counts_of(np.array([[0, 0], [3, 1]]), ["MT-CO1", "CD3D"]))
    assert np.isnan(metrics["pct_counts_mt"][0])
    assert metrics["pct_counts_mt"][1] == 75.0
    flags = flag_cells(metrics, LIMITS)
    assert flags.qc_reason[0] == "low_counts;low_genes"


def test_debris_and_dying_cells_are_flagged_with_their_reasons() -> None:
    live = metrics_of(lognormal(500, 4000, 1))
    debris = metrics_of(lognormal(20, 250, 2, sd=0.1))
    dying = metrics_of(lognormal(30, 1500, 3), mt=45.0)
    flags = flag_cells(joined(live, debris, dying), LIMITS)
    assert flags.qc_pass[:500].mean() > 0.99
    assert not flags.qc_pass[500:].any()
    assert all("low_counts" in reason for reason in flags.qc_reason[500:520])
    assert all("high_mitochondrial;dying" in reason for reason in flags.qc_reason[520:])
    assert not flags.qc_reason[flags.qc_pass].any()


def test_half_a_library_dying_does_not_stretch_its_limits() -> None:
    rng = np.random.default_rng(4)
    live = metrics_of(lognormal(300, 4000, 1), mt=rng.lognormal(np.log(4), 0.3, 300))
    dying = metrics_of(lognormal(400, 1500, 3), mt=rng.normal(50, 8, 400))
    flags = flag_cells(joined(live, dying), LIMITS)
    assert flags.thresholds["pct_counts_mt_max"] < 15
    assert flags.qc_pass[:300].mean() > 0.98
    assert flags.qc_pass[300:].mean() < 0.01


def test_plasma_cells_with_few_genes_are_kept() -> None:
    others = metrics_of(lognormal(400, 6000, 1), genes=lognormal(400, 2500, 2, sd=0.15))
    plasma = metrics_of(lognormal(60, 9000, 3), genes=lognormal(60, 350, 4, sd=0.1), ig=85.0)
    poor = metrics_of(lognormal(60, 9000, 3), genes=lognormal(60, 350, 4, sd=0.1), ig=2.0)
    flags = flag_cells(joined(others, plasma, poor), LIMITS)
    assert flags.qc_pass[400:460].all()
    assert (flags.qc_reason[460:] == "low_genes").mean() > 0.7


def test_large_cells_are_kept() -> None:
    flags = flag_cells(metrics_of(np.r_[lognormal(300, 3000, 1), [60_000, 90_000]]), LIMITS)
    assert flags.qc_pass[-2:].all()


def test_ambient_barcodes_are_debris() -> None:
    metrics = metrics_of(lognormal(300, 3000, 1))
    ambient = np.full(300, 200.0)
    ambient[:5] = 0.6 * metrics["total_counts"][:5]
    flags = flag_cells(metrics, LIMITS, ambient_umi=ambient)
    assert all("debris" in reason for reason in flags.qc_reason[:5])
    assert flags.thresholds["ambient_share_max"] == LIMITS.debris_ambient_share
    assert not any("debris" in reason for reason in flags.qc_reason[5:])


@pytest.mark.parametrize("n", [0, 1, 5])
def test_tiny_libraries_are_judged_without_a_warning(n: int) -> None:
    metrics = metrics_of(np.full(n, 3000))
    flags = flag_cells(metrics, LIMITS, ambient_umi=np.zeros(n))
    assert flags.qc_pass.tolist() == [True] * n
    verdict, reason = library_verdict(metrics, flags, LIMITS)
    assert verdict == "fail"
    assert ("no barcode" if n == 0 else "usable") in reason


def test_verdicts_name_their_reason() -> None:
    def judged(metrics, **given):
        return library_verdict(metrics, flag_cells(metrics, LIMITS), LIMITS, **given)

    good = metrics_of(lognormal(300, 3000, 1))
    assert judged(good).verdict == "pass"
    assert judged(metrics_of(lognormal(70, 3000, 1))).verdict == "warn"
    assert judged(metrics_of(lognormal(500, 20, 1)))[0] == "fail"
    assert "UMIs" in judged(metrics_of(lognormal(500, 20, 1))).reason
    shallow = judged(metrics_of(lognormal(500, 420, 1), genes=lognormal(500, 300, 2)))
    assert shallow.verdict == "warn"
    dying = joined(metrics_of(lognormal(150, 3000, 1)), metrics_of(lognormal(200, 900, 1), mt=60.0))
    assert judged(dying).verdict == "fail"
    assert "60.0 % mitochondrial" in judged(dying).reason
    assert judged(good, ambient_fraction=0.3).verdict == "warn"
    assert "30 % of the UMIs come from ambient" in judged(good, ambient_fraction=0.3).reason
    assert judged(good, ambient_fraction=0.6).verdict == "fail"
    assert judged(good, ambient_fraction=0.6, ambient_fraction_low=0.2).verdict == "warn"
    assert judged(good, ambient_fraction=float("nan")).verdict == "pass"
    assert "ceiling" in judged(good, umi_ceiling=True).reason


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [250, 1000, 5000])
def test_a_cut_tail_is_suspected_and_a_natural_one_is_not(n: int, seed: int) -> None:
    total = lognormal(n, 2500, seed, sd=0.6)
    plasma = lognormal(n // 5, 9000, seed + 100)
    assert not umi_ceiling_suspected(total)
    assert not umi_ceiling_suspected(np.r_[total, plasma])
    if n >= 1000:
        for quantile in (0.8, 0.9):
            assert umi_ceiling_suspected(total[total < np.quantile(total, quantile)])


def test_a_cut_just_below_a_round_number_needs_less() -> None:
    total = lognormal(3000, 2500, 1, sd=0.65)
    assert not umi_ceiling_suspected(total)
    assert umi_ceiling_suspected(total[total < 10_000])


def test_small_or_constant_libraries_have_no_suspected_ceiling() -> None:
    assert not umi_ceiling_suspected(np.array([], dtype=np.int64))
    assert not umi_ceiling_suspected(np.arange(300, 700))
    assert not umi_ceiling_suspected(np.full(500, 3000))


def test_the_config_holds_every_limit() -> None:
    section = default_values()["quality"]
    assert dataclasses.asdict(QualityLimits(**section)) == dataclasses.asdict(LIMITS)
    assert set(section) == set(dataclasses.asdict(LIMITS))


def sheet(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        pytest.skip(f"{path.parent.name} is not in {DATA}")
    with open(path, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def read(path: Path) -> Counts:
    from relapsescope.intake.matrix import read_counts

    return read_counts(path)


@pytest.mark.real
def test_real_libraries_get_the_verdicts_they_deserve() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in sheet(DATA / "carpall" / "samples.tsv"):
            metrics = cell_metrics(read(DATA / "carpall" / row["matrix"]))
            ceiling = umi_ceiling_suspected(metrics["total_counts"])
            verdict = library_verdict(
                metrics, flag_cells(metrics, LIMITS), LIMITS, umi_ceiling=ceiling
            )
            assert not ceiling, row["sample_id"]
            if row["sample_id"] in BAD_CARPALL:
                assert verdict.verdict in ("fail", "warn")
                assert BAD_CARPALL[row["sample_id"]] in verdict.reason
            else:
                assert verdict.verdict != "fail", (row["sample_id"], verdict)


@pytest.mark.real
def test_alpha_keeps_plasma_cells_and_loses_dying_cells() -> None:
    folder = DATA / "cohorts" / "alpha"
    rows = sheet(folder / "samples.tsv")
    parquet = pytest.importorskip("pyarrow.parquet")
    truth = parquet.read_table(
        folder / "truth" / "cells.parquet",
        columns=["sample_id", "barcode", "quality", "lineage", "doublet"],
    ).to_pylist()
    state = {(cell["sample_id"], cell["barcode"]): cell for cell in truth}
    lost = {"live": [], "plasma": [], "dying": [], "debris": []}
    for row in rows:
        counts = read(folder / row["matrix"])
        metrics = cell_metrics(counts)
        flags = flag_cells(metrics, LIMITS)
        assert library_verdict(metrics, flags, LIMITS).verdict != "fail"
        assert not umi_ceiling_suspected(metrics["total_counts"])
        for barcode, kept in zip(counts.barcodes, flags.qc_pass, strict=True):
            cell = state[row["sample_id"], barcode]
            if cell["quality"] == "live" and cell["doublet"]:
                continue
            lost[cell["quality"]].append(not kept)
            if cell["quality"] == "live" and cell["lineage"] == "Plasma":
                lost["plasma"].append(not kept)
    assert np.mean(lost["plasma"]) <= 0.02
    assert np.mean(lost["live"]) <= 0.02
    assert np.mean(lost["dying"]) >= 0.95
    assert np.mean(lost["debris"]) >= 0.85
