#!/usr/bin/env bash
# airr 2.0.0: one empty `productive` makes `load_rearrangement` return None instead of a table.
#
# Expected: the AIRR schema lets `productive` be empty (not known), the library's own validator passes
#           the file and its row reader gives None for that row; the table has a missing value there,
#           or an exception says what is wrong.
# Seen:     pandas refuses the column, the library prints a line on standard error and returns None.
#           The caller goes on until something else fails. An empty number (`duplicate_count`) is no trouble.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'airr==2.0.0' 'pandas==2.3.3'
cd "$work"
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import version

import airr

print("airr", version("airr"), "pandas", version("pandas"))
FIELDS = [*airr.schema.RearrangementSchema.required, "duplicate_count"]


def table(name, productive, count):
    """Write two rearrangements; the second has the values given."""
    rows = [
        dict(sequence_id="s1", rev_comp="F", productive="T", duplicate_count="5"),
        dict(sequence_id="s2", rev_comp="F", productive=productive, duplicate_count=count),
    ]
    lines = ["\t".join(FIELDS)] + ["\t".join(row.get(f, "") for f in FIELDS) for row in rows]
    with open(name, "w") as handle:
        handle.write("\n".join(lines) + "\n")
    return name


loaded = {}
for what, values in {
    "complete": ("F", "3"), "empty duplicate_count": ("F", ""), "empty productive": ("", "3"),
}.items():
    path = table(f"{what.replace(' ', '_')}.tsv", *values)
    assert airr.validate_rearrangement(path), "the validator refuses the file"
    read = [row["productive"] for row in airr.read_rearrangement(path)]
    loaded[what] = airr.load_rearrangement(path)
    shape = None if loaded[what] is None else loaded[what].shape
    print(f"{what}: valid, rows read have productive {read}, table loaded {shape}")
assert loaded["complete"] is not None and loaded["empty duplicate_count"] is not None
if loaded["empty productive"] is not None:
    raise SystemExit("changed: a table is loaded where productive is empty")
PY
echo "as recorded: no table and no exception"
