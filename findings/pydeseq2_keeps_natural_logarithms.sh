#!/usr/bin/env bash
# pydeseq2 0.5.4: the coefficients kept in the data set are natural logarithms, the table's are of base 2.
#
# Expected: `dds.varm["LFC"]` holds log2 fold changes, as R's `coef(dds)` does and as `log2FoldChange`
#           of the results table is.
# Seen:     it is smaller by log(2), 0.69: a factor of 4 reads 1.39 instead of 2. The name in a written
#           file does not tell. A limit of one doubling would ask for a factor of 2.7.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'pydeseq2==0.5.4' 'anndata==0.12.19' \
  'numpy==2.4.6' 'pandas==2.3.3' 'scipy==1.17.1'
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import pandas as pd
from pydeseq2.dds import DeseqDataSet
from pydeseq2.ds import DeseqStats

print("pydeseq2", version("pydeseq2"))
random = np.random.default_rng(0)
names = [f"s{i}" for i in range(8)]
samples = pd.DataFrame({"time": np.repeat(["before", "relapse"], 4)}, index=names)
mean = np.full((8, 100), 200.0)
mean[4:, 0] *= 4  # the first gene rises fourfold
counts = pd.DataFrame(random.poisson(mean), index=names, columns=[f"GENE{i}" for i in range(100)])
data = DeseqDataSet(counts=counts, metadata=samples, design="~time", quiet=True)
data.deseq2()
result = DeseqStats(data, contrast=["time", "relapse", "before"], quiet=True)
result.summary()
kept = data.varm["LFC"]["time[T.relapse]"].iloc[0]
table = result.results_df["log2FoldChange"].iloc[0]
print(f"a fourfold rise: in the table {table:.2f}, in varm['LFC'] {kept:.2f}, their ratio {kept / table:.4f}")
assert abs(table - 2) < 0.1, "the table is not of base 2"
if abs(kept / table - np.log(2)) > 1e-6:
    raise SystemExit("changed: the coefficients kept are no longer natural logarithms")
PY
echo "as recorded: natural logarithms beside logarithms of base 2"
