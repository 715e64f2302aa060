"""What each row of a matrix is: RNA, antibodies, hashtags; whatever word or place says so."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.feature_types import (
    ANTIBODIES,
    HASHTAGS,
    antibody_of,
    canonical_type,
    names_an_antibody,
    types_column,
)
from relapsescope.intake.genes import gene_table
from relapsescope.intake.identity import identify_features

FILE = Path("library.h5ad")
RNA = "Gene Expression"
BCMA = "ENSG00000048462"
CD38 = "ENSG00000004468"
CD19 = "ENSG00000177455"


def transcriptome(*without):
    """Return IDs and symbols of 700 genes in genome order, CD19, CD38 and TNFRSF17 among them."""
    table = gene_table()
    times = Counter(table.symbols.tolist())
    keep = [i for i, symbol in enumerate(table.symbols) if symbol and times[symbol] == 1][:697]
    keep += [list(table.gene_ids).index(gene) for gene in (CD38, BCMA, CD19)]
    keep = [i for i in sorted(keep) if table.symbols[i] not in without]
    # The genome's last genes are the mitochondrial ones.
    keep.append(list(table.symbols).index("MT-CYB"))
    return table.gene_ids[keep].tolist(), table.symbols[keep].tolist()


def identified(ids, names, types):
    """Return block and gene of each row by its name."""
    arrays = [np.array(values, dtype=object) for values in (ids, names, types)]
    genes, block, notes = identify_features(FILE, *arrays)
    return dict(zip(names, zip(block, genes, strict=True), strict=True)), notes


def by_symbol(names, types=None):
    return identified([""] * len(names), names, types or [""] * len(names))


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *[(word, RNA) for word in ("Gene Expression", "GEX", "RNA", "gene expression", "Gene")],
        *[(word, RNA) for word in ("protein_coding", "lncRNA", "IG_V_gene", "Mt_rRNA", "TEC")],
        *[(word, RNA) for word in ("transcribed_unprocessed_pseudogene", "TR_C_gene")],
        *[
            (word, ANTIBODIES)
            for word in ("Antibody Capture", "ADT", "Protein", "CITE-seq", "prot")
        ],
        *[(word, HASHTAGS) for word in ("Multiplexing Capture", "HTO", "Hashtags", "CMO")],
        *[(word, "Peaks") for word in ("Peaks", "ATAC", "Chromatin Accessibility")],
        *[(word, "") for word in ("NA", "nan", "", "None")],
        ("GRCh38", None),
    ],
)
def test_types_are_known_by_many_words(word, meant):
    assert canonical_type(word) == meant


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Type", ("Gene Expression", "Antibody Capture")),
        ("feature_types", ("GEX", "ADT")),
        ("Modality", ("RNA", "protein")),
        ("row_kind", ("gene", "adt")),
    ],
)
def test_the_column_of_types_is_found_by_what_it_holds(column, words):
    values = np.array([words[0]] * 20 + [words[1]] * 2, dtype=object)
    other = np.array(["GRCh38"] * 22, dtype=object)
    assert types_column({"genome": other, column: values}) is values
    assert types_column({"genome": other}) is None


def test_antibodies_typed_in_other_words_are_no_rna():
    ids, names = transcriptome()
    for word in ("ADT", "Antibody Capture", "protein"):
        kinds, _ = by_symbol([*names, "CD38-1"], [*["GEX"] * len(names), word])
        assert kinds["CD38-1"] == (ANTIBODIES, "")
        assert kinds["CD38"] == (RNA, CD38)
        kinds, _ = identified(
            [*ids, "CD269"], [*names, "CD269"], [*["protein_coding"] * len(ids), word]
        )
        assert kinds["CD269"] == (ANTIBODIES, "")
        assert kinds["TNFRSF17"] == (RNA, BCMA)


@pytest.mark.parametrize(
    "names",
    [["BCMA"], ["CD3", "CD269"], ["CD138", "CD38_HIT2"], ["ADT_BCMA"], ["anti-human CD269 (BCMA)"]],
)
def test_a_lost_gene_is_not_found_again_in_an_antibody(names):
    _, genes = transcriptome("TNFRSF17", "CD38")
    kinds, notes = by_symbol([*genes, *names])
    assert [kinds[name] for name in names] == [(ANTIBODIES, "")] * len(names)
    assert all(gene not in (BCMA, CD38) for _, gene in kinds.values())
    assert "named as antibodies are" in notes[0]


@pytest.mark.parametrize("panel", [["CD19", "CD38"], ["CD4", "TIGIT", "CD38"], ["ITGAX", "CD38"]])
@pytest.mark.parametrize("car", [[], ["BCMA_CAR"]])
@pytest.mark.parametrize("first", [False, True])
def test_a_panel_at_an_end_of_the_file_is_told_by_its_place(panel, car, first):
    _, names = transcriptome("CD19", "CD38", "CD4", "TIGIT", "ITGAX")
    rows = [*panel, *car, *names] if first else [*names, *car, *panel]
    kinds, _ = by_symbol(rows)
    assert {kinds[name] for name in panel} == {(ANTIBODIES, "")}
    assert kinds["TNFRSF17"] == (RNA, BCMA)
    assert all(kinds[name][0] == "Transgene" for name in car)


def test_surface_genes_in_their_own_places_are_rna():
    _, names = transcriptome()
    kinds, notes = by_symbol(names)
    assert (kinds["CD38"], kinds["CD19"]) == ((RNA, CD38), (RNA, CD19))
    assert {block for block, _ in kinds.values()} == {RNA}
    assert not any("antibodies" in note for note in notes)
    kinds, _ = by_symbol(sorted(names))
    assert {block for block, _ in kinds.values()} == {RNA}


def test_rows_without_type_in_a_file_of_ids_are_told_by_id_and_name():
    ids, names = transcriptome()
    kinds, _ = identified(
        [*ids, "nan", "nan", "MYCAR"], [*names, "CD38-1", "Hashtag1", "MYCAR"], ["NA"] * 704
    )
    assert kinds["CD38"] == (RNA, CD38)
    assert kinds["CD38-1"] == (ANTIBODIES, "")
    assert kinds["Hashtag1"] == (HASHTAGS, "")
    assert kinds["MYCAR"] == ("Transgene", "")


def test_one_unknown_word_for_all_rows_says_nothing():
    ids, names = transcriptome()
    kinds, _ = identified(ids, names, ["GRCh38"] * len(ids))
    assert {block for block, _ in kinds.values()} == {RNA}


@pytest.mark.parametrize("word", ["NA", "", "surface"])
def test_a_second_row_of_a_gene_without_a_known_type_is_refused_with_its_row(word):
    ids, names = transcriptome()
    with pytest.raises(
        InputProblem, match=r"feature 702 \(CD38_b\) has the type .* RNA or an anti"
    ):
        identified([*ids, CD38], [*names, "CD38_b"], [*["RNA"] * len(ids), word])


def test_unknown_words_among_symbols_are_refused():
    _, names = transcriptome()
    with pytest.raises(InputProblem, match=r"feature 1 \(DDX11L2\) has the type 'aa'"):
        by_symbol([*names, "x"], [*["aa"] * len(names), "bb"])


@pytest.mark.parametrize(
    "name",
    [
        *("CD269-BCMA", "CD269|TNFRSF17|AHS0103|pAbO", "Hu.CD269", "anti-human CD269 (BCMA)"),
        *(
            "BCMA_TotalSeqB",
            "CD269_(BCMA)",
            "prot_CD269",
            "TNFRSF17",
            "CD269:19F2-TNFRSF17-AHS0103",
        ),
    ],
)
def test_antibodies_are_found_as_vendors_write_them(name):
    assert antibody_of("TNFRSF17", ["CD3", "BCMA_isotype", name]) == 2
    assert antibody_of("CD38", ["CD3", name]) is None


def test_words_that_only_antibodies_have():
    for name in ("CD269", "BCMA", "CD138", "CD3_UCHT1", "IgG1_isotype_ctrl", "CD45RA"):
        assert names_an_antibody(name), name
    for name in ("CD38", "CDK4", "TNFRSF17", "HLA-DRA", "CDKN1A", "SDC1"):
        assert not names_an_antibody(name), name


@pytest.mark.parametrize("prefix", ["GRCh38-", "GRCh38_", "hg19_", "GRCh38______"])
def test_a_genomes_prefix_is_taken_off_ids_and_symbols(prefix):
    ids, names = transcriptome()
    kinds, _ = identified([prefix + i for i in ids], names, [""] * len(ids))
    assert kinds["CD38"] == (RNA, CD38)
    rows = [prefix + name for name in names] + ["mm10-Cd38", "mm10_Xkr4"]
    kinds, notes = by_symbol(rows)
    assert kinds[prefix + "CD38"] == (RNA, CD38)
    assert "2 genes of another species left out (e.g. mm10-Cd38)" in notes
