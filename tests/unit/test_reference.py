"""A reference: what travels, what is refused, and what new samples are told by it."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from relapsescope.antigens.molecules import Clones, ReferenceTallies, read_molecules
from relapsescope.antigens.outside import given_rates
from relapsescope.antigens.ratios import Cohort, antigen_rows
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.atlas.integration import Encoder
from relapsescope.clones.fates import Visit
from relapsescope.clones.normal_panel import Panel
from relapsescope.clones.patient_clones import chosen_panel
from relapsescope.clones.tables import last_library
from relapsescope.errors import InputProblem
from relapsescope.intake.sheet import Library
from relapsescope.mechanisms.cited import KEYS, Row
from relapsescope.mechanisms.tumour_findings import _target_seen
from relapsescope.reference.atlas_file import (
    ALL_TYPES,
    ReferenceAtlas,
    TypeLimit,
    left_out_limits,
)
from relapsescope.reference.files import FILES, MANIFEST, SHIPPED_FOLDER, reference_files
from relapsescope.reference.manifest import read_manifest, reference_problems, write_manifest
from relapsescope.reference.novelty import composition_drift, library_drift, novelty_rows
from relapsescope.reference.placing import encode, most_common, place
from relapsescope.reference.settings import NoveltySettings
from relapsescope.report.run_tables import RunTables
from relapsescope.report.sections.antigens import reference_words
from relapsescope.report.sections.libraries import strange_to_the_reference
from relapsescope.run.config_file import default_values
from relapsescope.run.foreseen import foreseen
from relapsescope.settings import settings_of
from relapsescope.tables import write_parquet
from scipy import sparse, stats

from ..cohorts.molecule_cohort import NO_POOL, STEADY, group, molecules
from ..cohorts.plasma_cell_cohort import CLONE, SETTINGS, SPACE, USED, World, assess

CONFIG = default_values()
LIMITS = settings_of(NoveltySettings, CONFIG["novelty"], name="novelty")
ANTIGENS = settings_of(
    AntigenSettings, CONFIG["antigens"] | {"genes": ["TNFRSF17"]}, name="antigens"
)
RELAPSED = Clones({"relapse": ("B",)}, frozenset())


# The manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / FILES["libraries"]).write_text("sample_id\nreference_0001\n")
    write_manifest(tmp_path, name="one", kind="frozen", between_log_sd=0.0, made_from={"n": 1})
    return tmp_path


def test_a_manifest_names_its_files_and_comes_back(folder):
    manifest = read_manifest(folder)
    assert (manifest.name, manifest.kind, manifest.made_from) == ("one", "frozen", {"n": 1})
    assert list(manifest.files) == ["libraries.tsv"]
    assert reference_problems(folder) == []
    content = json.loads((folder / MANIFEST).read_text())
    assert content["sha256"] == manifest.sha256


def spoil(folder, how):
    if how == "changed":
        (folder / FILES["libraries"]).write_text("sample_id\n")
    elif how == "missing":
        (folder / FILES["libraries"]).unlink()
    elif how == "further":
        (folder / FILES["composition"]).write_text("x")
    elif how == "no manifest":
        (folder / MANIFEST).unlink()
    elif how == "no text":
        (folder / MANIFEST).write_bytes(b"\xff\xfe{")
    else:
        content = json.loads((folder / MANIFEST).read_text())
        content |= {
            "other format": {"format": "relapsescope reference 9"},
            "other kind": {"kind": "bought"},
            "a list": {"files": [1, 2]},
            "out of the folder": {"files": {"../secret": "0" * 64}},
        }[how]
        (folder / MANIFEST).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("changed", "is not the file that was frozen"),
        ("missing", "libraries.tsv is missing"),
        ("further", "composition.tsv is not in the manifest"),
        ("no manifest", "holds no manifest.json"),
        ("no text", "cannot be read"),
        ("other format", "is no relapsescope reference 1"),
        ("other kind", "is no relapsescope reference 1"),
        ("a list", "cannot be read"),
        ("out of the folder", "is no file of a reference"),
    ],
)
def test_a_reference_that_is_not_what_was_frozen_is_one_line(folder, how, words):
    spoil(folder, how)
    problems = reference_problems(folder)
    assert words in problems[0]
    assert problems[0].startswith(f"config reference: {folder}")
    assert len(problems) == (2 if how == "out of the folder" else 1)


def test_no_reference_has_no_file_and_the_shipped_one_is_whole():
    assert reference_files("none") == {}
    assert reference_problems(SHIPPED_FOLDER) == []
    assert set(reference_files("shipped")) == {"reference_molecules"}
    size = sum(path.stat().st_size for path in SHIPPED_FOLDER.iterdir())
    assert size < 5_000_000


# Antigens: the cohort's own people first, then the reference, then nothing


def shipped():
    terms = read_manifest(SHIPPED_FOLDER).terms()
    return ReferenceTallies(str(SHIPPED_FOLDER / FILES["molecules"]), **terms)


def judged(tmp_path, rows, reference=None):
    """Return the row of the relapse clone of a cohort of these rows and a reference."""
    path = tmp_path / "molecules.parquet"
    frame = pd.DataFrame(rows)
    write_parquet(path, {name: frame[name].to_numpy() for name in frame})
    both = read_molecules([str(path)], [], reference)
    both._counted = molecules(*rows)._counted
    outside = given_rates(both, ["TNFRSF17"], ANTIGENS.reference)
    found = antigen_rows(Cohort(both, NO_POOL, STEADY, RELAPSED, ANTIGENS, outside))
    assert {row["sample_id"] for row in found} == {row["sample_id"] for row in rows}
    return next(row for row in found if (row["sample_id"], row["clone_id"]) == ("relapse", "B"))


def relapse(umi, expected=100):
    """Return a relapse clone's row in which `expected` molecules are due by the shipped table."""
    table = pd.read_parquet(SHIPPED_FOLDER / FILES["molecules"])
    due = table[table["gene"] == "TNFRSF17"].iloc[0]
    exposure = expected * due["exposure"] / due["umi"]
    return group("relapse", "clone", "B", "TNFRSF17", umi, exposure=exposure)


