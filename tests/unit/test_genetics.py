"""Genetics of the target: two hits, an epitope that is changed, and arms beside our own."""

import pytest
from relapsescope.antigens.targets import genetic_note
from relapsescope.course.clinical import check_clinical, read_clinical
from relapsescope.course.genetics import arm_agreement, target_genetics, words_of
from relapsescope.mechanisms.cited import parse_cited, uncited_numbers
from relapsescope.mechanisms.verdicts import mechanism_rows

from ..cohorts.relapse_evidence import patient
from .test_mechanisms import EXHAUSTED, GONE, LOST

HEAD = "patient_id\tday\tassay\tgene_or_arm\tevent\thgvs_p\tvaf_or_share\tnote"
ROW = {"patient_id": "P", "day": "300", "assay": "WGS", "gene_or_arm": "TNFRSF17"}


def row(event="mutation", hgvs_p="", **more):
    return ROW | {"event": event, "hgvs_p": hgvs_p, "vaf_or_share": "", "note": ""} | more


EPITOPE = row(hgvs_p="p.Arg27Pro", vaf_or_share="0.45")
STOP = row(hgvs_p="p.Gln38*", vaf_or_share="0.25")
DELETION = row("deletion", vaf_or_share="0.9")
INTACT = row("none")


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        ([], ""),
        ([EPITOPE], "epitope_mutated"),
        ([row(hgvs_p="p.Pro34del")], "epitope_mutated"),
        ([STOP], "one_allele"),
        ([DELETION], "one_allele"),
        ([DELETION, STOP], "genetic_loss"),
        ([DELETION | {"note": "homozygous"}], "genetic_loss"),
        ([DELETION, EPITOPE], "epitope_mutated"),
        ([row(hgvs_p="p.Ser30=")], ""),
        ([row(hgvs_p="p.Met1?")], "one_allele"),
        ([row(hgvs_p="p.Leu50fs")], "one_allele"),
        ([INTACT], "intact"),
        ([INTACT | {"assay": "FISH"}], ""),
        ([EPITOPE | {"gene_or_arm": "GPRC5D"}], ""),
        ([EPITOPE | {"day": "-20"}], ""),
        ([EPITOPE | {"day": ""}], "epitope_mutated"),
    ],
)
def test_states_of_a_target_s_gene(rows, state):
    assert target_genetics(rows, "TNFRSF17", since=0).state == state


def test_a_row_in_words():
    assert words_of(EPITOPE) == "mutation p.Arg27Pro of BCMA (TNFRSF17) by WGS"
    assert words_of(INTACT) == "no change of BCMA (TNFRSF17) by WGS"
    moved = row("translocation", gene_or_arm="t(4;14)", assay="FISH")
    assert words_of(moved) == "translocation t(4;14) by FISH"


def test_arms_of_cytogenetics_are_held_against_ours():
    """By hand: +1q agrees, -17p is not ours, 16p is unchanged in FISH but lost in ours."""
    found = [
        row("gain", gene_or_arm="1q", assay="FISH"),
        row("deletion", gene_or_arm="17p", assay="FISH"),
        row("none", gene_or_arm="16p", assay="array"),
        row("translocation", gene_or_arm="t(4;14)", assay="FISH"),
        row("gain", gene_or_arm="5p", assay="WES"),
    ]
    both = arm_agreement(found, ["+1q", "-16p"])
    assert both.agreeing == ("+1q by FISH",)
    assert both.conflicting == ("-17p by FISH", "unchanged 16p by array")


def with_genetics(rows, *changes):
    evidence = patient(*changes, genetics=rows)
    return {found["mechanism"]: found for found in mechanism_rows(evidence)}


def test_a_changed_epitope_is_an_escape_and_primary_although_rna_is_retained():
    found = with_genetics([EPITOPE], EXHAUSTED)["antigen_escape"]
    assert (found["verdict"], found["state"]) == ("SUPPORTED", "epitope_mutated")
    assert found["is_primary"]
    assert found["strength"] == pytest.approx(0.9)
    assert "mutation p.Arg27Pro of BCMA (TNFRSF17) by WGS" in found["evidence"]
    assert "RNA is retained" in found["against"]
    for name in ("evidence", "against"):
        assert uncited_numbers(parse_cited(found[name], found[f"{name}_cells"])) == []


