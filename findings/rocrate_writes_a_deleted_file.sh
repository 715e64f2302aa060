#!/usr/bin/env bash
# rocrate 0.16.0: a file deleted from a crate is still in the crate that is written.
#
# Expected: `crate.delete("private.txt")` followed by `crate.write("out")` makes a folder without that
#           file: the crate was asked not to have it.
# Seen:     delete takes the entity out of the metadata only; write then copies every file of the source
#           folder that the metadata does not name. The file is delivered and no longer described, so a
#           check of the metadata cannot see it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check 'rocrate==0.16.0'
cd "$work"
"$work/venv/bin/python" - <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

from rocrate.rocrate import ROCrate

print("rocrate", version("rocrate"))
for name in ("shared.txt", "private.txt"):
    Path(name).write_text(name)
first = ROCrate()
for name in ("shared.txt", "private.txt"):
    first.add_file(name, dest_path=name)
first.write("source")

second = ROCrate("source")
second.delete("private.txt")
second.write("out")
graph = json.loads(Path("out/ro-crate-metadata.json").read_text())["@graph"]
named = sorted(entity["@id"] for entity in graph)
files = sorted(path.name for path in Path("out").iterdir())
print("named in the metadata:", named)
print("files in the folder:  ", files)
assert "shared.txt" in named and "private.txt" not in named, "the entity was not deleted"
if "private.txt" not in files:
    raise SystemExit("changed: a deleted file is not written any more")
PY
echo "as recorded: the deleted file is written, without a word about it in the metadata"