def test_the_shipped_table_holds_the_published_counts():
    """Sums that the source states for plasma cells (648 of TNFRSF17 in 2.02 million UMIs)."""
    table = pd.read_parquet(SHIPPED_FOLDER / FILES["molecules"]).set_index("gene")
    expected = {"TNFRSF17": 648, "SDC1": 469, "MZB1": 9659, "ANXA1": 309}
    assert table.loc[list(expected), "umi"].to_dict() == pytest.approx(expected, abs=0.6)
    assert not table.index.str.match("IG[HKL][VC]|MT-").any()
    # 2.02 million UMIs less the immunoglobulin, which the source says it holds in part only.
    assert 1.2e6 < table["exposure"].max() < 2.02e6


def test_one_marrow_alone_is_judged_by_the_shipped_reference(tmp_path):
    row = judged(tmp_path, [relapse(0)], shipped())
    assert row["verdict"] in ("LOST", "REDUCED")
    assert (row["reference"], row["reference_source"]) == ("normal_plasma_cells", "shipped")
    assert row["expected_umi"] == pytest.approx(100, rel=0.01)
    assert "published rates of other laboratories and protocols" in row["reason"]
    assert judged(tmp_path, [relapse(0)])["verdict"] == "INDETERMINATE"


def test_an_unchanged_clone_is_never_lost_whatever_the_protocol(tmp_path):
    """Protocols differ by a factor of three a gene; a lost clone is never retained."""
    rng = np.random.default_rng(3)
    factors = np.exp(np.log(3.0) * rng.uniform(-1, 1, 12))
    verdicts = {judged(tmp_path, [relapse(round(100 * f))], shipped())["verdict"] for f in factors}
    assert "LOST" not in verdicts
    assert judged(tmp_path, [relapse(3)], shipped())["verdict"] in ("LOST", "REDUCED")


