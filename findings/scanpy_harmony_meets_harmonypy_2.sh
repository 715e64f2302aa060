#!/usr/bin/env bash
# scanpy 1.11.5 with harmonypy 2.1.0: an installation that pip resolves without a word cannot integrate.
#
# Expected: `pip install 'scanpy[harmony]'` gives a pair that works together.
# Seen:     the extra asks for any harmonypy. In 2.1.0 the corrected components are cells × components,
#           in 0.0.10 they are components × cells; scanpy turns them round either way, and with 2.1.0
#           `sc.external.pp.harmony_integrate` ends with a ValueError about a shape.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'scanpy[harmony]==1.11.5' 'harmonypy==2.1.0' \
  'anndata==0.12.19' 'numpy==2.4.6' 'numba==0.68.1' 'pandas==2.3.3' 'scipy==1.17.1' 'pynndescent==0.5.13'
cd "$work"
cat > integrate.py <<'PY'
from importlib.metadata import version

import anndata
import harmonypy
import numpy as np
import pandas as pd
import scanpy

random = np.random.default_rng(0)
data = anndata.AnnData(np.zeros((300, 5), np.float32))
data.obsm["X_pca"] = random.normal(size=(300, 10)).astype(np.float32)
data.obs["library"] = pd.Categorical(np.repeat(["x", "y", "z"], 100))
shape = harmonypy.run_harmony(data.obsm["X_pca"], data.obs, "library").Z_corr.shape
print("scanpy", version("scanpy"), "harmonypy", version("harmonypy"), "corrected components", shape)
try:
    scanpy.external.pp.harmony_integrate(data, "library")
except ValueError as error:
    print(f"ValueError: {str(error)[:120]}")
    raise SystemExit(3)
print("integrated", data.obsm["X_pca_harmony"].shape)
PY
export OMP_NUM_THREADS=1
newer=0
"$work/venv/bin/python" -W ignore integrate.py 2> newer.log || newer=$?
"$work/venv/bin/pip" install -q --disable-pip-version-check 'harmonypy==0.0.10'
"$work/venv/bin/python" -W ignore integrate.py 2> older.log || { tail -5 older.log >&2; exit 1; }
if [ "$newer" != 3 ]; then
  echo "changed: scanpy works with harmonypy 2, or fails in another way" >&2
  tail -5 newer.log >&2
  exit 1
fi
echo "as recorded: the newer harmonypy is installed and does not work"
