"""A run beside a deposited one: what counts as the same, and what is said where it is not."""

import json
import shutil

import pandas as pd
import pytest
from relapsescope.commands.app import app
from relapsescope.deposit.compare import (
    DIFFERS,
    PASS,
    WITHIN,
    circumstances,
    compare_runs,
    only_in_run,
    table_rules,
)
from relapsescope.deposit.expected import write_deposit
from relapsescope.deposit.frames import compare_frames
from relapsescope.deposit.summaries import compare_summaries, summarise
from relapsescope.deposit.tolerance import Tolerance, parse_tolerance
from relapsescope.errors import InputProblem
from relapsescope.figures.draw import PANELS, draw_figures, read_manifest
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings
from relapsescope.paths import REPOSITORY
from relapsescope.provenance.record import write_run_manifest
from typer.testing import CliRunner

from ..cohorts.small_run import write_results

MOLECULES = pd.DataFrame(
    {
        "patient_id": ["P1", "P1", "007"],
        "antigen": ["TNFRSF17", "GPRC5D", "TNFRSF17"],
        "rate_cpm": ["300", "12.5", ""],
        "verdict": ["LOST", "RETAINED", "INDETERMINATE"],
        "reason": ["0.04 of 300", "", "no cells"],
    }
)
KEY = ("patient_id", "antigen")


def differences(found, amount=0.01, key=KEY):
    limit = Tolerance(amount)
    compared = compare_frames(found, MOLECULES, key=key, tolerance=lambda name: limit)
    return [(difference.words, difference.allowed) for difference in compared]


def changed(**values):
    frame = MOLECULES.copy()
    for name, value in values.items():
        frame.loc[0, name] = value
    return frame


@pytest.mark.parametrize(
    ("text", "found", "expected", "agrees"),
    [
        # A share of the deposited number over 1, an absolute difference below.
        ("0.01", 303.0, 300.0, True),
        ("0.01", 303.1, 300.0, False),
        ("0.01", 0.21, 0.20, True),
        ("0.01", 0.22, 0.20, False),
        ("0", 5.0, 5.0, True),
        ("0", 5.0, 5.00001, False),
        ("1e-05", float("nan"), float("nan"), True),
        ("0.5", float("nan"), 1.0, False),
        # Decimal logarithms: 0.1 of them, or a tenth of -20.
        ("log 0.1", 0.12, 0.1, True),
        ("log 0.1", 0.13, 0.1, False),
        ("log 0.1", 1e-18, 1e-20, True),
        ("log 0.1", 1e-17, 1e-20, False),
        ("log 0.1", 0.0, 1e-20, False),
        ("log 0.1", 0.0, 0.0, True),
        # Of a statistic without a stated error only the same value agrees.
        ("error fdr_error 4", 0.2, 0.2, True),
        ("error fdr_error 4", 0.2, 0.2001, False),
    ],
)
def test_numbers_agree_by_the_tolerance(text, found, expected, agrees):
    assert parse_tolerance(text, where="").allows(found, expected) == agrees


def test_a_share_of_draws_agrees_within_its_stated_error():
    limit = Tolerance(4, "error", "error_of_it")

    def compared(found, key):
        rows = {"name": ["a", "b"], "it": ["0.30", "0.02"], "error_of_it": ["0.02", "0.005"]}
        frame = pd.DataFrame(rows)
        one, other = frame.assign(it=found), frame
        pairs = compare_frames(one, other, key=key, tolerance=lambda name: limit)
        tables = [summarise(each, sha256="0") for each in (one, other)]
        summaries = compare_summaries(*tables, tolerance=lambda name: limit)
        return [all(each.allowed for each in these) for these in (pairs, summaries)]

    assert compared(["0.38", "0.04"], ["name"]) == [True, True]
    assert compared(["0.38", "0.041"], []) == [False, True]
    assert compared(["0.39", "0.02"], ["name"]) == [False, False]


