#!/usr/bin/env bash
# scirpy 0.22.5: one γ chain in an αβ T cell takes its α chain's place.
#
# Expected: chains are ordered within their locus: a cell with one α, one β and a γ chain (γ is often
#           rearranged and transcribed in αβ T cells) is an αβ pair with something extra, as a cell with a
#           second α chain is, and stays in its clonotype.
# Seen:     α, γ and light chains share the two VJ places in order of their counts. With any γ chain the
#           cell is "ambiguous", which is usually filtered out; with more γ than α molecules its primary
#           pair is γβ and makes a clonotype of its own.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'scirpy==0.22.5' 'scanpy==1.11.5' 'anndata==0.12.19' \
  'mudata==0.3.10' 'airr==2.0.0' 'numpy==2.4.6' 'numba==0.68.1' 'pandas==2.3.3' 'scipy==1.17.1' 'pynndescent==0.5.13'
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - 2> progress.log <<'PY' || { tail -5 progress.log >&2; exit 1; }
from importlib.metadata import version

import scirpy

print("scirpy", version("scirpy"))


def chain(locus, junction, junction_aa, molecules):
    made = scirpy.io.AirrCell.empty_chain_dict()
    made.update(
        locus=locus, v_call=f"{locus}V1", j_call=f"{locus}J1", junction=junction,
        junction_aa=junction_aa, productive=True, duplicate_count=molecules,
    )
    return made


alpha, beta = chain("TRA", "TGTGCTTTT", "CAF", 10), chain("TRB", "TGTAGTTTT", "CSF", 10)
second_alpha = chain("TRA", "TGTAACTTT", "CNF", 9)
few_gamma, many_gamma = chain("TRG", "TGTGGTTTT", "CGF", 3), chain("TRG", "TGTGGTTTT", "CGF", 30)
cells = []
for name, chains in {
    "pair": [alpha, beta],
    "second alpha": [alpha, beta, second_alpha],
    "few gamma": [alpha, beta, few_gamma],
    "many gamma": [alpha, beta, many_gamma],
}.items():
    cell = scirpy.io.AirrCell(name)
    for one in chains:
        cell.add_chain(one)
    cells.append(cell)
data = scirpy.io.from_airr_cells(cells)
scirpy.pp.index_chains(data)
scirpy.tl.chain_qc(data)
scirpy.pp.ir_dist(data)
scirpy.tl.define_clonotypes(data, receptor_arms="all", dual_ir="primary_only")
seen = data.obs[["receptor_subtype", "chain_pairing", "clone_id"]].astype(str)
print(seen.to_string())
pairing, clone = seen["chain_pairing"], seen["clone_id"]
assert pairing["pair"] == "single pair" and pairing["second alpha"] == "extra VJ"
assert clone["pair"] == clone["second alpha"] == clone["few gamma"]
if (pairing["few gamma"], pairing["many gamma"]) != ("ambiguous", "ambiguous"):
    raise SystemExit("changed: a γ chain no longer makes an αβ cell ambiguous")
if clone["many gamma"] == clone["pair"]:
    raise SystemExit("changed: the cell with more γ than α stays in its clonotype")
PY
echo "as recorded: the γ chain hides the αβ pair"
