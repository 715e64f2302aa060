#!/usr/bin/env bash
# Snakemake 9.27.1: `--config` gives numbers for plain values and text for the same values in a mapping.
#
# Expected: `--config 'atlas={resolution: 0.5, harmony: true}'` sets what the same YAML in the
#           configuration file sets: a number and a truth value, as `--config resolution=0.5` does.
# Seen:     a plain value is tried as a number and as a truth value; a mapping or list is read by YAML's
#           base loader, where every scalar is text: '0.5' and 'true', and so the text 'false' is true.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'snakemake==9.27.1'
cd "$work"
cat > Snakefile <<'SMK'
import json

with open("seen.json", "w") as handle:
    json.dump(config, handle)

rule all:
SMK
printf 'plain: 0.5\nnested:\n  number: 0.5\n  switch: false\n  list: [1, 2]\n' > config.yaml
seen() {
  "$work/venv/bin/snakemake" --cores 1 --quiet all "${@:2}" > run.log 2>&1 || { cat run.log >&2; exit 1; }
  mv seen.json "$1"
}
seen by_file.json --configfile config.yaml
seen by_word.json --config plain=0.5 'nested={number: 0.5, switch: false, list: [1, 2]}'
"$work/venv/bin/python" - <<'PY'
import json
from importlib.metadata import version

print("snakemake", version("snakemake"))
by_file, by_word = (json.load(open(name)) for name in ("by_file.json", "by_word.json"))
print("by the file:        ", by_file)
print("on the command line:", by_word)
assert by_file == {"plain": 0.5, "nested": {"number": 0.5, "switch": False, "list": [1, 2]}}
assert by_word["plain"] == 0.5, "plain values are no numbers"
if by_word["nested"] != {"number": "0.5", "switch": "false", "list": ["1", "2"]}:
    raise SystemExit("changed: nested values are no longer text")
PY
echo "as recorded: nested values arrive as text"