def test_the_cohorts_own_people_go_first_then_the_reference(tmp_path):
    frozen = [
        group(f"reference_000{i}", "all_malignant", "all_malignant", "TNFRSF17", 200 + i)
        for i in (1, 2, 3)
    ]
    path = tmp_path / "frozen.parquet"
    frame = pd.DataFrame(frozen)
    write_parquet(path, {name: frame[name].to_numpy() for name in frame})
    reference = ReferenceTallies(str(path), "frozen", 0.0)
    one = group("relapse", "clone", "B", "TNFRSF17", 10)
    alone = judged(tmp_path, [one], reference)
    assert (alone["reference"], alone["reference_source"]) == ("untreated_panel", "frozen")
    assert alone["reference_cpm"] == pytest.approx(202.0, rel=1e-3)
    assert "of the frozen reference" in alone["reason"]
    stranger = group("U1", "all_malignant", "all_malignant", "TNFRSF17", 400)
    own = judged(tmp_path, [one, stranger], reference)
    assert own["reference_source"] == "cohort"
    assert own["reference_cpm"] == pytest.approx(400.0, rel=1e-3)
    before = group("before", "all_malignant", "all_malignant", "TNFRSF17", 300)
    past = judged(tmp_path, [one, before], reference)
    assert (past["reference"], past["reference_source"]) == ("pre_treatment_clone", "cohort")


def test_a_cohort_without_reference_columns_is_its_own(tmp_path):
    found = molecules(relapse(3))
    assert found.own == ["relapse"]
    assert found.libraries["relapse"].source == "cohort"


# Copy number: the panel


def test_a_panel_of_the_reference_serves_where_the_cohort_has_none():
    world = World(7)
    panel = world.panel(n_donors=3)
    empty = replace(
        panel,
        donors=panel.donors[:0],
        n_cells=panel.n_cells[:0],
        counts=panel.counts[:0],
        exposure=panel.exposure[:0],
    )
    settings = SETTINGS.copy_number
    assert chosen_panel(panel, None, settings=settings) == (panel, "cohort")
    assert chosen_panel(panel, empty, settings=settings)[1] == "cohort"
    assert chosen_panel(empty, panel, settings=settings) == (panel, "frozen")
    assert chosen_panel(empty, None, settings=settings) == (empty, "")


def test_two_panels_join_on_the_scale_of_the_first():
    """A laboratory that shows twice of a gene shows it in plasma cells too: the rates stay."""
    genes = np.array(["a", "b", "c"], dtype=object)
    rates = np.array([0.2, 0.3, 0.5])
    first = Panel(
        gene_ids=genes,
        donors=np.array(["H1"], dtype=object),
        n_cells=np.array([50]),
        counts=1e6 * rates[None],
        exposure=np.full((1, 3), 1e6),
        types=np.array(["T"], dtype=object),
        background=np.full((1, 3), 1 / 3),
        usage={"H1": {}},
    )
    double = np.array([2.0, 1.0, 1.0])
    second = replace(
        first,
        donors=np.array(["H2"], dtype=object),
        counts=1e6 * (rates * double)[None],
        background=first.background * double,
        usage={"H2": {}},
    )
    both = first.joined(second.on(genes[[1, 0, 2]]))
    assert list(both.donors) == ["H1", "H2"]
    assert both.rates() == pytest.approx(rates, abs=1e-4)


# Clones without any donor


@pytest.fixture(scope="module")
def lonely():
    world = World(21)
    nobody = replace(
        world.panel(n_donors=2),
        donors=np.array([], dtype=object),
        n_cells=np.zeros(0, dtype=int),
        counts=np.zeros((0, len(USED))),
        exposure=np.zeros((0, len(USED))),
        types=np.array([], dtype=object),
        background=np.zeros((0, len(USED))),
        usage={},
    )
    first = world.clone("+1q;-13q")
    return world, nobody, first


