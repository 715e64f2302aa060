#!/usr/bin/env bash
# pegasusio 0.11.0: a Cell Ranger folder with antibodies is one RNA matrix; the same library as .h5 is two.
#
# Expected: feature types are obeyed whichever of Cell Ranger's two forms is read.
# Seen: from filtered_feature_bc_matrix/ all features come as one data set of modality "rna", so an
#   antibody against BCMA is a gene beside TNFRSF17 and most of each cell's total (301, 206 and 105
#   instead of 1, 6 and 5). From the .h5 of the same counts RNA and "citeseq" are apart. No message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check pegasusio==0.11.0 numpy==2.4.6 pandas==2.3.3
"$folder/v/bin/python" -W ignore - "$folder" <<'PY'
import gzip
import sys
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pegasusio
import scipy.io
import scipy.sparse

print("pegasusio", version("pegasusio"))
counts = np.array([[1, 2, 0], [0, 4, 5], [300, 200, 100]], dtype="int32")
barcodes = ["AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCGC-1", "AAACCTGAGAAACGCC-1"]
features = [
    ("ENSG00000048462", "TNFRSF17", "Gene Expression", "GRCh38"),
    ("ENSG00000004468", "CD38", "Gene Expression", "GRCh38"),
    ("anti-BCMA", "anti-BCMA", "Antibody Capture", ""),
]
tenx = Path(sys.argv[1]) / "filtered_feature_bc_matrix"
tenx.mkdir()
for name, lines in (
    ("barcodes", barcodes),
    ("features", ["\t".join(feature[:3]) for feature in features]),
):
    with gzip.open(tenx / f"{name}.tsv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
with gzip.open(tenx / "matrix.mtx.gz", "wb") as file:
    scipy.io.mmwrite(file, scipy.sparse.coo_matrix(counts))
by_cell = scipy.sparse.csc_matrix(counts)
with h5py.File(f"{tenx}.h5", "w") as file:
    matrix = file.create_group("matrix")
    for name in ("data", "indices", "indptr"):
        matrix[name] = getattr(by_cell, name)
    matrix["shape"] = np.array(counts.shape, dtype="int32")
    matrix["barcodes"] = np.array(barcodes, dtype="S")
    group = matrix.create_group("features")
    for name, column in zip(
        ("id", "name", "feature_type", "genome"), zip(*features, strict=True), strict=True
    ):
        group[name] = np.array(column, dtype="S")
    group["_all_tag_keys"] = np.array(["genome"], dtype="S")

seen = {}
for path in (str(tenx), f"{tenx}.h5"):
    library = pegasusio.read_input(path)
    for name in library.list_data():
        part = library.get_data(name)
        totals = part.X.sum(axis=1).A1.astype(int).tolist()
        seen[Path(path).suffix, part.get_modality()] = (part.var_names.tolist(), totals)
        print(Path(path).name, part.get_modality(), part.var_names.tolist(), "totals", totals)
assert seen == {
    ("", "rna"): (["TNFRSF17", "CD38", "anti-BCMA"], [301, 206, 105]),
    (".h5", "rna"): (["TNFRSF17", "CD38"], [1, 6, 5]),
    (".h5", "citeseq"): (["anti-BCMA"], [300, 200, 100]),
}, seen
PY
