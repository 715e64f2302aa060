#!/usr/bin/env bash
# celltypist 1.7.1 with scikit-learn 1.9.1, the pair that pip resolves: `train` with its defaults raises.
#
# Expected: `pip install celltypist` gives a pair in which a model can be trained on labelled cells.
# Seen: the default (logistic regression) passes an argument that scikit-learn 1.8 took away:
#   "unexpected keyword argument 'multi_class'". With `use_SGD=True` the same cells train, so that a
#   pipeline works or ends by an option that only chooses a solver; `feature_selection=True`
#   ends after its first, long round. Models that exist predict as before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv" 2>/dev/null || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celltypist==1.7.1 scikit-learn==1.9.1 scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 pandas==2.3.3
cd "$folder"
"$folder/venv/bin/pip" check > consistent.txt && echo "pip finds no conflict between the two"
CELLTYPIST_FOLDER="$folder" venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import anndata
import celltypist
import numpy
import pandas
import scanpy

random = numpy.random.default_rng(0)
types = numpy.repeat(["plasma", "T", "B"], 100)
counts = random.poisson(1, (300, 200)).astype("float32")
counts[:100, :20] += random.poisson(5, (100, 20))
counts[100:200, 20:40] += random.poisson(5, (100, 20))
cells = anndata.AnnData(
    counts,
    obs=pandas.DataFrame({"cell_type": types}, index=[f"c{one}" for one in range(300)]),
    var=pandas.DataFrame(index=[f"G{one}" for one in range(200)]),
)
scanpy.pp.normalize_total(cells, target_sum=1e4)
scanpy.pp.log1p(cells)
seen = {}
for name, options in (("defaults", {}), ("use_SGD=True", {"use_SGD": True})):
    try:
        model = celltypist.train(cells, labels="cell_type", n_jobs=1, max_iter=100, **options)
        seen[name] = f"trained {sorted(map(str, model.cell_types))}"
    except TypeError as error:
        seen[name] = str(error)
for name, result in seen.items():
    print(f"{name}: {result}")
print("celltypist", version("celltypist"), "scikit-learn", version("scikit-learn"))
assert "multi_class" in seen["defaults"], "the pair trains now"
assert seen["use_SGD=True"].startswith("trained"), "the other solver no longer trains"
PY