def relapse_row(result):
    return next(row for row in result["clones"] if row["is_relapse_clone"])


def test_new_arms_are_seen_between_a_patients_own_libraries(lonely):
    world, nobody, first = lonely
    second = world.clone("-16p;+8q", parent=first)
    before, _ = world.library("pre", "pre_infusion", [(110, first, CLONE)])
    after, _ = world.library("rel", "relapse", [(8, first, CLONE), (110, second, CLONE)])
    row = relapse_row(assess([before, after], nobody))
    assert row["relation"] == "same_ig_new_subclone"
    assert set(row["new_events"].split(";")) <= {"+8q", "-16p"}
    assert row["new_events"]
    # Against normal cells nothing can be said.
    assert (row["cnv_evaluable"], row["cnv_events"], row["reference_source"]) == (False, "", "")


def test_the_same_clone_without_donors_has_no_new_event(lonely):
    world, nobody, first = lonely
    before, _ = world.library("pre", "pre_infusion", [(110, first, CLONE)])
    after, _ = world.library("rel", "relapse", [(110, first, CLONE)])
    row = relapse_row(assess([before, after], nobody))
    assert (row["relation"], row["new_events"]) == ("same_ig_same_subclone", "")


def test_where_arms_could_not_have_shown_it_no_subclone_is_the_same(lonely):
    world, nobody, first = lonely
    before, _ = world.library("pre", "pre_infusion", [(16, first, CLONE), (8, None, None)])
    after, _ = world.library("rel", "relapse", [(16, first, CLONE), (8, None, None)])
    for panel in (nobody, world.panel()):
        assert relapse_row(assess([before, after], panel))["relation"] == "not_assessable"


def without_immunoglobulin(library):
    """Return a library whose matrix has no immunoglobulin genes, as probes may leave out."""
    kept = np.array([not symbol.startswith("IG") for symbol in SPACE.symbols], dtype=float)
    return replace(library, counts=(library.counts @ sparse.diags(kept)).tocsr().astype(np.int32))


def test_without_immunoglobulin_the_arms_say_that_it_is_the_same_tumour():
    world = World(33)
    panel = world.panel()
    first = world.clone("+1q;-13q;+9p")
    second = world.clone("-16p;+8q", parent=first)
    before, _ = world.library("pre", "pre_infusion", [(110, first, CLONE)])
    after, _ = world.library("rel", "relapse", [(6, first, CLONE), (110, second, CLONE)])
    row = relapse_row(
        assess([without_immunoglobulin(before), without_immunoglobulin(after)], panel)
    )
    assert row["relation"] == "same_ig_new_subclone"
    assert row["light_chain"] is None
    assert "its immunoglobulin is not seen" in row["reason"]
    other = world.clone("+3p;-6q;+11q")
    strange, _ = world.library("rel", "relapse", [(110, other, CLONE)])
    row = relapse_row(assess([before, without_immunoglobulin(strange)], panel))
    assert row["relation"] == "not_assessable"


@pytest.mark.parametrize("seed", [34, 35, 36])
def test_without_immunoglobulin_a_strange_tumour_is_found_beside_normal_cells(seed):
    world = World(seed)
    panel = world.panel()
    before, _ = world.library("pre", "pre_infusion", [(110, world.clone("+1q;-13q"), CLONE)])
    other = world.clone("+3p;-6q;+11q")
    mixed, truth = world.library("rel", "relapse", [(90, other, CLONE), (30, None, None)])
    found = assess([before, without_immunoglobulin(mixed)], panel)
    cells = pd.DataFrame(found["cells"])
    cells = cells[cells["sample_id"] == "rel"]
    malignant = (cells["malignancy"] == "malignant").to_numpy()
    assert malignant[truth == 0].mean() >= 0.9
    assert malignant[truth == 1].mean() <= 0.1
    row = relapse_row(found)
    assert row["relation"] == "not_assessable"
    assert row["light_chain"] is None
    assert "immunoglobulin not seen in a library" in found["summary"]["reasons"][-1]


