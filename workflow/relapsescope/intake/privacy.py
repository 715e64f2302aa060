"""Values that identify a person: dates, names and record numbers where a pseudonym should stand.

Columns of such values are refused by their names (`text_tables.IDENTIFYING`); here the values
themselves are looked at. A name alone cannot be told from a pseudonym; a title before it can, and
two capitalised words of an id may be one.
"""

import re
from datetime import date
from pathlib import Path

MONTHS = (
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|januar|februar|märz|maerz|mär|mai|juni|juli|okt"
    "|dez|january|february|march|april|june|july|august|september|october|november|december"
)
# No digit or letter may touch a date: 10.1016/j.cell or v1.2.3 are none.
WRITTEN_DATE = re.compile(
    r"(?<![\w.])(?:"
    r"(?:18|19|20)\d{2}[-/._](?:0?[1-9]|1[0-2])[-/._](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/._](?:0?[1-9]|[12]\d|3[01])[-/._](?:18|19|20)\d{2}"
    r"|(?:0[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.\d{2}"
    rf"|(?:[12]?\d|3[01])\.?[-/._ ]?(?:{MONTHS})[-/._ ]?(?:(?:18|19|20)\d{{2}})"
    rf"|(?:{MONTHS})[-/._ ](?:[12]?\d|3[01])(?:st|nd|rd|th)?,?[-/._ ](?:18|19|20)\d{{2}}"
    r")(?!\w)",
    re.IGNORECASE,
)
COMPACT_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)")
TITLE = re.compile(
    r"(?:^|[^A-Za-z])(?:Dr|Prof|Mr|Mrs|Ms|Herr|Frau|Mme|Mlle|Sr|Sra)(?:\.[ _-]?|[ _-])"
    r"(?:med[. ]+)?[A-ZÄÖÜ][a-zäöüßéèáà]+"
)
# Two words with capitals where an id stands, Mueller_Hans, unless one is a word of studies.
TWO_WORDS = re.compile(r"([A-Z][a-z]{2,})[_-]?([A-Z][a-z]{2,})")
WORDS_OF_STUDIES = frozenset(
    (
        *("after", "arm", "aspirate", "baseline", "before", "blood", "bone", "car", "case", "cell"),
        *("cells", "cohort", "control", "course", "core", "cycle", "day", "diagnosis", "donor"),
        *("end", "expansion", "fresh", "frozen", "healthy", "infusion", "late", "library"),
        *("marrow", "mono", "month", "multiple", "myeloma", "neg", "new", "normal", "old", "one"),
        *("panel", "patient", "peak", "peripheral", "plasma", "pool", "pos", "post", "pre"),
        *("primary", "product", "progression", "raw", "rebiopsy", "relapse", "remission"),
        *("replicate", "rest", "run", "sample", "screening", "second", "site", "sorted", "start"),
        *("study", "subject", "test", "three", "time", "timepoint", "total", "trial", "tumor"),
        *("tumour", "two", "unsorted", "untreated", "visit", "week", "year"),
    )
)
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE)

# A folder of this machine, which says who works where.
ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^\s/'\":;]+/)+")

DATE = "holds a date, which identifies a person"
NAME = "holds a name, which identifies a person"
MAIL = "holds an e-mail address, which identifies a person"
AS_ID = "use a pseudonym"
AS_TEXT = "remove it, or give days from CAR-T infusion"


def identifying(text: str) -> str:
    """Return why a text identifies a person, "" where nothing in it is seen to."""
    if WRITTEN_DATE.search(text):
        return DATE
    if TITLE.search(text):
        return NAME
    return MAIL if ADDRESS.search(text) else ""


def maybe_a_date(text: str) -> bool:
    """Return whether eight digits in a text could be a day: 19500131, but not 20231399."""
    for year, month, day in COMPACT_DATE.findall(text):
        try:
            date(int(year), int(month), int(day))
        except ValueError:
            continue
        return True
    return False


def maybe_a_name(identifier: str) -> bool:
    """Return whether an id could be a person's name: two words with capitals and nothing else.

    A city or a study's own name looks alike: this is to be warned of, not refused.
    """
    found = TWO_WORDS.fullmatch(identifier)
    return found is not None and not WORDS_OF_STUDIES.intersection(map(str.lower, found.groups()))


def without_folders(text: str, path: Path) -> str:
    """Return a message about a file without the folders that it and others lie in."""
    for folder in (str(path.parent), str(path.parent.absolute())):
        if folder != ".":
            text = text.replace(f"{folder}/", "")
    return ABSOLUTE.sub("", text)
