"""Gene sets as shipped and as users give them, and what enrichment says of them."""

import itertools
import os

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.genes import gene_table
from relapsescope.programmes.enrichment import (
    adjusted_shares,
    mean_change,
    over_patients,
    rank_sets,
    share_errors,
)
from relapsescope.programmes.gene_sets import (
    NamedSet,
    gene_set_problems,
    parse_gmt,
    read_gene_sets,
    read_shipped,
)
from scipy.stats import false_discovery_control

MEASURED = {"ANXA1", "TNFRSF17", "GPRC5D", "FCRL5", "CD38", "SLAMF7", "SDC1", "CD19"}


def test_shipped_sets_are_cited_current_and_not_circular():
    symbols = set(gene_table().symbols)
    sets = read_shipped()
    assert len({one.name for one in sets}) == len(sets) >= 12
    for one in sets:
        assert one.source
        assert len(one.symbols) >= 5
        assert len(set(one.symbols)) == len(one.symbols)
        assert set(one.symbols) <= symbols
        assert not set(one.symbols) & MEASURED


def gmt(folder, text, name="own.gmt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_a_gmt_of_former_symbols_and_ensembl_ids_is_read(tmp_path):
    """WHSC1 is NSD2 now; ENSG00000048462 is TNFRSF17."""
    path = gmt(tmp_path, "mine\tabout\tWHSC1\tENSG00000048462.7\tXBP1\tXBP1\n\n")
    (one,) = read_gene_sets([path])
    assert one == NamedSet("mine", ("NSD2", "TNFRSF17", "XBP1"), "about")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "own.gmt: holds no gene set; a line is name, description, genes"),
        (b"\xff\xfe\x00PK", "own.gmt: is not a text file in UTF-8; give a GMT file"),
        (
            "alone\n",
            "own.gmt:1: 1 field(s) between tabs; a line is name, description, genes",
        ),
        (
            "a\t\tXBP1\na\t\tMZB1\n",
            "own.gmt:2: the set a is on line 1 too; rename one of them",
        ),
        ("\tabout\tXBP1\n", "own.gmt:1: the set has no name; write one in the first field"),
        (
            "mouse\t\tXbp1\tMzb1\n",
            "own.gmt:1: none of the genes of mouse is a human gene symbol or Ensembl ID; "
            "translate mouse symbols and other identifiers",
        ),
        (
            "hypoxia\t\tLDHA\n",
            "config programmes.gene_sets: the set hypoxia is in shipped and in {path}; "
            "rename one of them",
        ),
    ],
)
def test_each_mistake_in_a_gmt_is_one_line(tmp_path, text, line):
    path = gmt(tmp_path, text)
    assert gene_set_problems(["shipped", path]) == [line.format(path=path)]
    with pytest.raises(InputProblem):
        read_gene_sets(["shipped", path])


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_gmt_is_a_regular_file(tmp_path, make):
    make(tmp_path / "sets.gmt")
    sets, (line,) = parse_gmt(tmp_path / "sets.gmt")
    assert sets == []
    assert line.startswith("sets.gmt: a ") and "not a file" in line


def test_a_missing_gmt_is_named():
    (line,) = gene_set_problems(["nowhere.gmt"])
    assert line.startswith("config programmes.gene_sets: no file nowhere.gmt; write `shipped`")


GENES = [f"G{i}" for i in range(10)]
SCORES = np.array([5.0, 4.0, 3.0, 2.0, 1.0, -1.0, -2.0, -3.0, -4.0, -5.0])


def by_hand(members, scores):
    """Return Subramanian's running sum at its furthest from nought, with weight 1."""
    hits = np.array([gene in members for gene in GENES])
    up = np.where(hits, np.abs(scores), 0) / np.abs(scores[hits]).sum()
    down = np.where(hits, 0, 1 / (~hits).sum())
    running = np.cumsum(up - down)
    return running[np.argmax(np.abs(running))]


@pytest.mark.parametrize("members", [("G0", "G1", "G3"), ("G2", "G5", "G9"), ("G7", "G8", "G9")])
def test_the_score_is_the_running_sum_worked_out_by_hand(members):
    found = rank_sets(
        GENES,
        SCORES,
        [NamedSet("s", members, "")],
        min_genes=2,
        max_genes=9,
        permutations=50,
        seed=1,
    )["s"]
    assert found.es == pytest.approx(by_hand(members, SCORES), abs=1e-6)
    assert found.n_genes == 3


