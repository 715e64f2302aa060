"""The rules of mechanisms: one flipped piece of evidence changes one verdict and no other."""

import itertools
import math

import pytest
from relapsescope.mechanisms.answers import came_back
from relapsescope.mechanisms.cited import Row, parse_cited, uncited_numbers
from relapsescope.mechanisms.marrow_course_findings import FACTS
from relapsescope.mechanisms.patient_evidence import relapsed_patients
from relapsescope.mechanisms.verdicts import mechanism_rows, primary_mechanism, read_rules
from relapsescope.vocabulary import NOT_ASSESSABLE, NOT_SUPPORTED, SUPPORTED

from ..cohorts.relapse_evidence import SHEET, emptied, patient

RULES = read_rules()
TARGET = {"clone_id": "B", "antigen": "TNFRSF17"}
CAR = {"sample_id": "P_relapse"}
OVERALL = {"measure": "overall"}
LINE = {"line": "2"}
LOST = ("antigens", TARGET, {"verdict": "LOST", "ratio": "0.01", "ratio_ci_high": "0.05"})
REDUCED = ("antigens", TARGET, {"verdict": "REDUCED", "ratio": "0.3", "ratio_ci_high": "0.5"})
LIKELY = ("antigens", TARGET, {"verdict": "REDUCED", "ratio": "0.04", "ratio_ci_high": "0.14"})
GONE = (
    "car_t",
    CAR,
    {"persistence_verdict": "NOT_PERSISTENT", "n_cells": "0", "fraction_of_t": "0"}
    | {"fraction_ci_low": "0", "fraction_ci_high": "0.007", "exhaustion_verdict": "INDETERMINATE"},
)
EXHAUSTED = (
    "car_t",
    CAR,
    {"exhaustion_verdict": "EXHAUSTED", "good_effect_ci_low": "0.2", "chu_effect_ci_low": "0.1"},
)
RAISED = ("suppression", {}, {"verdict": "RAISED", "log2_ratio_ci_low": "1.0"})
VGPR = ("course", LINE, {"best_response": "VGPR", "mrd_status": "positive"})
NEW = ("clones", {}, {"relation": "same_ig_new_subclone", "share_before": "0.0"})


def rows(*changes, **more):
    return {row["mechanism"]: row for row in mechanism_rows(patient(*changes, **more))}


def verdicts(*changes, **more):
    return {name: row["verdict"] for name, row in rows(*changes, **more).items()}


def primary(*changes, **more):
    found = [n for n, row in rows(*changes, **more).items() if row["is_primary"]]
    assert len(found) <= 1
    return found[0] if found else None


def test_without_evidence_for_any_nothing_is_supported_and_none_primary():
    assert verdicts() == dict.fromkeys(FACTS, NOT_SUPPORTED)
    assert primary() is None


def test_of_a_patient_whose_step_failed_nothing_is_decided_whatever_the_tables_hold():
    failed = "clones failed in this run, and the next run makes it anew"
    found = rows(LOST, GONE, EXHAUSTED, RAISED, failed=failed)
    assert {row["verdict"] for row in found.values()} == {NOT_ASSESSABLE}
    assert {row["evidence"] for row in found.values()} == {f"not assessable: {failed}"}
    assert not any(row["is_primary"] or row["primary_leaning"] for row in found.values())
    assert all(math.isnan(row["leaning"]) for row in found.values())
    without = patient(("clones", {"clone_id": "B"}, None), failed=failed)
    assert came_back(without).text.endswith(f"which cells came back is not known: {failed}.")


