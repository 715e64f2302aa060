#!/usr/bin/env bash
# MultiQC 1.35: names of wells in a table of custom content become numbers, and two wells one.
#
# Expected: a column of names is shown as it was written, and the same from TSV as from JSON: plate 1,
#   well E2 is "1E2", plate 10, well E1 is "10E1".
# Seen: in TSV every cell that Python can read as a floating-point number is turned into one. "1E2"
#   and "10E1" both become 100.0, in the report and in multiqc_data, without a message; "2A7" beside
#   them stays text, so the column does not look numeric. From JSON all three stay as they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check multiqc==1.35
mkdir "$folder/in"
printf '# id: "as_tsv"\n# plot_type: "table"\nSample\twell\nL1\t1E2\nL2\t10E1\nL3\t2A7\n' \
  > "$folder/in/as_tsv_mqc.tsv"
cat > "$folder/in/as_json_mqc.json" <<'JSON'
{"id": "as_json", "plot_type": "table",
 "data": {"L1": {"well": "1E2"}, "L2": {"well": "10E1"}, "L3": {"well": "2A7"}}}
JSON
"$folder/v/bin/multiqc" -q --no-ansi -o "$folder/out" "$folder/in"
"$folder/v/bin/python" - "$folder/out/multiqc_data" <<'PY'
import csv, sys
from importlib.metadata import version
from pathlib import Path

print("multiqc", version("multiqc"))
seen = {}
for kind in ("as_tsv", "as_json"):
    with open(Path(sys.argv[1]) / f"multiqc_{kind}.txt", newline="") as file:
        wells = {row["Sample"]: row["well"] for row in csv.DictReader(file, delimiter="\t")}
    print(f"{kind}: 1E2 -> {wells['L1']}, 10E1 -> {wells['L2']}, 2A7 -> {wells['L3']}")
    seen[kind] = (wells["L1"], wells["L2"], wells["L3"])
assert seen["as_tsv"] == ("100.0", "100.0", "2A7"), seen
assert seen["as_json"] == ("1E2", "10E1", "2A7"), seen
PY
