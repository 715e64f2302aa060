#!/usr/bin/env bash
# sc-dandelion 1.0.0: a second light chain makes a cell of one heavy chain a cell of several isotypes.
#
# Expected: `isotype_status` follows from the heavy chains: one IGHG1 contig is IgG.
# Seen: it is "Multi" as soon as the cell has a second light chain (many plasma cells carry one, of the
#   ambient RNA of the others), although `isotype` beside it says IgG and nothing else. A cell with the
#   same heavy chain and no light chain at all is IgG. Who counts isotypes by `isotype_status`, which the
#   package offers for plots, loses the plasma cells.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv" 2>/dev/null || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sc-dandelion==1.0.0 airr==2.0.0 anndata==0.12.19 numpy==2.4.6 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import dandelion

HEADER = (
    "barcode,is_cell,contig_id,high_confidence,length,chain,v_gene,d_gene,j_gene,c_gene,"
    "full_length,productive,cdr3,cdr3_nt,reads,umis,raw_clonotype_id,raw_consensus_id"
)
HEAVY = ("IGH", "IGHV3-23", "IGHJ4", "IGHG1", "CARW", "TGTGCGAGATGG", 30)
KAPPA = ("IGK", "IGKV1-39", "IGKJ1", "IGKC", "CQQW", "TGTCAGCAGTGG", 60)
LAMBDA = ("IGL", "IGLV2-14", "IGLJ2", "IGLC2", "CSSW", "TGCAGCTCATGG", 4)
IGA = ("IGH", "IGHV1-2", "IGHJ6", "IGHA1", "CARDW", "TGTGCGAGAGACTGG", 25)
cells = {"A-1": (HEAVY, KAPPA), "B-1": (HEAVY, KAPPA, LAMBDA), "C-1": (HEAVY,), "D-1": (HEAVY, IGA, KAPPA)}
rows, sequences = [HEADER], []
for barcode, chains in cells.items():
    for number, (chain, v, j, c, cdr3, cdr3_nt, umis) in enumerate(chains, start=1):
        contig = f"{barcode}_contig_{number}"
        rows.append(f"{barcode},true,{contig},true,500,{chain},{v},,{j},{c},true,true,{cdr3},{cdr3_nt},{umis * 50},{umis},clonotype1,x")
        sequences.append(f">{contig}\n{'ACGT' * 125}")
Path("filtered_contig_annotations.csv").write_text("\n".join(rows) + "\n")
Path("filtered_contig.fasta").write_text("\n".join(sequences) + "\n")
seen = dandelion.read_10x_vdj("filtered_contig_annotations.csv").metadata
print(seen[["c_call_VDJ", "c_call_VJ", "isotype", "isotype_status"]].to_string())
print("sc-dandelion", version("sc-dandelion"))
status = seen["isotype_status"].to_dict()
assert status["A-1"] == status["C-1"] == "IgG" and status["D-1"] == "Multi", f"usual cells changed: {status}"
assert seen.loc["B-1", "isotype"] == "IgG" and status["B-1"] == "Multi", "a light chain no longer counts"
PY
