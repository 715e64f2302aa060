"""Reading T cell receptor contigs: what counts, what is refused, how barcodes are matched."""

import numpy as np
import pytest
from relapsescope.errors import InputProblem
from relapsescope.t_cells.tcr_contigs import in_frame, match_barcodes, read_tcr_contigs

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
    found = read_tcr_contigs(path)
    assert list(found) == ["AAAC-1"]
    assert {chain.locus for chain in found["AAAC-1"]} == {"TRA", "TRB"}


def test_two_contigs_of_one_chain_are_one_chain_of_all_their_molecules(written):
    found = read_tcr_contigs(written(contig("A-1", umis=3), contig("A-1", umis=4)))
    assert [(chain.umis, chain.reads) for chain in found["A-1"]] == [(7, 200)]


def test_without_a_productive_column_the_reading_frame_decides(written):
    # TGTGCCAGCTTT reads C A S F; TGTTAATTT has the stop TAA; TGTGCCAGCTT ends within a codon.
    lines = [f"{name},TRB,{cdr3}" for name, cdr3 in zip("abc", READINGS, strict=True)]
    found = read_tcr_contigs(written(*lines, header="barcode,chain,cdr3_nt"))
    assert list(found) == ["a"]
    assert found["a"][0].umis == 0
    assert [in_frame(cdr3) for cdr3 in READINGS] == [True, False, False]


READINGS = ("TGTGCCAGCTTT", "TGTTAATTT", "TGTGCCAGCTT")


def test_a_mark_at_the_beginning_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "contigs.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{contig('A-1')}\r\n".encode())
    assert list(read_tcr_contigs(path)) == ["A-1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"barcode,chain\nA-1,TRB\n", "lacks the columns cdr3_nt"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "is no text"),
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
        read_tcr_contigs(path)
    assert len(found.value.problems) == 1
    assert said in found.value.problems[0]
    assert found.value.problems[0].startswith("contigs.csv")


def test_an_absent_file_and_a_folder_are_said_to_be_so(tmp_path):
    for path, said in ((tmp_path / "no.csv", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputProblem, match=said):
            read_tcr_contigs(path)


def test_many_bad_lines_are_not_listed_one_by_one(written):
    with pytest.raises(InputProblem) as found:
        read_tcr_contigs(written(*[contig(f"A{i}", umis="x") for i in range(9)]))
    assert len(found.value.problems) == 4
    assert found.value.problems[-1] == "contigs.csv: 6 more lines like these"


def test_barcodes_are_matched_whole_or_else_without_their_well(written):
    receptors = read_tcr_contigs(written(contig("AAA-1"), contig("CCC-1")))
    same, share = match_barcodes(receptors, np.array(["AAA-1", "GGG-1"], dtype=object))
    assert (list(same), share) == (["AAA-1"], 0.5)
    other_well, share = match_barcodes(receptors, np.array(["AAA-3", "CCC-3"], dtype=object))
    assert (list(other_well), share) == (["AAA-3", "CCC-3"], 1.0)
    # Two wells in one matrix: without the suffix nobody knows whose AAA is.
    none, share = match_barcodes(receptors, np.array(["AAA-3", "AAA-4"], dtype=object))
    assert (none, share) == ({}, 0.0)
