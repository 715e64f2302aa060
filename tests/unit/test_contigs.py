"""Reading receptor contigs: what counts, what is refused, how barcodes are matched."""

import gzip

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.contigs import (
    Chain,
    in_frame,
    of_barcodes,
    peek_contigs,
    read_contigs,
    translated,
)

HEADER = (
    "barcode,is_cell,contig_id,high_confidence,length,chain,v_gene,d_gene,j_gene,c_gene,"
    "full_length,productive,cdr3,cdr3_nt,reads,umis,raw_clonotype_id,raw_consensus_id"
)


def contig(barcode, chain="TRB", cdr3_nt="TGTGCCAGCTTT", umis=3, **other):
    own = {
        "is_cell": "true",
        "high_confidence": "true",
        "productive": "true",
        "cdr3": "CASF",
        "v_gene": "TRBV28",
        "j_gene": "TRBJ2-1",
        "reads": "100",
    } | other
    own |= {"barcode": barcode, "chain": chain, "cdr3_nt": cdr3_nt, "umis": str(umis)}
    return ",".join(own.get(name, "") for name in HEADER.split(","))


def read_tcr(path):
    return read_contigs(path, "tcr_contigs")


@pytest.fixture
def written(tmp_path):
    def write(*lines, header=HEADER, encoding="utf-8"):
        path = tmp_path / "contigs.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
        return path

    return write


def test_productive_sure_chains_of_cells_count(written):
    path = written(
        contig("AAAC-1"),
        contig("AAAC-1", "TRA", "TGTGCTGTGTTT"),
        contig("CCCC-1", productive="False"),
        contig("GGGG-1", productive="None"),
        contig("TTTT-1", high_confidence="false"),
        contig("ACAC-1", is_cell="False"),
        contig("CACA-1", "Multi"),
        contig("GTGT-1", "IGH"),
        contig("TGTG-1", cdr3_nt="None", cdr3="None"),
    )
    found = read_contigs(path, "tcr_contigs")
    assert list(found) == ["AAAC-1"]
    assert {chain.locus for chain in found["AAAC-1"]} == {"TRA", "TRB"}


def test_two_contigs_of_one_chain_are_one_chain_of_all_their_molecules(written):
    found = read_tcr(written(contig("A-1", umis=3), contig("A-1", umis=4)))
    assert [(chain.umis, chain.reads) for chain in found["A-1"]] == [(7, 200)]


def test_without_a_productive_column_the_reading_frame_decides(written):
    # TGTGCCAGCTTT reads C A S F; TGTTAATTT has the stop TAA; TGTGCCAGCTT ends within a codon.
    lines = [f"{name},TRB,{cdr3}" for name, cdr3 in zip("abc", READINGS, strict=True)]
    found = read_tcr(written(*lines, header="barcode,chain,cdr3_nt"))
    assert list(found) == ["a"]
    assert found["a"][0].umis == 0
    assert [in_frame(cdr3) for cdr3 in READINGS] == [True, False, False]


READINGS = ("TGTGCCAGCTTT", "TGTTAATTT", "TGTGCCAGCTT")


def test_a_mark_at_the_beginning_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "contigs.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{contig('A-1')}\r\n".encode())
    assert list(read_contigs(path, "tcr_contigs")) == ["A-1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"barcode,chain\nA-1,TRB\n", "lacks the columns cdr3_nt"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "is damaged or was cut short"),
        (b"barcode,chain,cdr3_nt\n\xff\xfe,TRB,TGT\n", "is no text"),
        (f"{HEADER}\n{contig('A-1', umis='many')}\n".encode(), ":2 umis: 'many' is not a number"),
        (f"{HEADER}\n{contig('A-1', umis='inf')}\n".encode(), ":2 umis: 'inf' is not a number"),
        (f"{HEADER}\n{contig('A-1', cdr3_nt='CASSF')}\n".encode(), ":2 cdr3_nt: 'CASSF' is no"),
        (f"{HEADER}\n{contig('A-1')}\nB-1,true\n".encode(), ":3: not 18 cells"),
        (f"{HEADER}\n{contig('')}\n".encode(), ":2 barcode: the cell is empty"),
    ],
)
def test_a_bad_file_is_one_line_a_problem(tmp_path, content, said):
    path = tmp_path / "contigs.csv"
    path.write_bytes(content)
    with pytest.raises(InputProblem) as found:
        read_contigs(path, "tcr_contigs")
    assert len(found.value.problems) == 1
    assert said in found.value.problems[0]
    assert found.value.problems[0].startswith("contigs.csv")


def test_an_absent_file_and_a_folder_are_said_to_be_so(tmp_path):
    for path, said in ((tmp_path / "no.csv", "no such file"), (tmp_path, "a directory")):
        with pytest.raises(InputProblem, match=said):
            read_contigs(path, "tcr_contigs")


def test_many_bad_lines_are_not_listed_one_by_one(written):
    with pytest.raises(InputProblem) as found:
        read_tcr(written(*[contig(f"A{i}", umis="x") for i in range(9)]))
    assert len(found.value.problems) == 4
    assert found.value.problems[-1] == "contigs.csv: 6 more lines like these"


def test_barcodes_are_matched_whole_or_else_without_their_well(written):
    receptors = read_tcr(written(contig("AAA-1"), contig("CCC-1")))
    same, share = of_barcodes(receptors, np.array(["AAA-1", "GGG-1"], dtype=object))
    assert (list(same), share) == (["AAA-1"], 0.5)
    other_well, share = of_barcodes(receptors, np.array(["AAA-3", "CCC-3"], dtype=object))
    assert (list(other_well), share) == (["AAA-3", "CCC-3"], 1.0)
    # Two wells in one matrix: without the suffix nobody knows whose AAA is.
    none, share = of_barcodes(receptors, np.array(["AAA-3", "AAA-4"], dtype=object))
    assert (none, share) == ({}, 0.0)