@pytest.mark.parametrize("seed", range(37, 43))
def test_without_immunoglobulin_normal_cells_are_no_tumour_of_their_own(seed):
    world = World(seed)
    panel = world.panel()
    before, _ = world.library("pre", "pre_infusion", [(110, world.clone("+1q;-13q"), CLONE)])
    normal, _ = world.library("rel", "relapse", [(110, None, None)])
    cells = pd.DataFrame(assess([before, without_immunoglobulin(normal)], panel)["cells"])
    malignant = cells["malignancy"][cells["sample_id"] == "rel"] == "malignant"
    assert malignant.sum() <= 1


def test_fractions_of_one_marrow_are_one_moment():
    """The CD138-negative fraction holds a few malignant cells and sorts last by name."""
    first, positive, negative = (
        Visit(name, "relapse", day) for name, day in (("a", 200.0), ("pos", 370.0), ("sort", 370.0))
    )
    cells = {"a": 500, "pos": 300, "sort": 4}
    assert last_library([first, positive, negative], cells) == "pos"
    assert last_library([first], cells) == "a"
    assert last_library([], cells) is None
    undated = [Visit("pos", "relapse", np.nan), Visit("sort", "relapse", np.nan)]
    assert last_library(undated, cells) == "pos"


# Placing


GENES = np.array(["g1", "g2", "g3"], dtype=object)


def atlas_of(latent, cell_type, library, limits=None) -> ReferenceAtlas:
    """Return an atlas whose encoder passes log counts of three genes on."""
    return ReferenceAtlas(
        encoder=Encoder((np.eye(3, dtype=np.float32),), (np.zeros(3, np.float32),), "scVI"),
        gene_ids=GENES,
        latent=np.asarray(latent, np.float32),
        coordinates=np.asarray(latent, np.float32)[:, :2],
        cell_type=np.array(cell_type, dtype=object),
        leiden=np.array(cell_type, dtype=object),
        library=np.array(library, dtype=object),
        rates={"NK": np.array([0.1, 0.02, 0.0]), "pDC": np.array([0.0, 0.02, 0.1])},
        limits={ALL_TYPES: TypeLimit(1.0, np.log(0.5), 0.1, 4)} if limits is None else limits,
    )


@pytest.fixture
def atlas():
    rng = np.random.default_rng(1)
    nk = np.log1p([30.0, 6.0, 0.0]) + rng.normal(0, 0.1, (40, 3))
    pdc = np.log1p([0.0, 6.0, 30.0]) + rng.normal(0, 0.1, (40, 3))
    return atlas_of(np.vstack([nk, pdc]), ["NK"] * 40 + ["pDC"] * 40, ["L1", "L2"] * 40)


def counts_of(*rows):
    return sparse.csr_matrix(np.array(rows, dtype=float))


def test_cells_are_placed_among_their_like_and_strangers_are_novel(atlas):
    counts = counts_of([30, 6, 0], [0, 6, 30], [30, 6, 900], [30, 6, 0], [30, 6, 0])
    kinds = np.array(["NK", "pDC", "NK", "pDC", "Mast"], dtype=object)
    placed = place(atlas, counts, GENES, np.full(5, 300.0), kinds)
    assert list(placed.placed_type[:2]) == ["NK", "pDC"]
    # Far from all; none of its lineage around it; a type that the reference does not hold.
    assert list(placed.novel) == [False, False, True, True, True]
    assert placed.coordinates[0] == pytest.approx(np.log1p([30, 6]), abs=0.15)
    assert placed.missing == 0


