"""The programmes' panels and their sections, of the cohort and of a patient."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from relapsescope.figures import enrichment, volcano
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import NotAssessableError, PanelSettings
from relapsescope.figures.theme import to_svg
from relapsescope.report.sections import programmes

from ..cohorts.small_run import HOSTILE_REASON, write_results
from .test_report_clones import contexts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = tmp_path_factory.mktemp("programmes")
    return results, write_results(results)


@pytest.fixture(scope="module")
def pages(folder):
    return contexts(*folder, names=programmes.PANELS)


def words(section):
    return re.sub(r"\s+", " ", str(section.html))


def test_the_volcano_keeps_every_called_gene_and_draws_the_rest_by_the_seed(folder):
    evidence = read_evidence(folder[0])
    frame = volcano.collect(evidence, PanelSettings()).frame
    genes = evidence.programmes["genes"]
    called = set(genes.loc[genes["change"] == "up", "gene"])
    assert set(frame.loc[frame["change"] == "up", "gene"]) == called
    assert set(frame["panel"]) == {"P1 clone B"}
    # One patient: the height is the change over its error, never a p-value.
    height = 2 * frame["log2_change"].abs().to_numpy()
    assert frame["shown"].to_numpy() == pytest.approx(height, rel=1e-4)
    again = volcano.collect(evidence, PanelSettings()).frame
    pd.testing.assert_frame_equal(frame, again)
    assert to_svg(volcano.chart(frame), name="volcano").startswith("<svg")


def test_a_p_value_of_nought_is_drawn_and_not_infinite():
    tested = pd.DataFrame(
        {"gene": ["A", "B", "C"], "p_value": [0.0, 1e-3, np.nan], "change": ["up", "", ""]}
        | {"log2_fold_change": [3.0, 1.0, 0.0], "did_log2_fold_change": [np.nan] * 3}
        | {"score": [np.nan] * 3, "ci_low": [2.0, 0.0, -1.0], "ci_high": [4.0, 2.0, 1.0]}
    )
    drawn = volcano._drawn(tested, 1)
    assert list(drawn["gene"]) == ["A", "B"]
    assert np.isfinite(drawn["shown"]).all()
    assert drawn["shown"].iloc[0] > 300


def test_enrichment_holds_every_set_of_each_comparison(folder):
    frame = enrichment.collect(read_evidence(folder[0]), PanelSettings()).frame
    assert list(frame["gene_set"]) == ["hypoxia", "MYC_targets"]
    assert list(frame["random_set_share"]) == [0.004, 0.8]
    assert list(enrichment.rarity(frame["random_set_share"])) == ["under 1 %", "over 5 %"]
    assert to_svg(enrichment.chart(frame), name="enrichment").startswith("<svg")


def test_the_cohort_s_section_says_what_was_compared_and_what_was_not(pages):
    cohort, _, _ = pages
    told = words(programmes.build(cohort))
    assert "P1 clone B" in told and "90 and 80" in told
    assert "not assessable" in told and "needs 2" in told


def test_a_patient_s_section_is_marked_descriptive(pages):
    _, one, other = pages
    told = words(programmes.build_patient(one))
    assert "no p-value" in told
    assert "GENE39" in told and "hypoxia" in told and "MYC targets" not in told
    assert "Not assessable:" in words(programmes.build_patient(other))


def test_words_of_the_tables_stay_words(tmp_path):
    results = tmp_path / "hostile"
    results.mkdir()
    cohort, one, _ = contexts(
        results, write_results(results, hostile=True), names=programmes.PANELS
    )
    for section in (programmes.build(cohort), programmes.build_patient(one)):
        assert "<img" not in str(section.html)
    assert HOSTILE_REASON not in str(programmes.build(cohort).html)


def test_without_a_comparison_panels_and_sections_say_why(folder, tmp_path):
    shutil.copytree(folder[0], tmp_path / "results")
    for name in ("programmes", "enrichment"):
        path = tmp_path / f"results/tables/{name}.tsv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
    path = tmp_path / "results/tables/programme_comparisons.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table["status"], table["reason"] = "not_assessable", "no marrow before CAR-T"
    table.to_csv(path, sep="\t", index=False)
    evidence = read_evidence(tmp_path / "results")
    for panel in (volcano, enrichment):
        with pytest.raises(NotAssessableError, match="no marrow before CAR-T"):
            panel.collect(evidence, PanelSettings())