def test_two_hits_are_an_escape_even_without_cells():
    none = [("clones", {}, None), ("antigens", {}, None)]
    found = with_genetics([DELETION, STOP], *none, GONE)["antigen_escape"]
    assert (found["verdict"], found["is_primary"]) == ("SUPPORTED", True)
    assert found["evidence"].startswith("genetics: deletion of BCMA")


def test_without_the_table_a_loss_is_excluded_at_the_level_of_rna_only():
    told = {
        name: with_genetics(rows)["antigen_escape"]
        for name, rows in (
            ("none", []),
            ("read", [INTACT]),
            ("one", [STOP]),
            ("before", [EPITOPE | {"day": "-9"}]),
        )
    }
    assert {found["verdict"] for found in told.values()} == {"NOT_SUPPORTED"}
    assert "at the level of RNA only" in told["none"]["against"]
    assert "at the level of RNA only" in told["before"]["against"]
    assert "RNA and sequencing (WGS)" in told["read"]["against"]
    assert "one allele is hit (mutation p.Gln38*" in told["one"]["against"]


def test_a_loss_by_rna_stays_one_and_losses_together_are_one_finding():
    gprc5d = ("antigens", {"clone_id": "B", "antigen": "GPRC5D"}, {"verdict": "LOST"})
    found = with_genetics([DELETION, STOP], LOST)["antigen_escape"]
    assert found["state"] == "lost"
    both = with_genetics([], LOST, gprc5d)["antigen_escape"]
    assert "lost together with it in the same cells: GPRC5D" in both["against"]


def test_agents_are_not_listed_where_genetics_speaks_against_them():
    assert "none is listed" in genetic_note(target_genetics([EPITOPE], "TNFRSF17"))
    assert "not listed" in genetic_note(target_genetics([DELETION, STOP], "TNFRSF17"))
    assert genetic_note(target_genetics([STOP], "TNFRSF17")) == ""


def test_wrong_rows_are_told_one_line_each(tmp_path):
    lines = [
        HEAD,
        "P\t300\tWGS\tBCMA\tmutation\tp.Arg27Pro\t0.4\t",
        "P\t300\tPCR\tTNFRSF17\tmutation\tArg27Pro\t45\t",
        "P\t300\tFISH\t17p\tdeletion\tp.Gln38*\t0.2\t",
        "P\t2024-01-02\tFISH\t17p\tloss\t\t0.2\t",
        "P\t300\tFISH\t17p\tmutation\t\t0.2\t",
        "P\t300\tWGS\tTNFRSF17\tmutation\tp.Arg27Pro\t0.4\tfine",
    ]
    (tmp_path / "genetics.tsv").write_text("\n".join(lines) + "\n")
    problems = check_clinical(tmp_path).problems
    for words in (
        "genetics.tsv:2 gene_or_arm: 'BCMA'",
        "write TNFRSF17",
        "genetics.tsv:3 assay: 'PCR' is not known",
        "genetics.tsv:3 hgvs_p: 'Arg27Pro' is no protein change",
        "genetics.tsv:3 vaf_or_share: 45",
        "genetics.tsv:4 event: deletion with the protein change p.Gln38*",
        "genetics.tsv:5 day: '2024-01-02' is a date",
        "genetics.tsv:5 event: 'loss' is not known",
        "genetics.tsv:6 gene_or_arm: mutation of the arm 17p",
    ):
        assert any(words in problem for problem in problems), (words, problems)
    assert not any("genetics.tsv:7" in problem for problem in problems)


def test_a_right_table_is_read(tmp_path):
    lines = [
        HEAD,
        "P\t300\tWGS\tTNFRSF17\tmutation\tp.Arg27Pro\t0.4\t",
        "P\t\tFISH\tt(4;14)\ttranslocation\t\t\t",
    ]
    (tmp_path / "genetics.tsv").write_text("\n".join(lines) + "\n")
    table = read_clinical(tmp_path).genetics
    assert list(table["hgvs_p"]) == ["p.Arg27Pro", None]
    assert table["vaf_or_share"].iloc[0] == 0.4
