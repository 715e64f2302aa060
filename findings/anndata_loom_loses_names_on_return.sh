#!/usr/bin/env bash
# anndata 0.12.19 with loompy 3.0.8: read_loom(write_loom(x)) numbers the cells and the genes.
#
# Expected: what one writes and reads with the same library, both with their defaults, keeps the names
#   of cells and genes.
# Seen: write_loom stores them as the attributes `obs_names` and `var_names`, read_loom looks for
#   `CellID` and `Gene`, finds neither and, without a message, names both "0", "1", ...; the barcodes
#   are a column of obs, the genes a column of var, and x.var_names no longer holds TNFRSF17. With
#   obs_names="obs_names" and var_names="var_names" they come back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check \
  loompy==3.0.8 anndata==0.12.19 numpy==2.4.6
"$folder/v/bin/python" -W ignore - "$folder/x.loom" <<'PY'
import sys
from importlib.metadata import version

import anndata
import numpy as np
import scipy.sparse

print("anndata", version("anndata"), "loompy", version("loompy"))
written = anndata.AnnData(scipy.sparse.csr_matrix(np.array([[0, 1], [3, 4]], dtype="float32")))
written.obs_names = ["AAAC-1", "AAAG-1"]
written.var_names = ["CD38", "TNFRSF17"]
written.write_loom(sys.argv[1])
read = anndata.read_loom(sys.argv[1])
named = anndata.read_loom(sys.argv[1], obs_names="obs_names", var_names="var_names")
print("defaults:", read.obs_names.tolist(), read.var_names.tolist(), list(read.obs), list(read.var))
print("told:", named.obs_names.tolist(), named.var_names.tolist())
assert read.obs_names.tolist() == read.var_names.tolist() == ["0", "1"]
assert read.obs["obs_names"].tolist() == ["AAAC-1", "AAAG-1"]
assert named.obs_names.tolist() == ["AAAC-1", "AAAG-1"]
assert named.var_names.tolist() == ["CD38", "TNFRSF17"]
PY
