#!/usr/bin/env bash
# scikit-bio 0.7.4, gini_index: a repertoire of two clonotypes, 99 % and 1 %, is as even as can be.
#
# Expected: the Gini index of 99 and 1 is 0.49 (mean difference over twice the mean: 98 / 200), and 0
#   is for equal shares only.
# Seen: 0.0 for 99 and 1, for 90 and 10 and for 5 and 5. The area under the Lorenz curve is summed by
#   rectangles unless one asks for trapezoids; this adds 1/(2n) to it, so the index is 1/n too low and
#   cut at zero. Five clonotypes with 96 % in one have 0.56 (0.76), a hundred with 90 % in one 0.88 (0.89): indices
#   of samples with few clonotypes, as expanded CAR-T cells have, cannot be compared with others.
#   method="trapezoids" gives the expected values.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check scikit-bio==0.7.4 numpy==2.4.6
"$folder/v/bin/python" - <<'PY'
from importlib.metadata import version

import numpy as np
from skbio.diversity.alpha import gini_index

print("scikit-bio", version("scikit-bio"))


def by_definition(counts):
    differences = np.abs(np.subtract.outer(counts, counts)).mean()
    return differences / (2 * counts.mean())


for counts in ([99, 1], [90, 10], [5, 5], [96, 1, 1, 1, 1], [901] + [1] * 99):
    counts = np.array(counts)
    expected = by_definition(counts)
    default = gini_index(counts)
    asked = gini_index(counts, method="trapezoids")
    shown = f"{len(counts)} clonotypes, largest {counts.max() / counts.sum():.0%}"
    print(f"{shown}: definition {expected:.3f}, default {default:.3f}, trapezoids {asked:.3f}")
    assert np.isclose(asked, expected), (asked, expected)
    assert np.isclose(default, max(0.0, expected - 1 / len(counts))), (default, expected)
assert gini_index(np.array([99, 1])) == 0.0
PY
