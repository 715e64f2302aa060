#!/usr/bin/env bash
# scikit-survival 0.28.0, Surv.from_arrays: events given as the texts "1" and "0" are all events.
#
# Expected: "0" is no event, or text is refused, as "True"/"False", 1/2 and missing values are.
# Seen: "0" and "1" pass the check for two values and are then turned into truth values as text, where
#   whatever is not empty is true. Eight patients of whom four relapsed become eight relapses: survival
#   at the end falls from 0.36 to 0.00. A clinical table that numpy read as text, so that identifiers keep
#   their zeros, holds such a column; the same texts as Python objects (from pandas) are refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv" 2>/dev/null || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-survival==0.28.0 numpy==2.4.6 pandas==2.3.3
cd "$folder"
cat > patients.tsv <<'TSV'
patient_id	day	relapse
01	60	1
02	90	0
03	150	1
04	210	0
05	240	1
06	300	1
07	330	0
08	400	0
TSV
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy
from sksurv.nonparametric import kaplan_meier_estimator
from sksurv.util import Surv

_, day, relapse = numpy.loadtxt("patients.tsv", dtype=str, delimiter="\t", skiprows=1, unpack=True)
seen = {}
for name, event in (("numbers", relapse.astype(int)), ("text", relapse)):
    outcome = Surv.from_arrays(event, day.astype(float))
    _, survival = kaplan_meier_estimator(outcome["event"], outcome["time"])
    seen[name] = int(outcome["event"].sum()), round(float(survival[-1]), 2)
    print(f"events as {name}: {seen[name][0]} of 8, survival at the end {seen[name][1]}")
try:
    Surv.from_arrays(numpy.where(relapse == "1", "True", "False"), day.astype(float))
    other = "taken"
except ValueError as error:
    other = str(error)
print("other texts:", other)
print("scikit-survival", version("scikit-survival"))
assert seen["numbers"][0] == 4 and other != "taken"
assert seen["text"] == (8, 0.0), "text is now read as numbers, or refused"
PY
