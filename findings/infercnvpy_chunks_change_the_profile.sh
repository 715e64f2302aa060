#!/usr/bin/env bash
# infercnvpy 0.6.1: `chunksize`, said to save memory, changes the copy-number profiles.
#
# Expected: chunks of cells only bound the memory: the profile of a cell is the same for any `chunksize`.
# Seen:     the noise threshold (`dynamic_threshold` times a standard deviation) is taken from the cells
#           of each chunk. A chunk of normal cells has a small deviation and keeps its noise, a chunk of
#           tumour cells loses some of its signal. With the default of 5,000 this depends on the order of
#           the cells in any larger cohort.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'infercnvpy==0.6.1' 'scanpy==1.11.5' 'anndata==0.12.19' \
  'numpy==2.4.6' 'numba==0.68.1' 'pandas==2.3.3' 'scipy==1.17.1' 'pynndescent==0.5.13'
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" -W ignore - 2> progress.log <<'PY' || { tail -5 progress.log >&2; exit 1; }
from importlib.metadata import version

import anndata
import infercnvpy
import numpy as np
from scipy import sparse

print("infercnvpy", version("infercnvpy"))
random = np.random.default_rng(0)
values = np.log1p(random.poisson(2, size=(600, 600))).astype(np.float32)
values[450:, :200] *= 1.4  # the last 150 cells have gained the first chromosome
data = anndata.AnnData(sparse.csr_matrix(values))
data.var["chromosome"] = np.repeat(["chr1", "chr2", "chr3"], 200)
data.var["start"] = np.tile(np.arange(200) * 1000, 3)
data.var["end"] = data.var["start"] + 500
data.obs["kind"] = np.repeat(["normal", "tumour"], [450, 150])
profiles = {}
for size in (600, 150):
    profile = infercnvpy.tl.infercnv(
        data, reference_key="kind", reference_cat="normal", window_size=50,
        chunksize=size, n_jobs=1, inplace=False,
    )[1]
    profiles[size] = profile.toarray()
    called = (profiles[size] != 0).mean(axis=1)
    print(f"chunks of {size}: windows kept in normal cells {called[:450].mean():.1%}, "
          f"in tumour cells {called[450:].mean():.1%}")
apart = np.abs(profiles[600] - profiles[150])
print(f"windows that differ {(apart > 1e-6).mean():.1%}, by at most {apart.max():.2f}")
if apart.max() < 1e-6:
    raise SystemExit("changed: the profile does not depend on the chunks any more")
PY
echo "as recorded: the profile depends on the size of the chunks"
