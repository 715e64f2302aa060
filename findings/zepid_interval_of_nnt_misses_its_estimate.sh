#!/usr/bin/env bash
# zEpid 0.9.1, number_needed_to_treat: the interval printed beside an estimate does not hold it.
#
# Expected: where the interval of the risk difference holds zero, that of its inverse goes through
#   infinity, in two pieces, and is given so (Altman 1998) or not at all.
# Seen: the two ends are inverted and sorted. 5 of 10 against 2 of 10 patients give 3.3 with "-10.3 to
#   1.4", the very values that the data speak against, and nothing says so. Small trials meet it always.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv" 2>/dev/null || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check zepid==0.9.1 numpy==2.4.6 pandas==2.3.3
cd "$folder"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

from zepid.calc import number_needed_to_treat, risk_difference

seen = {}
for name, counts in (("5 of 10 against 2 of 10", (5, 5, 2, 8)), ("50 of 100 against 20 of 100", (50, 50, 20, 80))):
    difference, needed = risk_difference(*counts), number_needed_to_treat(*counts)
    low, high = sorted((float(needed.lower_bound), float(needed.upper_bound)))
    seen[name] = low <= needed.point_estimate <= high
    print(f"{name}: risk difference {difference.point_estimate:.2f} ({difference.lower_bound:.2f} to {difference.upper_bound:.2f}),", end=" ")
    print(f"number needed {needed.point_estimate:.1f} ({low:.1f} to {high:.1f}), holds its estimate: {seen[name]}")
print("zepid", version("zepid"))
assert list(seen.values()) == [False, True], "the interval is given in another way now"
PY
