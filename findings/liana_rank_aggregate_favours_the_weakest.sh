#!/usr/bin/env bash
# liana 1.10.0: `rank_aggregate` turns round the rank of a score that two of its methods share.
#
# Expected: a pair of ligand and receptor that comes last in every score of magnitude comes last in
#           `magnitude_rank`.
# Seen:     scores are replaced by their ranks in place, once a method. The product of expressions
#           belongs to two methods (Connectome and NATMI), so its ranks are ranked again, largest first:
#           the order of that score is reversed. Pairs last in every score come before pairs of the middle.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'liana==1.10.0' 'scanpy==1.11.5' 'anndata==0.12.19' \
  'mudata==0.3.10' 'numpy==2.4.6' 'numba==0.68.1' 'pandas==2.3.3' 'scipy==1.17.1' 'pynndescent==0.5.13'
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - 2> progress.log <<'PY' || { tail -5 progress.log >&2; exit 1; }
from importlib.metadata import version

import anndata
import liana
import numpy as np
import pandas as pd
from scipy import sparse

print("liana", version("liana"))
print("scores of magnitude:", liana.mt.rank_aggregate.magnitude_specs)
random = np.random.default_rng(0)
pairs = pd.DataFrame({"ligand": [f"L{i}" for i in range(40)], "receptor": [f"R{i}" for i in range(40)]})
level = np.tile(np.linspace(0.5, 6, 40), 2)  # pair 0 is weak, pair 39 strong
counts = random.poisson(level * random.lognormal(0, 0.3, size=(120, 1)))
data = anndata.AnnData(sparse.csr_matrix(np.log1p(counts).astype(np.float32)))
data.var_names = [*pairs["ligand"], *pairs["receptor"]]
data.obs_names = [f"cell{i}" for i in range(120)]
data.obs["type"] = pd.Categorical(np.repeat(["a", "b"], 60))
table = liana.mt.rank_aggregate(
    data, groupby="type", resource=pairs, use_raw=False, expr_prop=0.1,
    n_perms=20, seed=1, inplace=False, verbose=False,
).sort_values("expr_prod", ascending=False, ignore_index=True)
scores = ["lr_means", "expr_prod", "lrscore"]
assert table[scores].corr("spearman").min().min() > 0.99, "the scores disagree"
last = table.index[-1]
assert (table.loc[last, scores] == table[scores].min()).all(), "no pair is last in every score"
middle = table.index[len(table) // 4 : 3 * len(table) // 4]
weakest = table.loc[last, "magnitude_rank"]
print(f"magnitude_rank (small is strong): first {table.loc[0, 'magnitude_rank']:.4f}, middle half at best "
      f"{table.loc[middle, 'magnitude_rank'].min():.4f}, last in every score {weakest:.4f}")
if weakest >= table.loc[middle, "magnitude_rank"].min():
    raise SystemExit("changed: the weakest pair no longer comes before the middle")
PY
echo "as recorded: the pair that is last in every score comes before the middle"
