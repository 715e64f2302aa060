#!/usr/bin/env bash
# muon 0.1.9, prot.pp.dsb: the background of an antibody is taken from another one where two files differ in order.
#
# Expected: cells and empty droplets are matched by the antibodies' names, as AnnData aligns everywhere;
#   the order in which a file lists its panel does not matter, or another order is refused.
# Seen: only the number of antibodies is compared. With empty droplets that list the same three
#   antibodies in another order, anti-BCMA (CD269) goes from 10.6 standard deviations over its background
#   to 17 below it, and no message says so. The panel of empty droplets often comes from another file
#   (raw matrix, a vendor's list), which nobody sorted alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv" 2>/dev/null || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check muon==0.1.9 mudata==0.3.10 scanpy==1.11.5 anndata==0.12.19 numpy==2.4.6 pandas==2.3.3 scikit-learn==1.9.1
cd "$folder"
venv/bin/python -W error::UserWarning:__main__ - <<'PY'
import warnings
from importlib.metadata import version

import anndata
import muon
import numpy
import pandas

random = numpy.random.default_rng(0)
panel = ["CD269", "CD38", "CD138"]


def counts(means, names):
    """Return AnnData of Poisson counts: one row a name."""
    return anndata.AnnData(
        random.poisson(means, (len(names), 3)).astype("float32"),
        obs=pandas.DataFrame(index=names),
        var=pandas.DataFrame(index=panel),
    )


empty = counts([5, 200, 20], [f"empty_{one}" for one in range(500)])
cells = counts([60, 600, 200], [f"cell_{one}" for one in range(100)])
seen = {}
for order in (panel, ["CD38", "CD138", "CD269"]):
    normalised = cells.copy()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        muon.prot.pp.dsb(normalised, empty[:, order].copy(), denoise_counts=False)
    about = [str(one.message) for one in told if "antibod" in str(one.message) or "order" in str(one.message)]
    seen[tuple(order)] = dict(zip(normalised.var_names, normalised.X.mean(axis=0).round(1).tolist()))
    print("order of the empty droplets' panel:", order, "->", seen[tuple(order)], about)
print("muon", version("muon"))
same, other = seen.values()
assert same["CD269"] > 9, "matched panels no longer give the right value"
assert other["CD269"] < -10 and not about, "the panels are now matched by name, or the order is refused"
PY
