"""Every sentence of three whole runs, by the kinds in `sentences.py`; and each kind by example.

The runs are small ones of the three kinds that pages differ by: a cohort with healthy donor and
clinical tables, one relapse marrow alone without any clinical table, and a pair of libraries sorted
for plasma cells without a healthy donor.
"""

import shutil

import pytest
import yaml
from relapsescope.simulate import simulate_cohort

from ..conftest import make_workplace
from .sentences import Known, _page_problems, known_of, problems, sentences
from .sentences import named_as_clinicians_do as named
from .sentences import no_car_t_cells_of_none as car_t
from .sentences import no_gap as gap
from .sentences import no_overclaim as overclaim
from .sentences import not_both as both
from .sentences import shares_hold as shares

KNOWN = Known(
    samples={"P1_relapse"},
    sets={"good2021"},
    without_car_t={"P1_pre"},
    unevaluable={"P1"},
    patient="P1",
)
WRONG = [
    (gap, "ratio not given (interval 0 to 1)"),
    (gap, "1 molecule where 3 would be expected from no reference"),
    (gap, "the ratio is – in this clone"),
    (gap, "measured by m_protein on that day"),
    (gap, "the verdict is INDETERMINATE for this clone"),
    (car_t, "signatures against the CAR-T cells of P1_pre: 0.2"),
    (both, "5 cells of 1 donors; 40 of 2 are needed"),
    (both, "only good2021 rose: the sets disagree: 4 of 4 sets rose"),
    (shares, "clone B, 224 of the 225 malignant cells seen (100 %)"),
    (shares, "clone B makes up 0 % of the malignant cells before CAR-T"),
    (overclaim, "the same immunoglobulin and the same subclone"),
    (overclaim, "no malignant cells were found at relapse"),
    (named, "a focal deletion of TNFRSF17 is not seen"),
    (named, "ANXA1 is high, log2 change 2.6 (2.0 to 3.2)"),
    (named, "in the set good2021 they rose"),
]
RIGHT = [
    (gap, "57 of 60 T cells in P1_relapse show the transgene"),
    (gap, "Download data · car_t_cycling.csv, 1 kB"),
    (gap, "None stands out: nothing is supported"),
    (car_t, "signatures against the CAR-T cells of P1_relapse: 0.2"),
    (both, "5 cells of 1 donors; at least 40 cells of 2 donors are needed"),
    (both, "5 of 10 needed molecules were there"),
    (shares, "clone B, 225 of the 225 malignant cells seen (100 %, interval 98 to 100 %)"),
    (shares, "0 % (interval 0 to 1.7 %) of the T cells"),
    (overclaim, "the same immunoglobulin; subclones could not be told apart"),
    (named, "BCMA (TNFRSF17) in relapse clone B was lost"),
    (named, "high, 6.1-fold up (log2 change 2.6, interval 2.0 to 3.2)"),
]


@pytest.mark.parametrize(("rule", "text"), WRONG)
def test_each_kind_of_wrong_sentence_is_seen(rule, text):
    assert rule(text, KNOWN)


@pytest.mark.parametrize(("rule", "text"), RIGHT)
def test_right_sentences_pass(rule, text):
    assert not rule(text, KNOWN)


def test_sentences_of_a_page_that_contradict_each_other_are_seen():
    every = ("limits", "Every mechanism could be decided, and no library failed.")
    assert _page_problems([every, ("mechanisms", "? not assessable")])
    assert not _page_problems([every, ("mechanisms", "● supported")])
    counts = [
        ("answer", "5 of the 9 malignant plasma cells"),
        ("clones", "5 of 8 malignant plasma cells"),
    ]
    assert _page_problems(counts)
    assert not _page_problems(counts[:1] * 2)


def test_sentences_are_read_from_blocks_with_their_section():
    html = (
        '<section id="answer"><p>One <a href="#x">2</a> three<span class="note">a note</span></p>'
        "<script>var x</script><p><code>raw_name</code></p></section>"
    )
    assert sentences(html) == [("answer", "a note"), ("answer", "One 2 three")]


@pytest.fixture(scope="module")
def single(tmp_path_factory, repository, tiny_cohort):
    """One relapse marrow alone, without clinical tables."""
    folder = tmp_path_factory.mktemp("single") / "w"
    workplace = make_workplace(folder, repository, tiny_cohort)
    head, *rows = workplace.sheet.read_text().splitlines()
    alone = [row for row in rows if row.split("\t")[2] == "relapse"]
    workplace.sheet.write_text("\n".join([head, *alone]) + "\n")
    shutil.rmtree(folder / "cohort/clinical")
    path = folder / "config/small.yaml"
    settings = yaml.safe_load(path.read_text()) | {"clinical": ""}
    path.write_text(yaml.safe_dump(settings))
    return run(workplace)


@pytest.fixture(scope="module")
def sorted_pair(tmp_path_factory, repository):
    """A pair of libraries sorted for plasma cells, without a healthy donor."""
    cohort = tmp_path_factory.mktemp("pair") / "cohort"
    simulate_cohort(cohort, plan=repository / "tests/runs/plans/sorted_pair.yaml", seed=5)
    return run(make_workplace(cohort.parent / "w", repository, cohort))


def run(workplace):
    done = workplace.snakemake(cores=2)
    assert done.returncode == 0, done.stderr[-3000:]
    return workplace


@pytest.mark.parametrize("kind", ["finished", "single", "sorted_pair"])
def test_every_sentence_of_a_run_holds(kind, request):
    results = request.getfixturevalue(kind).results
    wrong = problems((results / "report/index.html").read_text(), known_of(results))
    pages = sorted((results / "report/patients").glob("*.html"))
    assert pages
    for page in pages:
        html = page.read_text()
        assert len(sentences(html)) > 50
        wrong += [f"{page.name} {w}" for w in problems(html, known_of(results, page.stem))]
    assert wrong == []
