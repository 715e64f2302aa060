"""The data dictionary of the tables, and the page that is made from it."""

from relapsescope.deposit.columns import ANY, TYPES, Column, described, dictionary, outputs_page

from ..conftest import REPOSITORY


def test_a_name_goes_before_a_pattern_and_a_table_before_all():
    assert described("clones", "fraction").meaning.startswith("Share of the patient's malignant")
    assert described("microenvironment", "fraction").meaning.startswith("Share of the cells")
    low = described("antigens", "retaining_share_ci_low")
    assert low.meaning == "Lower bound of the 95 % interval of `retaining_share`"
    assert described("interactions", "ligand_n_cells").type == "integer"
    assert described("mechanisms", "evidence_cells").type == "text"
    assert described("antigens", "no_such_column") is None
    assert described("another", "fate") is None


def test_rows_are_whole_and_none_is_there_twice():
    rows = dictionary()
    names = [(row.table, row.column) for row in rows]
    assert len(set(names)) == len(names)
    for row in rows:
        assert row.type in TYPES, row
        assert row.meaning and not row.meaning.endswith("."), row
        assert row.column.count(ANY) <= 1
        assert not row.unit or row.type in ("integer", "number", "text"), row


def test_the_page_is_the_dictionary():
    path = REPOSITORY / "docs/outputs.md"
    assert path.read_text(encoding="utf-8") == outputs_page(), "run `make docs`"


def test_a_page_has_a_part_for_each_table():
    page = outputs_page(
        [Column("*", "x_*", "number", "UMI", "Of {0}"), Column("t", "a", "text", "", "A")]
    )
    common, _, own = page.partition("## `tables/t`")
    assert "| `x_…` | number | UMI | Of … |" in common
    assert "| `a` | text |  | A |" in own