FLIPS = [
    ("antigen_escape", SUPPORTED, LOST),
    ("antigen_escape", SUPPORTED, REDUCED),
    ("antigen_escape", NOT_ASSESSABLE, ("antigens", TARGET, {"verdict": "INDETERMINATE"})),
    ("antigen_escape", NOT_ASSESSABLE, ("antigens", {"antigen": "TNFRSF17"}, None)),
    ("t_cell_exhaustion", SUPPORTED, EXHAUSTED),
    ("t_cell_exhaustion", NOT_ASSESSABLE, ("car_t", CAR, {"exhaustion_verdict": "INDETERMINATE"})),
    (
        "car_t_non_persistence",
        NOT_ASSESSABLE,
        ("car_t", CAR, {"persistence_verdict": "INDETERMINATE"}),
    ),
    ("suppressive_microenvironment", SUPPORTED, RAISED),
    (
        "suppressive_microenvironment",
        NOT_ASSESSABLE,
        ("suppression", OVERALL, {"verdict": "INDETERMINATE"}),
    ),
    ("suppressive_microenvironment", NOT_ASSESSABLE, ("suppression", OVERALL, None)),
    ("residual_disease", SUPPORTED, VGPR),
    (
        "residual_disease",
        NOT_ASSESSABLE,
        ("course", LINE, {"best_response": "NE", "reported_response": ""}),
    ),
    ("clonal_evolution", SUPPORTED, NEW),
    ("clonal_evolution", SUPPORTED, ("clones", {}, {"relation": "different_ig"})),
    ("clonal_evolution", NOT_ASSESSABLE, ("clones", {}, {"relation": "not_assessable"})),
    ("clonal_evolution", NOT_ASSESSABLE, ("clones", {}, {"cnv_evaluable": "False"})),
]


@pytest.mark.parametrize(("mechanism", "verdict", "change"), FLIPS)
def test_one_flipped_piece_of_evidence_changes_its_verdict_and_no_other(mechanism, verdict, change):
    expected = verdicts() | {mechanism: verdict}
    assert verdicts(change) == expected


def test_car_t_cells_that_are_gone_decide_persistence_and_leave_none_to_be_exhausted():
    """Exhaustion needs CAR-T cells that are there, so this is the one pair that is coupled."""
    found = rows(GONE)
    assert found["car_t_non_persistence"]["verdict"] == SUPPORTED
    assert found["t_cell_exhaustion"]["state"] == "gone"
    assert verdicts(GONE, EXHAUSTED) == verdicts(GONE)
    others = set(FACTS) - {"car_t_non_persistence"}
    assert {name: found[name]["verdict"] for name in others} == dict.fromkeys(others, NOT_SUPPORTED)


UNREAD = [
    ("antigens", {"clone_id": "B", "antigen": "GPRC5D"}, {"verdict": "LOST"}),
    ("antigens", {"clone_id": "all_malignant", "antigen": "TNFRSF17"}, {"verdict": "LOST"}),
    ("car_t", {"sample_id": "P_remission"}, {"exhaustion_verdict": "EXHAUSTED"}),
    ("course", {"line": "1"}, {"best_response": "SD", "progression_day": "-50"}),
    ("suppression", {"measure": "treg_fraction"}, {"verdict": "INDETERMINATE"}),
    ("assessments", {"day": "290"}, {"mrd": "negative"}),
]


@pytest.mark.parametrize("change", UNREAD, ids=lambda change: change[0])
def test_evidence_that_a_rule_does_not_name_changes_no_verdict(change):
    assert verdicts(change) == verdicts()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((LOST,), "antigen_escape"),
        ((LOST, GONE), "antigen_escape"),
        ((LOST, EXHAUSTED, RAISED, VGPR, NEW), "antigen_escape"),
        ((LIKELY, EXHAUSTED, NEW), "antigen_escape"),
        ((REDUCED,), "antigen_escape"),
        ((REDUCED, EXHAUSTED), "antigen_escape"),
        ((REDUCED, GONE), "car_t_non_persistence"),
        ((GONE, VGPR), "car_t_non_persistence"),
        ((GONE, RAISED), "car_t_non_persistence"),
        ((RAISED, EXHAUSTED), "suppressive_microenvironment"),
        ((EXHAUSTED, VGPR), "t_cell_exhaustion"),
        ((VGPR,), "residual_disease"),
        ((VGPR, NEW), "residual_disease"),
        ((NEW,), None),
    ],
)
def test_the_primary_mechanism_follows_the_argued_order(changes, expected):
    assert primary(*changes) == expected


