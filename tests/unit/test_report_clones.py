"""The sections on clones and antigens, of the cohort and of a patient."""

import re
import shutil

import pandas as pd
import pytest
from relapsescope.figures.draw import PANELS as EVERY
from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import PanelSettings
from relapsescope.mechanisms.cited import Row
from relapsescope.report.context import Context, PatientContext
from relapsescope.report.sections import antigens, clones, patient_molecules
from relapsescope.run.config_file import default_values

from ..cohorts.small_run import HOSTILE_REASON, write_results

PANELS = clones.PANELS + antigens.PANELS


def contexts(results, sheet, names=PANELS):
    """Return the cohort's context and P1's and P9's; only these sections' panels are drawn."""
    config = default_values()
    evidence = read_evidence(results, sheet=sheet)
    settings = PanelSettings()
    drawn = [panel for panel in EVERY if panel.name in names]
    manifest = draw_figures(evidence, results, settings=settings, panels=drawn)
    common = {
        "evidence": evidence,
        "results": results,
        "manifest": manifest,
        "settings": settings,
        "config": config,
        "versions": {},
        "patients": ("P1", "P9"),
    }
    own = [PatientContext(**common, patient_id=name) for name in ("P1", "P9")]
    return Context(**common), *own


def text(section):
    """Return a section's HTML in one line, without the links of its numbers."""
    return re.sub(r"\s+", " ", re.sub(r"</?a\b[^>]*>", "", str(section.html)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    results = tmp_path_factory.mktemp("plain")
    return contexts(results, write_results(results))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    results = tmp_path_factory.mktemp("hostile")
    return contexts(results, write_results(results, hostile=True))


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    """A cohort of other cells: no step found a plasma cell, and the tables are bare."""
    results = tmp_path_factory.mktemp("hollow")
    sheet = write_results(results)
    shutil.rmtree(results / "patients")
    names = ("clones", "antigens", "anxa1", "targets", "anxa1_untreated", "detection")
    for path in (results / f"tables/{name}.tsv" for name in names):
        path.write_text(path.read_text().splitlines()[0] + "\n")
    return contexts(results, sheet)


def test_a_row_a_patient_says_what_came_back(plain):
    page = text(clones.build(plain[0]))
    rows = page.partition('id="clone-table"')[2].partition("</table>")[0]
    assert re.findall(r'scope="row"[^>]*>(?:<a [^>]*>)?(\w+)<', rows) == ["MM1", "P1", "P2"]
    assert "B: 100 % (97 to 100)" in rows
    assert "same immunoglobulin, new subclone" in rows
    assert "+1q -13q" in rows
    assert "no plasma cells" in rows
    assert "a focal deletion of BCMA (TNFRSF17) cannot be seen" in page


def test_the_negative_control_counts_judged_cells_of_donors_only(plain):
    calls = clones.healthy_calls(plain[0], ["HD1"])
    plasma = plain[0].evidence.clonal["plasma"]
    assert calls["n_judged"] == (plasma["patient_id"] == "HD1").sum() > 0
    assert calls["n_malignant"] == 0
    assert calls["high"] > 0.1
    assert "a false-positive rate of 0.0 %" in text(clones.build(plain[0]))
    wrong = clones.healthy_calls(plain[0], ["P1"])
    assert 0.5 < wrong["share"] < 1


def test_undetermined_cells_show_no_false_positive_rate(plain):
    plasma = plain[0].evidence.clonal["plasma"]
    before = plasma["malignancy"].copy()
    try:
        plasma["malignancy"] = "undetermined"
        page = text(clones.build(plain[0]))
    finally:
        plasma["malignancy"] = before
    assert "plasma cells of healthy donors stay undetermined" in page
    assert "a false-positive rate of" not in page


def test_verdicts_stand_with_their_numbers_and_the_warning(plain):
    page = text(antigens.build(plain[0]))
    assert "does not exclude loss of the epitope" in page
    assert "0.01 (0.001 to 0.05)" in page
    assert "own cells before treatment" in page
    assert "2.5 % (0.30 % to 9 %)" in page


def test_a_patient_s_page_names_the_clone_and_no_agent_against_a_lost_antigen(plain):
    came_back = text(patient_molecules.build_clones(plain[1]))
    assert (
        "At relapse 100 of 100 malignant plasma cells are of clone B, 100 % (interval 97 to 100 %)"
        in came_back
    )
    assert "it made up 2 % of the malignant cells before" in came_back
    shown = text(patient_molecules.build_antigens(plain[1]))
    lost = shown.partition("BCMA (TNFRSF17)<")[2].partition("</tr>")[0]
    assert "<strong>lost</strong>" in lost
    assert "log2 change 2.1, interval 1.4 to 2.9" in shown
    targets = text(patient_molecules.build_targets(plain[1]))
    assert "so that no agent is named: BCMA (TNFRSF17)" in targets
    assert "talquetamab" in targets
    assert "TNFRSF17</th>" not in targets


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [("0", "0.995", False), ("0.004", "1", False), ("0.02", "1", True), ("0", "0.9", True)],
)
def test_a_share_is_told_where_its_interval_leaves_something_out(low, high, told):
    limits = {"retaining_share_ci_low": low, "retaining_share_ci_high": high}
    row = Row("antigens", {"retaining_share": "0.44", **limits})
    assert patient_molecules.share_is_told(row) is told
    assert not patient_molecules.share_is_told(Row("antigens", limits))


def test_a_patient_without_libraries_is_not_assessable(plain):
    came_back = text(patient_molecules.build_clones(plain[2]))
    assert "Not assessable:</strong> no library of this patient is in the sample sheet" in came_back
    assert "no relapse clone was found" in text(patient_molecules.build_antigens(plain[2]))


def test_a_cohort_without_plasma_cells_says_why_nothing_is_shown(hollow):
    cohort, patient, _ = hollow
    assert clones.NO_PLASMA in text(clones.build(cohort))
    assert "<svg" not in text(clones.build(cohort))
    assert "no library holds malignant plasma cells" in text(antigens.build(cohort))
    assert "Not assessable:" in text(patient_molecules.build_clones(patient))
    assert "Not assessable:" in text(patient_molecules.build_antigens(patient))


@pytest.mark.parametrize(
    ("build", "which"),
    [
        (clones.build, 0),
        (antigens.build, 0),
        (patient_molecules.build_clones, 1),
        (patient_molecules.build_molecules, 1),
    ],
)
def test_words_of_a_table_stay_words(hostile, build, which):
    page = text(build(hostile[which]))
    assert "<img src=x" not in page
    assert "<script" not in page
    if build is not clones.build:
        assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert HOSTILE_REASON not in page


def test_plasma_cells_set_aside_as_doublets_are_said():
    cells = pd.DataFrame(
        {
            "sample_id": ["L1", "L1", "L2", "L2"],
            "lineage": pd.array(["Plasma", "Plasma", "T", None], dtype="string"),
            "qc_pass": [False, False, True, False],
            "qc_reason": pd.array(["high_counts;doublet", "doublet", "", "doublet"], "string"),
        }
    )
    assert clones.why_no_plasma(cells) == (
        "no plasma cell passed quality control; 2 in 1 library were set aside as doublets"
    )
    other = cells.assign(qc_reason=["low_counts", "dying", "", "doublet"])
    assert clones.why_no_plasma(other) == clones.NO_PLASMA
    assert clones.why_no_plasma(cells[:0]) == clones.NO_PLASMA


@pytest.mark.parametrize(
    ("panels", "words"),
    [
        ([None, None], ""),
        (
            [["CD3", "CD38"], None, ["CD3"]],
            "Antibodies were counted in 2 libraries: no antibody of the panel is against BCMA "
            "(TNFRSF17), so its protein is not seen.",
        ),
        (
            [["CD3", "CD269"], ["CD3"]],
            "Antibodies were counted in 2 libraries: one is against BCMA (TNFRSF17) in 1 of them; "
            "its share stands beside the RNA.",
        ),
        (
            [["ADT_BCMA"]],
            "Antibodies were counted in 1 library: one is against BCMA (TNFRSF17) in it; its share "
            "stands beside the RNA.",
        ),
    ],
)
def test_antibodies_are_told_by_whether_they_see_the_target(panels, words):
    libraries = {
        f"S{i}": {"features": {"Antibody Capture": names} if names else {}}
        for i, names in enumerate(panels)
    }
    assert antigens.antibody_words(libraries, "TNFRSF17") == words