def test_a_first_set_by_hand_and_its_leading_edge():
    """G0, G1, G3 of scores 5, 4, 2: after G1 9/11, after G2 -1/7, after G3 +2/11: 6/7."""
    found = rank_sets(
        GENES,
        SCORES,
        [NamedSet("s", ("G0", "G1", "G3"), ""), NamedSet("small", ("G0", "absent"), "")],
        min_genes=2,
        max_genes=9,
        permutations=200,
        seed=1,
    )
    assert list(found) == ["s"]
    assert found["s"].es == pytest.approx(6 / 7, abs=1e-6)
    assert found["s"].leading_edge == ("G0", "G1", "G3")
    # All 120 sets of three genes, scored by hand; gseapy compares on the set's own side.
    every = np.array([by_hand(chosen, SCORES) for chosen in itertools.combinations(GENES, 3)])
    share = np.mean(every[every > 0] >= 6 / 7 - 1e-9)
    assert found["s"].random_share == pytest.approx(share, abs=0.09)


def test_shares_are_adjusted_by_hand():
    """Times 4 over the rank: 0.04, 0.08, 0.0533, 0.5; a smaller one further down counts."""
    errors = np.array([0.02, 0.1, 0.03, 0.01])
    fdr, fdr_errors = adjusted_shares(np.array([0.04, 0.5, 0.04, 0.01]), errors)
    assert fdr == pytest.approx([0.16 / 3, 0.5, 0.16 / 3, 0.04])
    assert fdr_errors == pytest.approx([0.03 * 4 / 3, 0.1, 0.03 * 4 / 3, 0.04])
    assert fdr == pytest.approx(false_discovery_control([0.04, 0.5, 0.04, 0.01]))


def test_an_adjusted_share_does_not_jump_when_one_share_passes_another():
    others, errors = [0.01, 0.02, 0.6, 0.9], np.ones(6)
    before = adjusted_shares(np.array([0.300001, 0.299999, *others]), errors)[0]
    after = adjusted_shares(np.array([0.299999, 0.300001, *others]), errors)[0]
    assert np.abs(after - before).max() < 6 * 2e-6


def test_the_error_of_a_share_is_what_other_random_sets_move_it_by():
    drawn = np.random.default_rng(1).binomial(500, [[0.0], [0.02], [0.4]], (3, 4000)) / 500
    found = share_errors(np.array([0.0, 0.02, 0.4]), 1000)
    assert found[1:] == pytest.approx(drawn[1:].std(axis=1), rel=0.06)
    # None of 500: one more is 1 of 502, so its error is about 1/500 and not nought.
    assert found[0] == pytest.approx(1 / 500, rel=0.01)


def test_the_seed_fixes_the_random_sets_and_missing_scores_are_left_out():
    sets = [NamedSet("s", tuple(GENES[:4]), "")]
    options = {"min_genes": 2, "max_genes": 9, "permutations": 100, "seed": 3}
    scores = SCORES.copy()
    scores[3] = np.nan
    first = rank_sets(GENES, scores, sets, **options)["s"]
    assert first == rank_sets(GENES[::-1], scores[::-1], sets, **options)["s"]
    assert first.n_genes == 3


def test_a_set_s_change_is_its_genes_mean_and_patients_are_the_unit():
    change = np.array([1.0, 2.0, np.nan, 5.0])
    assert mean_change(np.array(["A", "B", "C", "D"]), change, ["A", "B", "C"]) == 1.5
    # R: t.test(c(1, 2, 3)): mean 2, 95 % interval -0.4841377 to 4.4841377, p 0.07417990.
    found = over_patients({"P1": 1.0, "P2": 2.0, "P3": 3.0})
    assert found.mean == 2.0
    assert (found.low, found.high) == pytest.approx((-0.4841377, 4.4841377))
    assert found.p_value == pytest.approx(0.07417990)
    assert np.isnan(over_patients({"P1": 1.0}).p_value)