UNKNOWN_TARGET = (
    "antigens",
    TARGET,
    {"verdict": "INDETERMINATE", "ratio": "0.4", "ratio_ci_low": "0.02"},
)
NOT_LOST = ("antigens", TARGET, {"verdict": "INDETERMINATE", "ratio_ci_low": "0.2"})
UNKNOWN_CAR = ("car_t", CAR, {"persistence_verdict": "INDETERMINATE"})


@pytest.mark.parametrize("shown", [GONE, RAISED, EXHAUSTED, VGPR])
def test_none_is_primary_while_loss_of_the_target_is_open(shown):
    assert primary(UNKNOWN_TARGET, shown) is None
    assert "is not decided" in rows(UNKNOWN_TARGET, shown)["antigen_escape"]["primary_reason"]
    assert primary(NOT_LOST, shown) is not None


@pytest.mark.parametrize("shown", [REDUCED, RAISED, EXHAUSTED, VGPR])
def test_none_is_primary_while_it_is_open_whether_car_t_cells_are_left(shown):
    assert primary(UNKNOWN_CAR, shown) is None


def test_what_is_shown_comes_before_a_lesser_mechanism_that_is_open():
    open_still = ("suppression", OVERALL, {"verdict": "INDETERMINATE"})
    assert primary(open_still, EXHAUSTED) == "t_cell_exhaustion"


def test_every_combination_of_states_names_at_most_one_supported_primary():
    states = {n: list(found["states"]) for n, found in RULES.mechanisms.items()}
    for combination in itertools.product(*states.values()):
        chosen = dict(zip(states, combination, strict=True))
        found = primary_mechanism(chosen, RULES)
        assert found.reason
        if found.mechanism:
            assert RULES.verdict(found.mechanism, chosen[found.mechanism]) == SUPPORTED
            assert found.mechanism != RULES.never_primary["mechanism"]
        for step in RULES.primary:
            if step.sufficient and step.mechanism != found.mechanism and found.mechanism:
                state = chosen[step.mechanism]
                verdict = RULES.verdict(step.mechanism, state)
                earlier = [s.mechanism for s in RULES.primary].index(found.mechanism)
                if [s.mechanism for s in RULES.primary].index(step.mechanism) < earlier:
                    assert verdict == NOT_SUPPORTED or state in step.excluded_by


def test_strength_means_what_the_rules_say():
    """By hand: 1 - 0.05; capped; 1 - 0.007 / 0.07; 1 - 2 ** -1; both signatures; 0.9 - 0."""
    assert rows(LOST)["antigen_escape"]["strength"] == pytest.approx(0.95)
    assert rows(LIKELY)["antigen_escape"]["strength"] == pytest.approx(0.59)
    assert rows(REDUCED)["antigen_escape"]["strength"] == pytest.approx(0.5)
    assert rows(GONE)["car_t_non_persistence"]["strength"] == pytest.approx(0.9)
    assert rows(RAISED)["suppressive_microenvironment"]["strength"] == pytest.approx(0.5)
    assert rows(EXHAUSTED)["t_cell_exhaustion"]["strength"] == pytest.approx(1.0)
    assert rows(VGPR)["residual_disease"]["strength"] == pytest.approx(0.6)
    assert rows(NEW)["clonal_evolution"]["strength"] == pytest.approx(0.9)


