"""Cells that a spreadsheet would run, written so that it shows them; and read back as they were."""

import re
from typing import TypeVar

# What spreadsheets run (OWASP, CSV injection); one that was made harmless has more apostrophes.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
MADE_HARMLESS = re.compile(r"'+[=+\-@\t\r]")
# Numbers, and gains and losses of arms (+1q;-13q), which are ours: no spreadsheet runs them.
NOTHING_TO_RUN = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]inf|[+-]nan"
    r"|[+-](?:\d{1,2}|X|Y)[pq]?(?:;[+-](?:\d{1,2}|X|Y)[pq]?)*"
)
Frame = TypeVar("Frame")


def harmless(text: str) -> str:
    """Return a cell's text with an apostrophe before what would begin a formula.

    Text that has such apostrophes already gets one more, so that `as_meant` gives back every text
    exactly.
    """
    if FORMULA.match(text) and not NOTHING_TO_RUN.fullmatch(text):
        return f"'{text}"
    return text


def as_meant(text: str) -> str:
    """Return the text for which `harmless` wrote this cell."""
    return text[1:] if MADE_HARMLESS.match(text) else text


def frame_as_meant(frame: Frame) -> Frame:
    """Return a data frame of text as it was before it was written."""
    columns = {
        name: frame[name].map(as_meant)
        for name in frame.columns
        if frame[name].astype(str).str.startswith("'").any()
    }
    return frame.assign(**columns) if columns else frame