@pytest.mark.parametrize(
    ("found", "agrees"),
    [("B;A;C;D;E", True), ("A;B;C;D", True), ("A;B;C;D;F", False), ("", False)],
)
def test_lists_of_names_agree_by_what_they_share(found, agrees):
    """Of A to E one may be missing (1 of 5); one other name makes 2 of 6."""
    frame = pd.DataFrame({"genes": ["A;B;C;D;E"]})
    compared = compare_frames(
        frame.assign(genes=found), frame, tolerance=lambda name: Tolerance(0.2, "list")
    )
    assert [difference.allowed for difference in compared] == [agrees]


@pytest.mark.parametrize(("n_other", "agrees"), [(2, True), (3, False)])
def test_of_many_calls_a_few_at_the_limit_may_turn(n_other, agrees):
    """2 % of 100 rows, in the table and in its key numbers."""
    calls = ["up"] * 40 + [""] * 60
    turned = ["up"] * (40 - n_other) + [""] * (60 + n_other)
    tables = [pd.DataFrame({"gene": map(str, range(100)), "change": c}) for c in (turned, calls)]
    limits = {"change": Tolerance(0.02, "calls")}

    def tolerance(name):
        return limits.get(name, Tolerance(0))

    summaries = [summarise(table, sha256=str(n)) for n, table in enumerate(tables)]
    for compared in (
        compare_frames(*tables, key=["gene"], tolerance=tolerance),
        compare_summaries(*summaries, tolerance=tolerance),
    ):
        assert compared and all(difference.allowed for difference in compared) == agrees


@pytest.mark.parametrize("text", ["", "0,02", "shape", "about 3", "-1", "nan", "error 4", "log"])
def test_a_tolerance_that_cannot_be_read_is_named(text):
    with pytest.raises(InputProblem, match="manifest swimmer: tolerance"):
        parse_tolerance(text, where="manifest swimmer")


def test_every_panel_and_table_has_a_tolerance_that_can_be_read():
    for panel in PANELS:
        text = panel.tolerance
        assert str(parse_tolerance(text, where=panel.name)) == text
        assert panel.reproducibility in ("deterministic", "seeded", "not_deterministic")
    panels = {f"source_data/{panel.name}": set(panel.columns) for panel in PANELS}
    for name, rule in table_rules().items():
        if name.startswith("source_data/"):
            assert set(rule.tolerances) <= panels[name]
        else:
            assert "*" in rule.tolerances


def test_the_same_table_in_another_order_says_the_same():
    assert differences(MOLECULES.iloc[::-1]) == []


@pytest.mark.parametrize(
    ("values", "words", "allowed"),
    [
        (
            {"rate_cpm": "301"},
            "rate_cpm: 1 of 3 differs, most 300 → 301 at P1 TNFRSF17 (tolerance 0.01)",
            True,
        ),
        (
            {"rate_cpm": "310"},
            "rate_cpm: 1 of 3 differs, most 300 → 310 at P1 TNFRSF17 (tolerance 0.01)",
            False,
        ),
        (
            {"rate_cpm": ""},
            "rate_cpm: 1 of 3 differs, most 300 → empty at P1 TNFRSF17 (tolerance 0.01)",
            False,
        ),
        ({"verdict": "REDUCED"}, "verdict: 1 of 3 differs, LOST → REDUCED at P1 TNFRSF17", False),
        ({"reason": "0.05 of 310"}, "reason: 1 of 3 say the same with other numbers", True),
        (
            {"reason": "0.05 from 310"},
            "reason: 1 of 3 differs, 0.04 of 300 → 0.05 from 310 at P1 TNFRSF17",
            False,
        ),
    ],
)
def test_a_changed_value_is_said_with_its_row_and_numbers(values, words, allowed):
    assert differences(changed(**values)) == [(words, allowed)]


def test_missing_and_extra_rows_and_columns_are_named():
    assert differences(MOLECULES.iloc[1:].assign(extra="1")) == [
        ("new column extra", False),
        ("1 row only in the deposited one (P1 TNFRSF17)", False),
    ]
    two = pd.concat([MOLECULES, changed(antigen="CD38").iloc[:1]])
    assert differences(two.drop(columns="reason")) == [
        ("no column reason", False),
        ("1 row only in the run (P1 CD38)", False),
    ]


