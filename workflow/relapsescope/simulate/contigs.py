"""T-cell receptor contigs as Cell Ranger writes them, with clonotypes that last through time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from relapsescope.simulate.expression import segment_usage
from relapsescope.simulate.streams import generator, name_number

CHAINS = {"TRA": ("TRAV", "TRAC", 0.75), "TRB": ("TRBV", "TRBC1", 0.88)}
RESIDUES = np.array(list("ACDEFGHIKLNPQRSTVWY"))
CODONS = {
    "A": "GCT", "C": "TGT", "D": "GAT", "E": "GAA", "F": "TTT", "G": "GGT", "H": "CAT",
    "I": "ATT", "K": "AAA", "L": "CTG", "N": "AAT", "P": "CCT", "Q": "CAG", "R": "CGT",
    "S": "AGC", "T": "ACT", "V": "GTT", "W": "TGG", "Y": "TAT",
}  # fmt: skip
# Size of the pools (assumed): few CAR-T clones make up most CAR-T cells, naive cells share none.
CAR_CLONES, EFFECTOR_CLONES, MEMORY_CLONES = 40, 150, 600


def tcr_contigs(cells: pd.DataFrame, patient_id: str, sample_id: str, seed: int) -> pd.DataFrame:
    """Return ``filtered_contig_annotations.csv`` of one library's T cells (no debris).

    Clonotypes are the patient's: the same clone has the same receptor in every library.
    """
    rng = generator(seed, "contigs", sample_id)
    t_cells = cells[(cells["lineage"] == "T") & (cells["quality"] != "debris")]
    rows = []
    for cell in t_cells.itertuples():
        clone = _clone_name(cell, sample_id, rng)
        for chain, (segment, constant, detected) in CHAINS.items():
            if rng.random() < detected:
                rows.append(
                    _contig(
                        cell.barcode,
                        clone,
                        chain,
                        segment,
                        constant,
                        patient_id=patient_id,
                        seed=seed,
                        rng=rng,
                    )
                )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["raw_clonotype_id"] = "clonotype" + (
        pd.factorize(table["raw_clonotype_id"])[0] + 1
    ).astype(str).astype(object)
    consensus = {"TRA": "_consensus_1", "TRB": "_consensus_2"}
    table["raw_consensus_id"] = table["raw_clonotype_id"] + table["chain"].map(consensus)
    return table


COLUMNS = [
    "barcode", "is_cell", "contig_id", "high_confidence", "length", "chain", "v_gene", "d_gene",
    "j_gene", "c_gene", "full_length", "productive", "cdr3", "cdr3_nt", "reads", "umis",
    "raw_clonotype_id", "raw_consensus_id",
]  # fmt: skip


def _clone_name(cell: object, sample_id: str, rng: np.random.Generator) -> str:
    """Return which clone a cell belongs to: expanded pools, else one of its own."""
    if cell.car:
        pool, size = "car", CAR_CLONES
    elif cell.profile in ("CD8 effector", "gdT", "MAIT"):
        pool, size = cell.cell_type, EFFECTOR_CLONES
    elif cell.profile in ("CD4 memory", "Treg"):
        pool, size = cell.cell_type, MEMORY_CLONES
    else:
        return f"{sample_id} {cell.barcode}"
    rank = min(size, int(rng.pareto(0.9) + 1))
    return f"{pool} {rank}"


def _contig(
    barcode: str,
    clone: str,
    chain: str,
    segment: str,
    constant: str,
    *,
    patient_id: str,
    seed: int,
    rng: np.random.Generator,
) -> tuple:
    own = generator(seed, "clonotype", patient_id, clone, chain)
    symbols, usage = segment_usage(segment)
    v_gene = str(own.choice(symbols, p=usage)).replace("DV", "/DV")
    middle = "".join(own.choice(RESIDUES, int(own.integers(4, 9))))
    joining = int(own.integers(1, 7))
    start, end, j_gene = ("CA", "NKLIF", f"TRAJ{joining + 30}")
    if chain == "TRB":
        start, end, j_gene = ("CASS", "NEQFF", f"TRBJ{1 + joining % 2}-{joining}")
    cdr3 = start + middle + end
    umis = int(1 + rng.poisson(4))
    number = 1 + list(CHAINS).index(chain)
    return (
        barcode, "true", f"{barcode}_contig_{number}", "true",
        500 + name_number(clone, chain) % 120, chain, v_gene, "", j_gene, constant, "true",
        "true", cdr3, "".join(CODONS[r] for r in cdr3), umis * int(rng.integers(40, 900)), umis,
        clone, "",
    )  # fmt: skip
