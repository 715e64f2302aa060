#!/usr/bin/env bash
# fcsparser 0.2.8 and FlowKit 1.2.3: the "raw" events of one FCS 3.1 file, in two scales.
#
# Expected: two readers of flow cytometry's format give the same numbers for the same file before any
#   compensation or transformation.
# Seen: fcsparser returns what is stored. FlowKit's get_events("raw") has a linear channel divided by its
#   gain ($PnG 10: 1000 is 100), a logarithmic one ($PnE 4,1: 512 of 1024 is 100) in linear units, and
#   time in seconds by $TIMESTEP. So a median BCMA of 512 in one is 100 in the other, and neither says
#   which it is; with cache_original_events, get_events("orig") of FlowKit is what fcsparser returns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/v"
"$folder/v/bin/pip" install -q --disable-pip-version-check fcsparser==0.2.8 six flowkit==1.2.3
"$folder/v/bin/python" -W ignore - "$folder/x.fcs" <<'PY'
import sys
from importlib.metadata import version

import fcsparser
import flowkit
import numpy as np

print("fcsparser", version("fcsparser"), "flowkit", version("flowkit"))
events = np.array([[50, 1000, 256], [100, 500, 512]], dtype="<u2")
channels = [
    {"N": "Time", "E": "0,0"},
    {"N": "CD38-A", "E": "0,0", "G": "10.0"},
    {"N": "BCMA-A", "E": "4,1"},
]
keywords = {
    "$BEGINANALYSIS": "0", "$ENDANALYSIS": "0", "$BEGINSTEXT": "0", "$ENDSTEXT": "0",
    "$BYTEORD": "1,2,3,4", "$DATATYPE": "I", "$MODE": "L", "$NEXTDATA": "0",
    "$PAR": "3", "$TOT": "2", "$TIMESTEP": "0.01",
}
for number, channel in enumerate(channels, start=1):
    for name, value in {**channel, "B": "16", "R": "1024"}.items():
        keywords[f"$P{number}{name}"] = value


def text_segment(begin, end):
    data = {"$BEGINDATA": f"{begin:08d}", "$ENDDATA": f"{end:08d}"}
    return "/" + "".join(f"{name}/{value}/" for name, value in (keywords | data).items())


begin = 58 + len(text_segment(0, 0))
end = begin + events.nbytes - 1
places = (58, begin - 1, begin, end, 0, 0)
header = "FCS3.1".ljust(10) + "".join(f"{place:>8d}" for place in places)
with open(sys.argv[1], "wb") as file:
    file.write((header + text_segment(begin, end)).encode() + events.tobytes())

by_fcsparser = fcsparser.parse(sys.argv[1])[1].to_numpy()
sample = flowkit.Sample(sys.argv[1], cache_original_events=True)
raw, stored = sample.get_events("raw"), sample.get_events("orig")
print("fcsparser:", by_fcsparser.tolist())
print("FlowKit raw:", raw.tolist())
print("FlowKit orig:", stored.tolist())
assert np.array_equal(by_fcsparser, events) and np.array_equal(stored, events)
assert np.allclose(raw, [[0.5, 100, 10], [1.0, 50, 100]]), raw
PY