def test_without_a_key_rows_are_matched_by_their_texts():
    assert differences(MOLECULES.iloc[[0, 2]], key=()) == [
        ("1 row only in the deposited one (P1 GPRC5D RETAINED )", False)
    ]
    found = differences(changed(verdict="REDUCED"), key=())
    assert found == [("verdict: 1 of 3 differs, LOST → REDUCED at row 1", False)]


def test_the_key_numbers_of_a_table_are_those_of_each_sample():
    frame = pd.DataFrame(
        {
            "sample_id": ["S1", "S1", "S1", "S2"],
            "lineage": ["T", "T", "B", "T"],
            "counts": ["1", "2", "6", ""],
        }
    )
    found = summarise(frame, sha256="0").set_index(["group", "column", "statistic"])["value"]
    assert found["S1", "lineage", "count T"] == "2"
    assert found["S1", "counts", "mean"] == "3"
    assert found["S1", "counts", "median"] == "2"
    assert found["S2", "counts", "numbers"] == "0"
    assert found["", "", "rows"] == "4"


def test_a_shape_counts_texts_and_reads_no_number():
    """5 of 100 cells of another type are within 5 %, 6 are not; places on a map do not matter."""

    def cells(n_t, place):
        kinds = ["T"] * n_t + ["B"] * (100 - n_t)
        frame = pd.DataFrame({"lineage": kinds, "umap_1": [place] * 100})
        return summarise(frame, sha256=f"{n_t} {place}")

    def agree(found):
        compared = compare_summaries(
            found, cells(50, "1.5"), tolerance=lambda name: Tolerance(0.05, "shape")
        )
        return compared and all(difference.allowed for difference in compared)

    assert (
        compare_summaries(
            cells(50, "7"), cells(50, "1.5"), tolerance=lambda name: Tolerance(0, "shape")
        )
        == []
    )
    assert agree(cells(55, "7"))
    assert not agree(cells(56, "7"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    sheet = write_results(results, n_cells=400)
    settings = PanelSettings(distribution_bins=12, figure_map_points=2000)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=settings)
    write_run_manifest(
        results / "run_manifest.json",
        config={"seed": 1, "samples": "a.tsv"},
        sheet=results / "tables/samples.tsv",
        state="succeeded",
        started="2026-01-01T00:00:00+00:00",
    )
    return results


@pytest.fixture
def other(run, tmp_path):
    shutil.copytree(run, tmp_path / "other")
    return tmp_path / "other"


@pytest.fixture(scope="module")
def deposited(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deposit") / "run"
    write_deposit(run, folder)
    return folder


def statuses(found, expected):
    return {finding.name: finding.status for finding in compare_runs(found, expected)}


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_a_run_is_as_itself_and_as_its_deposit(run, deposited):
    for expected in (run, deposited):
        found = statuses(run, expected)
        assert set(found.values()) == {PASS}
        assert set(found) > {"tables/antigens", "tables/cells", "source_data/map_lineage"}
    assert (deposited / "source_data/map_lineage.csv.summary.tsv").is_file()
    assert not (deposited / "tables/cells.parquet").exists()
    assert circumstances(run, deposited) == []


def test_a_deposit_is_the_same_bytes_each_time(run, deposited, tmp_path):
    files = write_deposit(run, tmp_path / "again")
    for path in files:
        name = path.relative_to(tmp_path / "again")
        assert path.read_bytes() == (deposited / name).read_bytes()


def test_a_verdict_that_turned_is_found_in_run_and_deposit(other, run, deposited):
    edit(other / "tables/antigens.tsv", "\tRETAINED\t", "\tREDUCED\t")
    for expected in (run, deposited):
        found = statuses(other, expected)
        assert [name for name, status in found.items() if status != PASS] == ["tables/antigens"]
        assert found["tables/antigens"] == DIFFERS


def test_cells_of_another_lineage_are_found_by_the_key_numbers(other, deposited):
    cells = pd.read_parquet(other / "tables/cells.parquet")
    cells.loc[cells["lineage"] == "pDC", "lineage"] = "cDC"
    cells.to_parquet(other / "tables/cells.parquet", index=False)
    found = {finding.name: finding for finding in compare_runs(other, deposited)}
    assert found["tables/cells"].status == DIFFERS
    assert any("lineage count pDC" in words for words in found["tables/cells"].words)


def test_another_place_on_the_map_is_within_tolerance(other, deposited):
    path = other / "source_data/map_lineage.csv"
    frame = pd.read_csv(path)
    frame["umap_1"] = -frame["umap_1"]
    frame.to_csv(path, index=False)
    assert statuses(other, deposited)["source_data/map_lineage"] == WITHIN


def test_a_panel_that_is_gone_differs_and_a_new_one_is_named(other, run):
    manifest = other / "figures/manifest.tsv"
    lines = [line for line in manifest.read_text().splitlines() if not line.startswith("swimmer")]
    manifest.write_text("\n".join(lines) + "\n")
    assert statuses(other, run)["source_data/swimmer"] == DIFFERS
    assert "source_data/swimmer" not in statuses(run, other)
    assert only_in_run(run, other) == ["source_data/swimmer"]


def test_a_panel_that_turned_not_assessable_differs(other, run):
    edit(
        other / "figures/manifest.tsv",
        "Kaplan-Meier with 95 % log-log bands",
        "not assessable: nothing",
    )
    assert statuses(other, run)["source_data/survival"] == DIFFERS


def test_the_command_says_what_differs_and_ends_honestly(run, other, deposited):
    same = CliRunner().invoke(app, ["compare", str(run), str(deposited), "--quiet"])
    assert same.exit_code == 0
    n = len(compare_runs(run, deposited))
    assert same.output == f"{n} compared: {n} PASS, 0 WITHIN TOLERANCE, 0 DIFFERS\n"
    edit(other / "tables/anxa1.tsv", "\tHIGH\t", "\tINDETERMINATE\t")
    content = json.loads((other / "run_manifest.json").read_text())
    content["versions"]["numpy"] = "0.1"
    (other / "run_manifest.json").write_text(json.dumps(content))
    differs = CliRunner().invoke(app, ["compare", str(other), str(deposited)])
    assert differs.exit_code == 1
    lines = differs.output.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("DIFFERS"))
    assert "tables/anxa1" in lines[place]
    assert lines[place + 1].startswith("    verdict: 1 of ")
    assert "HIGH → INDETERMINATE at P1" in lines[place + 1]
    assert any(line.startswith("note: numpy") and line.endswith("→ 0.1") for line in lines)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("figures/manifest.tsv", None, "name the folder of a run that has ended"),
        ("figures/manifest.tsv", "panel\nswimmer\n", "it is not a run's manifest"),
        ("figures/manifest.tsv", b"\xff\xfe\x00", "not a table"),
        ("source_data/swimmer.csv", None, "no such file"),
        ("source_data/swimmer.csv", b"\xff\xfe\x00", "cannot be read"),
        ("tables/cells.parquet", b"PAR1", "cannot be read"),
        ("tables/antigens.tsv", "a\tb\n1\t2\n1\t2\t3\n", "cannot be read"),
        ("run_manifest.json", "{", "cannot be read"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line_and_status_2(
    other, deposited, file, content, problem
):
    if content is None:
        (other / file).unlink()
    else:
        (other / file).write_bytes(content.encode() if isinstance(content, str) else content)
    found = CliRunner().invoke(app, ["compare", str(other), str(deposited)])
    assert found.exit_code == 2
    assert problem in found.output
    assert len(found.output.splitlines()) == 1


def test_only_a_run_that_ended_well_is_deposited_and_nothing_is_overwritten(other, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    found = CliRunner().invoke(app, ["deposit", str(other), str(tmp_path / "mine")])
    assert found.exit_code == 2
    assert "not empty and no deposit" in found.output
    assert (tmp_path / "mine/notes.txt").is_file()
    edit(other / "run_manifest.json", '"succeeded"', '"failed"')
    with pytest.raises(InputProblem, match="the run's state is 'failed'"):
        write_deposit(other, tmp_path / "new")


def test_the_deposited_demo_cohort_is_small_and_of_known_panels():
    folder = REPOSITORY / "tests/expected/demo"
    if not folder.is_dir():
        pytest.skip("no deposited results yet: make expected")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    assert set(read_manifest(folder).index) <= {panel.name for panel in PANELS}
    assert statuses(folder, folder).keys() > {"tables/antigens", "source_data/swimmer"}
