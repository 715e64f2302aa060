#!/usr/bin/env bash
# Snakemake 9.27.1: a set of names as a parameter makes the same job run again and again.
#
# Expected: parameters are compared by value: {"BCMA", "GPRC5D"} is equal to {"GPRC5D", "BCMA"}, and a
#           second call has nothing to do.
# Seen:     they are compared by how they are printed. Python orders the names of a set by a hash that
#           changes with every process, so an unchanged workflow says "Params have changed". A sorted list
#           is left alone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'snakemake==9.27.1'
cd "$work"
cat > Snakefile <<'SMK'
NAMES = {"BCMA", "GPRC5D", "CD38", "SLAMF7", "FCRL5", "CD19"}

rule all:
    input: "set.txt", "list.txt"

rule set:
    output: "set.txt"
    params: names=NAMES
    shell: "touch {output}"

rule list:
    output: "list.txt"
    params: names=sorted(NAMES)
    shell: "touch {output}"
SMK
echo "snakemake $("$work/venv/bin/snakemake" --version)"
for seed in 1 2; do  # as two processes of a user would have, but the same at every run of this script
  PYTHONHASHSEED=$seed "$work/venv/bin/snakemake" --cores 1 > "run$seed.log" 2>&1 || { cat "run$seed.log" >&2; exit 1; }
done
again=$(grep -oE 'rule (set|list):$' run2.log || true)
reason=$(grep -c 'reason: Params have changed' run2.log || true)
echo "run by the second call: ${again:-nothing}; jobs with changed parameters: $reason"
if [ "$again" != "rule set:" ] || [ "$reason" != 1 ]; then
  echo "changed: the set is left alone, or the list is not" >&2
  cat run2.log >&2
  exit 1
fi
echo "as recorded: the set's job runs again, the list's does not"