def test_a_gzipped_file_is_read_and_a_cut_one_is_refused(tmp_path):
    path = tmp_path / "contigs.csv.gz"
    lines = "\n".join([HEADER, *(contig(f"{code}AAAAAAAAA-1") for code in CODES)])
    path.write_bytes(gzip.compress(lines.encode()))
    assert len(read_tcr(path)) == len(CODES)
    columns, barcodes, _ = peek_contigs(path, "tcr_contigs")
    assert columns == HEADER.split(",")
    assert len(barcodes) == len(CODES)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputProblem, match="cut short"):
        read_tcr(path)


CODES = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]


def test_both_kinds_of_receptor_are_read_by_one_rule(written):
    lines = [
        contig(name, chain, cdr3_nt="TGTCAGCAG", productive=word)
        for chain in ("IGK", "TRB")
        for name, word in zip("abcdefgh", PRODUCTIVE, strict=True)
    ]
    path = written(*lines)
    for column in ("tcr_contigs", "bcr_contigs"):
        assert list(read_contigs(path, column)) == list("abcde")


PRODUCTIVE = ("true", "T", "TRUE", "1", "yes", "F", "None", "no")


def test_a_word_that_is_neither_true_nor_false_is_a_problem(written):
    with pytest.raises(InputProblem, match=":2 productive: 'perhaps' is neither true nor false"):
        read_tcr(written(contig("A-1", productive="perhaps")))


def test_columns_of_the_airr_standard_are_read(tmp_path):
    path = tmp_path / "airr_rearrangement.tsv"
    path.write_text(
        "cell_id\tsequence_id\tlocus\tproductive\tv_call\tj_call\tc_call\tjunction\t"
        "junction_aa\tconsensus_count\tduplicate_count\tis_cell\n"
        "A-1\tx\tIGL\tT\tIGLV2-14\tIGLJ2\tIGLC2\tTGTAGC\tCS\t80\t7\tT\n"
        "A-1\tx\tTRA\tF\tTRAV1\tTRAJ1\tTRAC\tTGTGCT\tCA\t80\t7\tT\n"
    )
    (chain,) = read_contigs(path, "bcr_contigs")["A-1"]
    assert chain == Chain("IGL", "TGTAGC", "CS", "IGLV2-14", "IGLJ2", 7, 80, "IGLC2")
    assert read_tcr(path) == {}


def test_amino_acids_that_are_not_given_are_translated(written):
    # TGT C, GCC A, AGC S, NAG ?, TTT F, TGA stop, ATG M.
    assert translated("TGTGCCAGCNAGTTTTGAATG") == "CASXF*M"
    path = written(contig("A-1", cdr3=""), contig("B-1", cdr3="None"))
    assert [chains[0].cdr3 for chains in read_tcr(path).values()] == ["CASF", "CASF"]


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda code: code,
        lambda code: code[:-2],
        lambda code: code[:-1] + "4",
        lambda code: code + "-0",
        lambda code: code.replace("-", "."),
        lambda code: "1_" + code,
        lambda code: f'"{code}"',
        lambda code: f"P1_relapse_{code[:-2]}x",
        lambda code: f"P1#{code}",
    ],
)
def test_cells_are_found_however_their_barcodes_are_written(rewritten):
    codes = [f"{code}ACGTACGTACGTA-1" for code in CODES]
    receptors = {rewritten(code): (code,) for code in codes[:20]}
    found, share = of_barcodes(receptors, np.array(codes, dtype=object))
    assert share == 1.0
    assert found == {code: (code,) for code in codes[:20]}


@pytest.mark.parametrize("text", [b"a" * 4_000_001, b"barcode," * 600_000])
def test_a_first_line_without_an_end_is_no_empty_file(tmp_path, text):
    (tmp_path / "contigs.csv").write_bytes(text)
    with pytest.raises(InputProblem, match="its first line is longer than 4,000,000 bytes"):
        peek_contigs(tmp_path / "contigs.csv", "tcr_contigs")


def test_contigs_of_use_are_counted_by_the_column_they_are_given_in(written):
    path = written(
        contig("AAAC-1"),
        contig("CCCC-1", productive="False"),
        contig("ACAC-1", is_cell="False"),
        contig("GTGT-1", "IGH"),
        contig("GTGT-1", "IGK"),
    )
    assert peek_contigs(path, "tcr_contigs")[2] == 1
    assert peek_contigs(path, "bcr_contigs")[2] == 2
    assert peek_contigs(written(contig("CACA-1", "Multi")), "tcr_contigs")[2] == 0


def test_a_contig_that_is_said_twice_counts_once(written):
    """Of two contigs of one chain the molecules are added, of one contig not."""
    one = contig("AAAC-1", umis=3, contig_id="AAAC-1_contig_1")
    other = contig("AAAC-1", umis=4, contig_id="AAAC-1_contig_2")
    (chain,) = read_tcr(written(one, other, one, other))["AAAC-1"]
    assert chain.umis == 7
    (chain,) = read_tcr(written(contig("AAAC-1"), contig("AAAC-1")))["AAAC-1"]
    assert chain.umis == 6


@pytest.mark.parametrize("umis", ["-3", "1e9"])
def test_numbers_that_no_contig_has_are_refused(written, umis):
    with pytest.raises(InputProblem, match="is no number of molecules"):
        read_tcr(written(contig("AAAC-1", umis=umis)))
