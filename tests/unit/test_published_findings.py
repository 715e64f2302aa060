"""Findings of other studies, counted on this cohort beside the published figure."""

import pytest
from relapsescope.mechanisms.claims import claim_rows, read_claims
from relapsescope.mechanisms.settings import ClaimSettings

from ..cohorts.relapse_evidence import patient

LINE = {"patient_id": "P"}
SETTINGS = ClaimSettings(citation="none", min_decided=3)
TABLES = {"anxa1_untreated": [], "bulk_summary": []}


def found(patients, number):
    rows = claim_rows(patients, TABLES, SETTINGS)
    return next(row for row in rows if row["number"] == number)


def after(best, therapy="bispecific", **given):
    """Return P with one more line, of this response, after the CAR-T line."""
    one = patient(**given)
    made = type(one.tables["course"][0])
    row = {"line": "3", "therapy_class": therapy, "best_response": best, "start_day": "320"}
    one.tables["course"].append(made("course", LINE | row))
    return one


def hit(event, change="", assay="WES"):
    row = {"patient_id": "P", "day": "300", "assay": assay, "gene_or_arm": "TNFRSF17"}
    return row | {"event": event, "hgvs_p": change, "note": "", "vaf_or_share": ""}


def test_every_finding_has_a_source_and_a_figure_or_says_that_it_was_not_read():
    for one in read_claims()["published"]:
        assert "doi:10." in one["citation"] or "DOI not found" in one["citation"]
        assert one["share"] is None or 0 <= one["share"] <= 1
        assert one["figure"] and (one["share"] is None or "%" in one["figure"])


@pytest.mark.parametrize(
    ("responses", "verdict", "n"),
    [
        (["VGPR", "SD", "PR"], "compatible with the published figure", (2, 3)),
        (["CR"] * 8, "differs from the published figure", (8, 8)),
        (["CR", "PD", "NE"], "not decided here", (1, 2)),
        (["NE"], "not assessable", (0, 0)),
    ],
)
def test_the_first_salvage_stands_beside_the_published_share(responses, verdict, n):
    row = found([after(best) for best in responses], 9)
    assert (row["verdict"], (row["n_showing"], row["n_assessable"])) == (verdict, n)
    assert (row["min_patients"], row["published"]) == (3, "43.4 % of 79 patients")


def test_a_second_car_t_line_counts_from_vgpr_and_has_no_figure_to_compare():
    row = found([after(best, "car_t") for best in ("VGPR", "PR", "sCR")], 10)
    assert (row["n_showing"], row["n_assessable"]) == (2, 3)
    assert row["verdict"] == "no published figure to compare" and "not read" in row["published"]
    assert found([after("VGPR")] * 3, 10)["n_assessable"] == 0


def test_gprc5d_counts_only_after_cells_against_it():
    lost = ("antigens", {"antigen": "GPRC5D"}, {"verdict": "LOST"})
    assert found([patient(lost, car_target="GPRC5D")] * 3, 11)["n_showing"] == 3
    assert found([patient(car_target="GPRC5D")] * 3, 11)["n_showing"] == 0
    assert found([patient(lost)] * 3, 11)["n_assessable"] == 0


def test_both_alleles_are_counted_where_genetics_were_read():
    both = [hit("deletion", assay="FISH"), hit("mutation", "p.Gln38*")]
    cohort = [patient(genetics=both), patient(genetics=[hit("none")]), patient(genetics=both[:1])]
    row = found([*cohort, patient()], 12)
    assert (row["n_showing"], row["n_assessable"]) == (1, 3)
    assert found([patient(genetics=both, car_target="GPRC5D")], 12)["n_assessable"] == 0
