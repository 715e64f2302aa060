#!/usr/bin/env bash
# loompy 3.0.8: Greek letters of a text attribute vanish on reading, and two cell types become one.
#
# Expected: Loom 3.0.0 holds text as UTF-8, so "αβ T" and "γδ T" come back as they were written.
# Seen: the file holds both in UTF-8; loompy reads both as " T", "κ plasma" and "λ plasma" as " plasma",
#   without a message. anndata.read_loom, which reads through loompy, has the same: four groups of
#   cells are two. h5py reads the same file rightly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check \
  loompy==3.0.8 anndata==0.12.19 numpy==2.4.6 h5py
"$folder/v/bin/python" -W ignore - "$folder/types.loom" <<'PY'
import sys
from importlib.metadata import version

import anndata
import h5py
import loompy
import numpy as np

print("loompy", version("loompy"), "anndata", version("anndata"))
types = ["αβ T", "γδ T", "κ plasma", "λ plasma"]
loompy.create(
    sys.argv[1],
    np.array([[0, 1, 7, 2], [3, 0, 5, 1]]),
    {"Gene": np.array(["CD3D", "TNFRSF17"])},
    {"CellID": np.array(["c1", "c2", "c3", "c4"]), "cell_type": np.array(types)},
)
with h5py.File(sys.argv[1]) as file:
    stored = [text.decode() for text in file["col_attrs/cell_type"][:]]
with loompy.connect(sys.argv[1]) as file:
    by_loompy = [str(text) for text in file.ca.cell_type]
by_anndata = anndata.read_loom(sys.argv[1]).obs["cell_type"].tolist()
print("stored:", stored)
print("loompy:", by_loompy)
print("anndata:", by_anndata)
assert stored == types, stored
assert by_loompy == by_anndata == [" T", " T", " plasma", " plasma"], (by_loompy, by_anndata)
PY
