#!/usr/bin/env bash
# scanpy 1.11.5, external.pp.hashsolo: with two hashtags every cell is "Negative", without a word.
#
# Expected: 110 cells with about 200 counts of one tag over a background of 5 are called for their tag,
#   ten that hold both are doublets, as happens with three tags.
# Seen: with two tags the noise is estimated from none of them (the default leaves tags - 2 for noise),
#   all three probabilities of each cell are NaN, and all 120 cells, doublets too, are "Negative" with
#   `most_likely_hypothesis` 0. With three tags the same counts are called as expected. A pool of two
#   patients is the smallest and a common one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6
"$folder/v/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import anndata
import numpy as np
import scanpy

print("scanpy", version("scanpy"))
seen = {}
for n_tags in (2, 3):
    rng = np.random.default_rng(0)
    n_cells = 60 * n_tags
    counts = rng.poisson(5, (n_cells, n_tags)).astype(float)
    for cell in range(n_cells - 10):
        counts[cell, cell % n_tags] += rng.poisson(200)
    counts[-10:, :2] += rng.poisson(200, (10, 2))
    pool = anndata.AnnData(np.zeros((n_cells, 1), dtype="float32"))
    tags = [f"HTO{tag}" for tag in range(n_tags)]
    for tag, of_tag in zip(tags, counts.T, strict=True):
        pool.obs[tag] = of_tag
    scanpy.external.pp.hashsolo(pool, tags)
    calls = pool.obs["Classification"].value_counts().to_dict()
    unknown = int(pool.obs["singlet_hypothesis_probability"].isna().sum())
    print(f"{n_tags} tags: {calls}, probability missing in {unknown} cells")
    seen[n_tags] = (calls, unknown)
assert seen[2] == ({"Negative": 120}, 120), seen
assert seen[3][0].get("Doublet") == 10 and "Negative" not in seen[3][0] and seen[3][1] == 0, seen
PY