@pytest.mark.parametrize("change", [flip[2] for flip in FLIPS] + [GONE, LIKELY])
def test_a_verdict_has_a_strength_unless_it_is_not_assessable(change):
    for row in rows(change).values():
        missing = row["strength"] != row["strength"]
        assert missing == (row["verdict"] == NOT_ASSESSABLE)
        assert missing or 0 <= row["strength"] <= 1
        if missing:
            assert row["not_assessed"]
        assert row["evidence"]


@pytest.mark.parametrize("change", [flip[2] for flip in FLIPS] + [GONE, LIKELY])
def test_every_number_of_a_sentence_has_its_cell(change):
    for row in rows(change).values():
        for name in ("evidence", "against", "not_assessed"):
            assert uncited_numbers(parse_cited(row[name], row[f"{name}_cells"])) == []


def test_mrd_that_stays_positive_in_a_complete_response_is_residual_disease():
    positive = (
        ("course", LINE, {"mrd_status": "positive"}),
        ("assessments", {"day": "84"}, {"mrd": "positive"}),
    )
    assert rows(*positive)["residual_disease"]["state"] == "mrd_positive"
    at_relapse = (
        ("course", LINE, {"mrd_status": "positive"}),
        ("assessments", {"day": "84"}, None),
    )
    assert rows(*at_relapse)["residual_disease"]["state"] == "cr"
    assert "not tested" in rows(*at_relapse)["residual_disease"]["not_assessed"]


@pytest.mark.parametrize(
    ("reported", "state"), [("VGPR", "reported_below_cr"), ("CR", "reported_cr")]
)
def test_a_reported_response_stands_in_where_labs_are_missing(reported, state):
    change = ("course", LINE, {"best_response": "NE", "reported_response": reported})
    assert rows(change)["residual_disease"]["state"] == state


def test_car_t_cells_never_seen_are_gone_only_after_a_response():
    unseen = ("car_t", {"sample_id": "P_remission"}, None)
    found = rows(GONE, unseen)["car_t_non_persistence"]
    assert (found["state"], found["strength"]) == ("gone_after_response", 0.5)
    silent = ("course", LINE, {"best_response": "SD", "reported_response": ""})
    assert rows(GONE, unseen, silent)["car_t_non_persistence"]["state"] == "never_shown"


def test_the_line_s_own_target_goes_before_the_configuration_s():
    lost = ("antigens", {"clone_id": "B", "antigen": "GPRC5D"}, {"verdict": "LOST"})
    other = ("course", LINE, {"target": "GPRC5D"})
    assert verdicts(lost)["antigen_escape"] == NOT_SUPPORTED
    assert verdicts(lost, other)["antigen_escape"] == SUPPORTED
    assert verdicts(lost, car_target="GPRC5D")["antigen_escape"] == SUPPORTED
    missing = rows(car_target="CD19")["antigen_escape"]
    assert missing["verdict"] == NOT_ASSESSABLE
    assert "CD19 is not among the antigens" in missing["not_assessed"]


def test_a_failed_relapse_library_leaves_only_the_course():
    failed = ("samples", {"sample_id": "P_relapse"}, {"verdict": "fail", "reason": "24 counts"})
    gone = [(name, {"sample_id": "P_relapse"}, None) for name in ("clones", "antigens", "car_t")]
    found = rows(failed, *gone, ("suppression", {}, None), VGPR)
    assessed = {n for n, row in found.items() if row["verdict"] != NOT_ASSESSABLE}
    assert assessed == {"residual_disease"}
    assert primary(failed, *gone, ("suppression", {}, None), VGPR) is None
    assert "failed quality control (24 counts)" in found["antigen_escape"]["not_assessed"]


def test_plasma_cells_that_were_set_aside_are_named_where_no_malignant_cell_was_found():
    gone = ("clones", {"sample_id": "P_relapse"}, None)
    aside = ("samples", {"sample_id": "P_relapse"}, {"n_plasma_set_aside": "17"})
    said = rows(gone, aside)["antigen_escape"]["not_assessed"]
    assert "; 17 plasma cells of P_relapse were set aside" in said
    assert "set aside" not in rows(gone)["antigen_escape"]["not_assessed"]
    assert rows(aside) == rows()


