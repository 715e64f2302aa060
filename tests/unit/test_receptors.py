"""Clonotypes from chains, against a hand-made set; a patient's files; scirpy's own answer."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from relapsescope.intake.contigs import Chain
from relapsescope.t_cells.patient_receptors import call_patient_receptors
from relapsescope.t_cells.receptors import _grouped, call_receptors, pairing_of


def chain(locus, name, umis=3):
    """A chain whose CDR3 is spelt from `name`, one codon a letter; V and J do not matter."""
    codons = dict(
        zip("abcdefgh", ["GCT", "TGT", "GAT", "GAA", "GGT", "CAT", "ATT", "AAA"], strict=True)
    )
    return Chain(locus, "".join(codons[letter] for letter in name), name.upper(), "V", "J", umis, 9)


def alpha(name, umis=3):
    return chain("TRA", name, umis)


def beta(name, umis=3):
    return chain("TRB", name, umis)


# Of each cell: its chains, the clonotype it must have ("" none), and how it came there.
CELLS = {
    "pair 1": ((alpha("ab"), beta("cd")), "one", "both_chains"),
    "pair 1 again": ((alpha("ab"), beta("cd")), "one", "both_chains"),
    "two alphas, one of clone 1": ((alpha("ab"), alpha("gh"), beta("cd")), "one", "both_chains"),
    "the other alpha alone with it": ((alpha("gh"), beta("cd")), "one", "both_chains"),
    "same alpha, other beta": ((alpha("ab"), beta("ef")), "two", "both_chains"),
    "same alpha, other beta, again": ((alpha("ab"), beta("ef")), "two", "both_chains"),
    "beta of clone 1 alone": ((beta("cd"),), "one", "one_chain"),
    "alpha of clones 1 and 2 alone": ((alpha("ab"),), "alone a", "unpaired"),
    "the same again": ((alpha("ab"),), "alone a", "unpaired"),
    "beta of nobody": ((beta("hh"),), "alone b", "unpaired"),
    "two pairs": ((alpha("ab"), alpha("cc"), beta("cd"), beta("ee")), "", None),
    "three betas": ((beta("cd"), beta("ee"), beta("hh")), "", None),
    "gamma and delta": ((chain("TRG", "ab"), chain("TRD", "cd")), "gd", "both_chains"),
    "pair 1 with a gamma": ((alpha("ab"), beta("cd"), chain("TRG", "ef", 9)), "one", "both_chains"),
    "beta of clone 1 with a gamma": ((beta("cd"), chain("TRG", "ef")), "one", "one_chain"),
    "gamma and delta with a beta": (
        (chain("TRG", "ab"), chain("TRD", "cd"), beta("hh")),
        "gd",
        "both_chains",
    ),
    "two receptors": ((alpha("ab"), beta("cd"), chain("TRG", "ab"), chain("TRD", "cd")), "", None),
    "alpha and delta": ((alpha("ab"), chain("TRD", "cd")), "", None),
}


@pytest.fixture(scope="module")
def called():
    chains = {name: cell[0] for name, cell in CELLS.items()}
    names = list(chains)
    # Two libraries: clonotypes are the patient's, not the library's.
    split = {"S1": names[::2], "S2": names[1::2]}
    return call_receptors({s: {n: chains[n] for n in own} for s, own in split.items()})


def test_cells_are_grouped_as_by_hand(called):
    found = dict(zip(called.barcode, called.clonotype, strict=True))
    wanted = {name: cell[1] for name, cell in CELLS.items()}
    assert {name for name, clonotype in found.items() if clonotype is None} == {
        name for name, group in wanted.items() if not group
    }
    pairs = {(wanted[name], clonotype) for name, clonotype in found.items() if clonotype}
    assert len(pairs) == len({p[0] for p in pairs}) == len({p[1] for p in pairs})


def test_it_is_said_how_a_cell_came_to_its_clonotype(called):
    found = dict(zip(called.barcode, called.joined_by, strict=True))
    assert found == {name: cell[2] for name, cell in CELLS.items()}


def test_clonotypes_are_named_by_size(called):
    names = dict(zip(called.barcode, called.clonotype, strict=True))
    # Clone 1 has five cells of both chains and two of an orphan beta.
    assert names["pair 1"] == "T1"
    assert names["same alpha, other beta"] in ("T2", "T3")


def test_the_names_do_not_depend_on_the_order_of_cells(called):
    chains = {name: cell[0][::-1] for name, cell in CELLS.items()}
    again = call_receptors({"S": {name: chains[name] for name in reversed(chains)}})
    assert dict(zip(again.barcode, again.clonotype, strict=True)) == dict(
        zip(called.barcode, called.clonotype, strict=True)
    )


def test_no_cell_has_no_clonotype():
    assert len(call_receptors({"S": {}}).barcode) == 0


def by_scirpy(cells, monkeypatch, folder):
    """Return chain pairing, receptor subtype and clonotype of cells by scirpy itself."""
    monkeypatch.setenv("MPLCONFIGDIR", str(folder))
    with warnings.catch_warnings():
        # Of its dependencies' futures, not of ours.
        warnings.simplefilter("ignore")
        import awkward
        import scirpy
        from anndata import AnnData

        records = [
            [
                {
                    "locus": one.locus,
                    "junction": one.cdr3_nt,
                    "junction_aa": one.cdr3,
                    "umi_count": one.umis,
                    "consensus_count": one.reads,
                    "productive": True,
                }
                for one in chains
            ]
            for chains in cells
        ]
        names = pd.Index([str(i) for i in range(len(cells))])
        data = AnnData(obs=pd.DataFrame(index=names), obsm={"airr": awkward.Array(records)})
        scirpy.pp.index_chains(data, filter=("productive",))
        scirpy.tl.chain_qc(data)
        alone = ("multichain", "ambiguous", "two full chains")
        some = data[~data.obs["chain_pairing"].isin(alone)].copy()
        scirpy.pp.ir_dist(some, metric="identity", sequence="nt", n_jobs=1)
        scirpy.tl.define_clonotypes(
            some, receptor_arms="all", dual_ir="any", within_group="receptor_subtype", n_jobs=1
        )
    clone = some.obs["clone_id"].reindex(data.obs_names)
    return data.obs["chain_pairing"], data.obs["receptor_subtype"], clone


def test_pairing_and_groups_are_scirpy_s(monkeypatch, tmp_path):
    """500 cells of up to five chains, of few sequences, so that groups grow from cell to cell."""
    rng = np.random.default_rng(5)
    loci = ["TRA", "TRA", "TRB", "TRB", "TRG", "TRD"]
    sequences = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(60)]
    cells = []
    for _ in range(500):
        kinds = loci[:4] if rng.random() < 0.8 else loci[4:] if rng.random() < 0.7 else loci
        own = rng.choice(kinds, rng.choice([1, 2, 2, 2, 3, 4, 5]))
        cells.append(
            [chain(locus, rng.choice(sequences), int(rng.integers(1, 9))) for locus in own]
        )
    pairing, subtype, clone = by_scirpy(cells, monkeypatch, tmp_path)
    ours = np.array([pairing_of(own) for own in cells], dtype=object)
    assert ours[:, 0].tolist() == pairing.tolist()
    assert ours[:, 1].tolist() == subtype.tolist()
    assert len(set(ours[:, 0])) == 8
    group = pd.Series(_grouped(cells, ours[:, 0], ours[:, 1]), index=clone.index)
    assert group.notna().tolist() == clone.notna().tolist()
    together = set(zip(group.dropna(), clone.dropna(), strict=True))
    assert len(together) == group.nunique() == clone.nunique() > 50
    # Not only cells of one and the same pair.
    assert group.value_counts().max() > 5


HEADER = "barcode,chain,cdr3,cdr3_nt,umis,productive,v_gene,j_gene"


@pytest.fixture
def patient(tmp_path):
    """Five libraries of one patient, each in another plight; the paths the job is given."""
    cells = pd.DataFrame(
        {
            "barcode": ["AA-1", "CC-1", "GG-1", "TT-1"],
            "lineage": ["T", "T", "T", "B"],
            "qc_pass": [True, True, False, True],
        }
    )
    lines = [f"{b}-1,TRB,CASF,TGTGCCAGCTTT,4,true,TRBV28,TRBJ2-1" for b in ("AA", "CC", "GG", "TT")]
    contents = {
        "good": "\n".join([HEADER, *lines]),
        "other": "\n".join([HEADER, *(line.replace("-1,", "T-1,", 1) for line in lines)]),
        "broken": f"{HEADER}\nAA-1,TRB,CASF,12345,4,true,TRBV28,TRBJ2-1",
        "failed": "\n".join([HEADER, *lines]),
        "none": None,
    }
    rows, cells_paths, summary_paths = [], [], []
    for name, content in contents.items():
        path = tmp_path / f"{name}.csv"
        if content is not None:
            path.write_text(content)
        rows.append(
            {
                "sample_id": name,
                "patient_id": "P",
                "tcr_contigs": None if content is None else str(path),
            }
        )
        cells_paths.append(str(tmp_path / f"{name}.parquet"))
        cells.to_parquet(cells_paths[-1])
        summary_paths.append(str(tmp_path / f"{name}.json"))
        verdict = "fail" if name == "failed" else "pass"
        (tmp_path / f"{name}.json").write_text(json.dumps({"verdict": verdict}))
    outputs = {name: str(tmp_path / f"out.{name}") for name in ("cells", "summary")}
    summary = call_patient_receptors(
        rows, cells_paths=cells_paths, summary_paths=summary_paths, outputs=outputs
    )
    return summary, pd.read_parquet(outputs["cells"])


def test_a_library_whose_contigs_cannot_be_used_is_named_and_the_others_go_on(patient):
    libraries = {library["sample_id"]: library for library in patient[0]["libraries"]}
    assert {name for name, library in libraries.items() if library["assessable"]} == {"good"}
    assert libraries["none"]["reason"] == "no TCR contigs in the sample sheet"
    assert libraries["failed"]["reason"] == "the library failed"
    assert "0% of its 4 barcodes are in the matrix" in libraries["other"]["reason"]
    assert "no nucleotide sequence" in libraries["broken"]["reason"]


def test_only_t_cells_that_passed_have_clonotypes(patient):
    summary, cells = patient
    assert list(cells["barcode"]) == ["AA-1", "CC-1"]
    assert list(cells["clonotype_id"]) == ["T1", "T1"]
    assert cells["cdr3_first"].isna().all()
    assert set(cells["cdr3_second"]) == {"CASF"}
    good = summary["libraries"][0]
    assert (good["n_with_receptor"], good["n_receptor_not_t"], good["n_in_matrix"]) == (2, 1, 4)


def test_clonotypes_are_those_that_a_plain_grouping_of_pairs_gives():
    # Cells of one alpha and one beta: a clonotype is then nothing but the pair of sequences.
    rng = np.random.default_rng(3)
    names = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(40)]
    pairs = [(names[i], names[j]) for i, j in rng.integers(0, 40, (300, 2))]
    found = call_receptors({"S": {f"c{i}": (alpha(a), beta(b)) for i, (a, b) in enumerate(pairs)}})
    groups = {}
    for pair, clonotype in zip(pairs, found.clonotype, strict=True):
        groups.setdefault(pair, set()).add(clonotype)
    assert all(len(names) == 1 for names in groups.values())
    assert len(set().union(*groups.values())) == len(groups)