def test_a_gene_that_the_annotation_lacks_counts_as_its_type_has_it(atlas):
    """By hand: an NK cell of 300 counts is expected to hold 0.1 x 300 = 30 of g1."""
    known = GENES[1:]
    latent = encode(
        atlas, counts_of([6, 0]), known, np.array([300.0]), np.array(["NK"], dtype=object)
    )
    assert latent[0] == pytest.approx(np.log1p([30.0, 6.0, 0.0]), abs=1e-5)
    zero = encode(
        atlas, counts_of([6, 0]), known, np.array([300.0]), np.array(["pDC"], dtype=object)
    )
    assert zero[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_the_nearest_decides_between_equal_votes():
    words = np.array([["a", "b", "b", "a"], ["b", "b", "a", "c"]], dtype=object)
    assert list(most_common(words)) == ["a", "b"]


def test_limits_come_from_left_out_libraries():
    """Three libraries of one type; the limit is the prediction limit of their log quantiles."""
    rng = np.random.default_rng(4)
    library = np.repeat(["L1", "L2", "L3"], 60)
    latent = rng.normal(0, 1, (180, 4)) + np.repeat([0.0, 0.3, 0.6], 60)[:, None]
    limits = left_out_limits(latent, np.full(180, "NK", dtype=object), library)
    quantiles = []
    for name in ("L1", "L2", "L3"):
        own, others = latent[library == name], latent[library != name]
        distance = np.sqrt(((own[:, None] - others[None]) ** 2).sum(axis=2))
        quantiles.append(np.log(np.quantile(np.sort(distance, axis=1)[:, :15].mean(axis=1), 0.99)))
    reach = stats.t.ppf(0.975, 2) * np.sqrt(4 / 3) * np.std(quantiles, ddof=1)
    assert limits["NK"].distance == pytest.approx(np.exp(np.mean(quantiles) + reach), rel=0.01)
    assert limits["NK"].n_libraries == 3
    few = left_out_limits(latent[:120], np.full(120, "NK", dtype=object), library[:120])
    assert few == {}


# Novelty and drift


REFERENCE = pd.DataFrame(
    {
        "sample_id": [f"reference_000{i}" for i in range(1, 6)],
        "tissue": "bone_marrow",
        "sorting": "none",
        "median_total_counts": ["3000", "3300", "2700", "3100", "2900"],
        "ambient_fraction": ["0.05", "0.06", "0.04", "0.05", "0.06"],
        "median_pct_counts_mt": ["5", "6", "4", "5", "5"],
    }
)
COMPOSITION = pd.DataFrame(
    [
        {"sample_id": name, "cell_type": kind, "n_cells": str(n)}
        for name in REFERENCE["sample_id"]
        for kind, n in (("NK", 200), ("Erythroid", 50), ("B naive", 100), ("Plasma", 500))
    ]
)
USUAL = {"NK": 200, "Erythroid": 50, "B naive": 100, "Plasma": 20}
ROW = {
    "sample_id": "new",
    "tissue": "bone_marrow",
    "sorting": "none",
    "median_total_counts": 3000,
    "ambient_fraction": 0.05,
    "median_pct_counts_mt": 5,
}


def rows_of(atlas, library=ROW, own=USUAL, counts=None):
    counts = counts_of(*([[30, 6, 0]] * 40)) if counts is None else counts
    kinds = np.full(counts.shape[0], "NK", dtype=object)
    placed = place(atlas, counts, GENES, np.full(counts.shape[0], 300.0), kinds)
    found = novelty_rows(
        library,
        placed,
        kinds,
        atlas,
        REFERENCE,
        composition=COMPOSITION,
        own_composition=own,
        settings=LIMITS,
    )
    return {row["cell_type"]: row for row in found}


def test_a_usual_library_is_within(atlas):
    near = {ALL_TYPES: TypeLimit(1.0, np.log(0.2), 0.5, 4)}
    rows = rows_of(replace(atlas, limits=near))
    assert {row["verdict"] for row in rows.values()} == {"within"}
    assert (rows["NK"]["n_cells"], rows["NK"]["novel_fraction"]) == (40, 0.0)


@pytest.mark.parametrize(
    ("change", "own", "verdict", "words"),
    [
        ({"tissue": "blood"}, USUAL, "out", "the reference holds no blood"),
        ({"median_total_counts": 300}, USUAL, "warn", "median counts a cell lies"),
        ({"ambient_fraction": 0.6}, USUAL, "warn", "share of ambient RNA lies"),
        ({}, USUAL | {"Erythroid": 20000}, "warn", "the share of Erythroid cells lies"),
        ({}, USUAL | {"B naive": 20000}, "warn", "the share of B cells lies"),
    ],
)
def test_each_kind_of_stranger_is_warned_of_with_its_reason(atlas, change, own, verdict, words):
    row = rows_of(atlas, ROW | change, own)["all"]
    assert row["verdict"] == verdict
    assert words in row["reason"]


def test_novel_cells_make_a_library_stand_out(atlas):
    strange = counts_of(*([[30, 6, 900]] * 30 + [[30, 6, 0]] * 10))
    rows = rows_of(atlas, counts=strange)
    assert (rows["NK"]["verdict"], rows["all"]["verdict"]) == ("out", "out")
    assert rows["NK"]["novel_fraction"] == 0.75
    # Clopper and Pearson for 30 of 40.
    assert rows["NK"]["novel_ci_low"] == pytest.approx(stats.beta.ppf(0.025, 30, 11))


def test_a_library_without_the_atlas_genes_is_refused_not_padded(atlas):
    found = novelty_rows(
        ROW | {"missing_genes": 0.4},
        None,
        GENES[:0],
        atlas,
        REFERENCE,
        composition=COMPOSITION,
        own_composition=USUAL,
        settings=LIMITS,
    )
    assert [(row["cell_type"], row["verdict"]) for row in found] == [("all", "out")]
    assert "40% of the atlas's genes are missing" in found[0]["reason"]


def test_drift_is_a_prediction_of_a_further_library():
    """By hand: log 3000 against the mean of the logs, sd floored at 0.5, five libraries."""
    logs = np.log([3000, 3300, 2700, 3100, 2900])
    (_, z), *_ = library_drift(ROW | {"median_total_counts": 9000}, REFERENCE)
    assert z == pytest.approx((np.log(9000) - logs.mean()) / (0.5 * np.sqrt(1.2)))


def test_a_sorted_library_has_no_composition_to_compare():
    assert composition_drift(ROW | {"sorting": "CD138_positive"}, USUAL, COMPOSITION) == []


@pytest.mark.parametrize("sorting", ["CD138_positive", "CD3_positive", "none"])
def test_a_fraction_of_the_reference_is_no_composition_to_compare_with(atlas, sorting, monkeypatch):
    """Five fractions with hardly an NK cell would draw the mean away, were they counted."""
    names = [f"reference_001{i}" for i in range(5)]
    drawn = REFERENCE.assign(sample_id=names, sorting=sorting)
    few = [{"sample_id": name, "cell_type": "Erythroid", "n_cells": "900"} for name in names]
    plain = rows_of(atlas)["all"]["drift_z"]
    monkeypatch.setitem(globals(), "REFERENCE", pd.concat([REFERENCE, drawn], ignore_index=True))
    monkeypatch.setitem(
        globals(), "COMPOSITION", pd.concat([COMPOSITION, pd.DataFrame(few)], ignore_index=True)
    )
    drift = rows_of(atlas)["all"]
    if sorting == "none":
        assert "cells" in drift["measure"] and abs(drift["drift_z"]) > abs(plain)
    else:
        assert drift["drift_z"] == pytest.approx(plain, abs=0.1)


def test_what_cannot_be_read_is_one_line(tmp_path):
    from relapsescope.reference.atlas_file import read_atlas

    with pytest.raises(InputProblem, match="the atlas in"):
        read_atlas(tmp_path)


# Before the run: what a sheet cannot decide


def library(patient, timepoint, sorting="none", **further):
    further = {"tissue": "bone_marrow", "car_feature": ("CAR",)} | further
    name = f"{patient}_{timepoint}_{sorting}"
    return Library(name, patient, timepoint, None, sorting=sorting, matrix=Path(name), **further)


@pytest.mark.parametrize(
    ("libraries", "reference", "words"),
    [
        ([library("P1", "relapse")], "shipped", "published normal plasma cells only"),
        ([library("P1", "relapse")], "none", "own normal plasma cells, if there are enough"),
        (
            [library("P1", "relapse"), library("U1", "untreated")],
            "shipped",
            "other patients of the cohort",
        ),
        ([library("P1", "relapse", "CD138_positive")], "none", "add the CD138-negative fraction"),
        (
            [library("P1", "relapse", "CD138_negative")],
            "none",
            "add the unsorted or",
        ),
        ([library("P1", "relapse", tissue="blood")], "none", "no marrow at relapse"),
        ([library("P1", "relapse", car_feature=())], "none", "no car_feature after the infusion"),
        (
            [library("P1", "relapse")],
            "none",
            "come from 0 people (2 are needed",
        ),
        ([library("P1", "relapse")], "none", "no clinical tables"),
    ],
)
def test_what_a_sheet_cannot_decide_is_said_with_what_to_add(libraries, reference, words):
    lines = foreseen(libraries, CONFIG | {"clinical": "", "reference": reference})
    assert any(words in line for line in lines), lines


def test_a_sheet_that_holds_everything_needs_no_note(tmp_path):
    libraries = [
        *(library(name, "healthy") for name in ("H1", "H2")),
        library("P1", "pre_infusion"),
        library("P1", "relapse", "CD138_positive"),
        library("P1", "relapse", "CD138_negative"),
    ]
    assert foreseen(libraries, CONFIG | {"clinical": str(tmp_path), "reference": "none"}) == []


# On the pages


def test_a_page_says_in_what_a_library_is_strange_to_the_reference(tmp_path):
    (tmp_path / "tables").mkdir()
    header = "sample_id\tcell_type\tverdict\treason\n"
    rows = "S1\tall\tout\tthe reference holds no blood\nS1\tMast\twithin\t3 cells\n"
    (tmp_path / "tables/novelty.tsv").write_text(header + rows + "S2\tNK\twarn\tfar\n")

    def said(sample, reference):
        context = SimpleNamespace(
            results=tmp_path, config={"reference": reference}, tables=RunTables(tmp_path)
        )
        return strange_to_the_reference(context, sample)

    blood = "Against the reference, the library: the reference holds no blood"
    assert said("S1", "some/folder") == [blood]
    assert said("S2", "some/folder") == ["Against the reference, NK: far"]
    assert said("S3", "some/folder") == []
    # A table that an earlier run on a reference left says nothing of this one.
    assert said("S1", "none") == said("S1", "shipped") == []


def test_a_page_names_the_reference_that_an_antigen_rests_on():
    assert reference_words("normal_plasma_cells", "shipped") == (
        "normal plasma cells of the shipped reference "
        "(published rates of other laboratories and protocols)"
    )
    assert reference_words("untreated_panel", "frozen").endswith("of the frozen reference")
    assert reference_words("untreated_panel", "cohort") == "untreated patients"
    row = dict.fromkeys(KEYS["antigens"], "x") | {
        "antigen": "TNFRSF17",
        "antigen_umi": "0",
        "n_cells": "200",
        "reference": "normal_plasma_cells",
        "reference_source": "shipped",
        "expected_umi": "100",
        "verdict": "LOST",
    }
    told = _target_seen(Row("antigens", row)).text
    assert "expected from normal plasma cells of the shipped reference (published rates" in told