def test_no_clinical_tables_leave_residual_disease_open_and_the_rest_decided():
    bare = (("course", {}, None), ("assessments", {}, None))
    assert verdicts(*bare) == verdicts() | {"residual_disease": NOT_ASSESSABLE}
    assert primary(*bare, LOST) == "antigen_escape"


def test_a_library_without_the_car_feature_says_so():
    bare = (
        "car_t",
        CAR,
        {"n_cells": "", "persistence_verdict": "INDETERMINATE"}
        | {"persistence_reason": "no CAR feature in the reference"},
    )
    found = rows(bare)
    for name in ("t_cell_exhaustion", "car_t_non_persistence"):
        assert found[name]["verdict"] == NOT_ASSESSABLE
        assert "no CAR feature in the reference" in found[name]["not_assessed"]


def test_relapse_is_a_library_or_a_progression_after_car_t():
    sheet = [{"patient_id": "P"} | row for row in SHEET]
    assert relapsed_patients({"course": []}, sheet) == ["P"]
    before = patient(sheet=SHEET[:2]).tables
    assert relapsed_patients(before, sheet[:2]) == ["P"]
    course = patient(("course", LINE, {"progression_day": ""})).tables
    assert relapsed_patients(course, sheet[:2]) == []


def test_of_two_relapse_libraries_the_last_day_and_then_the_fuller_one_speaks():
    sorted_one = {"sample_id": "P_sorted", "timepoint": "relapse", "tissue": "bone_marrow"}
    later = patient(sheet=[*SHEET, sorted_one | {"day": "310"}])
    same = patient(sheet=[*SHEET, sorted_one | {"day": "300"}])
    fewer = {"sample_id": "P_sorted", "n_cells": "20"}
    for found, expected in ((later, "P_sorted"), (same, "P_relapse")):
        (row,) = found.tables["clones"]
        found.tables["clones"].append(Row("clones", row.values | fewer))
        assert found.relapse_clone["sample_id"] == expected


def test_every_state_of_the_rules_can_be_reached_and_none_is_missing():
    reached = {name: set() for name in FACTS}
    changes = [flip[2:] for flip in FLIPS] + [
        *((), (GONE,), (LIKELY,), (UNKNOWN_TARGET,), (NOT_LOST,)),
        (("clones", {}, None), ("course", {}, None), ("suppression", {}, None)),
        (("car_t", CAR, None),),
        (GONE, ("car_t", {"sample_id": "P_remission"}, None)),
        (
            GONE,
            ("car_t", {"sample_id": "P_remission"}, None),
            ("course", LINE, {"best_response": "SD"}),
        ),
        (("course", LINE, {"best_response": "NE"}),),
        (("course", LINE, {"best_response": "NE", "reported_response": "PR"}),),
        (("course", LINE, {"mrd_status": ""}), ("assessments", {}, None)),
        (("course", LINE, {"mrd_status": "positive"}), ("assessments", {}, {"mrd": "positive"})),
    ]
    hit = {"patient_id": "P", "day": "", "assay": "WGS", "gene_or_arm": "TNFRSF17"}
    hit |= {"event": "mutation", "vaf_or_share": ""}
    made = [rows(*change) for change in changes]
    made += [
        rows(genetics=[hit | {"hgvs_p": change, "note": note}])
        for change, note in (("p.Arg27Pro", ""), ("p.Gln38*", "biallelic"))
    ]
    made += [
        rows(("car_t", CAR, None), aplasia=[emptied(verdict)])
        for verdict in ("APLASIA", "NO_APLASIA")
    ]
    for found in made:
        for name, row in found.items():
            reached[name].add(row["state"])
    assert reached == {n: set(found["states"]) for n, found in RULES.mechanisms.items()}
