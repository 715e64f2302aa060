#!/usr/bin/env bash
# Snakemake 9.27.1: a root Snakefile that only includes `workflow/Snakefile` runs nothing and ends with 0.
#
# Expected: the first rule of the included file is the default target, as if its text stood there.
# Seen:     rules of included files are no default target: nothing is run, no output, exit status 0, so
#           that a pipeline that wraps another one looks as if it had succeeded.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'snakemake==9.27.1'
cd "$work"
mkdir workflow
cat > workflow/Snakefile <<'SMK'
rule all:
    input: "made.txt"

rule make:
    output: "made.txt"
    shell: "touch {output}"
SMK
echo 'include: "workflow/Snakefile"' > Snakefile
echo "snakemake $("$work/venv/bin/snakemake" --version)"
status=0
"$work/venv/bin/snakemake" --snakefile Snakefile --cores 1 > wrapped.log 2>&1 || status=$?
wrapped=$(ls made.txt 2>/dev/null || echo "nothing")
echo "through the wrapper: exit status $status, made: $wrapped"
"$work/venv/bin/snakemake" --snakefile workflow/Snakefile --cores 1 > direct.log 2>&1
echo "the same file itself: exit status 0, made: $(ls made.txt)"
if [ "$status" != 0 ] || [ "$wrapped" != nothing ]; then
  echo "changed: the wrapper fails or runs the included default target" >&2
  cat wrapped.log >&2
  exit 1
fi
echo "as recorded: nothing was run and nothing was said to be wrong"
