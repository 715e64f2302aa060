"""Every sentence of a run's pages, and the kinds of sentence that must not be among them.

A rule takes a sentence and what the run's tables hold (`Known`), and returns what is wrong with it,
"" where nothing is. Prose is what stands in paragraphs, lists, notes and told fields of tables;
text in `<code>`, pictures, the list of cited cells and the list of parameters is none.
"""

import csv
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

BLOCKS = ("p", "dd", "dt", "li", "td", "th", "caption", "figcaption", "summary", "span")
SILENT = ("script", "style", "svg", "code", "title", "option", "button")
WITHOUT_PROSE = ("numbers", "methods", "rules")
MARKED = re.compile(r"</?strong>")


@dataclass
class Known:
    """What the tables of a run hold, as far as the rules ask for it."""

    samples: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    without_car_t: set[str] = field(default_factory=set)
    unevaluable: set[str] = field(default_factory=set)
    patient: str = ""


class _Sentences(HTMLParser):
    """Texts of a page's blocks with the section that they stand in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.section, self.silent = "", 0
        self.open: list[tuple[str, list[str]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "section":
            self.section = dict(attributes).get("id") or ""
        if tag in SILENT:
            self.silent += 1
        note = tag == "span" and "note" in (dict(attributes).get("class") or "")
        if tag in BLOCKS and (tag != "span" or note):
            self.open.append((tag, []))
        elif tag == "span":
            self.open.append(("inline", []))

    def handle_endtag(self, tag):
        if tag in SILENT:
            self.silent -= 1
        if tag == "span" and self.open and self.open[-1][0] == "inline":
            _, inside = self.open.pop()
            if self.open:
                self.open[-1][1].extend(inside)
        elif tag in BLOCKS and self.open and self.open[-1][0] == tag:
            _, parts = self.open.pop()
            text = " ".join("".join(parts).split())
            if text and self.section not in WITHOUT_PROSE:
                self.found.append((self.section, text))

    def handle_data(self, data):
        if self.open and not self.silent:
            self.open[-1][1].append(data)


def sentences(html: str) -> list[tuple[str, str]]:
    """Return (section, text) of every block of a page."""
    return _Sentences(html).found


def known_of(results: Path, patient: str = "") -> Known:
    """Return what the rules need of a run's tables; of one patient, or of all."""
    car_t = _rows(results / "tables/car_t.tsv")
    clones = [r for r in _rows(results / "tables/clones.tsv") if r["is_relapse_clone"] == "True"]
    columns = car_t[0] if car_t else {}
    return Known(
        samples={row["sample_id"] for row in _rows(results / "tables/samples.tsv")},
        sets={name.removesuffix("_effect") for name in columns if name.endswith("_effect")},
        without_car_t={
            row["sample_id"]
            for row in car_t
            if row["population"] == "car_detected" and row["n_cells"] in ("", "0")
        },
        unevaluable={row["patient_id"] for row in clones if row["cnv_evaluable"] != "True"},
        patient=patient,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def is_prose(text: str) -> bool:
    """Return whether a text is a sentence rather than a field of a table."""
    return len(text.split()) >= 4


def no_gap(text: str, known: Known) -> str:
    """A value that is missing takes its clause with it; no name of a column stands in prose."""
    gap = re.search(r"\bnot given\b|\bno reference\b|\bnan\b|(?<=[:=(,] )None\b", text)
    if gap:
        return gap.group()
    if is_prose(text) and re.search(r"(?<=[\w(,:;]) – (?=[\w),.;%])|\(–|–\)|– %", text):
        return "a dash in the place of a value"
    for word in re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", text):
        if word not in known.samples and not re.search(rf"{word}\.(?:tsv|csv|rst)", text):
            return word
    shouted = re.search(r"\b(?:NOT_)?(?:INDETERMINATE|ASSESSABLE|SUPPORTED|RETAINED|LOST)\b", text)
    return shouted.group() if shouted and is_prose(text) else ""


def no_car_t_cells_of_none(text: str, known: Known) -> str:
    """No sentence names CAR-T cells of a library in which none were found."""
    named = re.findall(r"CAR-T cells (?:of|in) ([\w-]+)", text)
    return next((name for name in named if name in known.without_car_t), "")


def not_both(text: str, known: Known) -> str:
    """Nothing is enough and too little, or only one and all, in one sentence."""
    for found, needed in re.findall(r"(\d+) of (\d+) (?:are )?needed", text):
        if int(found) >= int(needed):
            return f"{found} of {needed} needed"
    only = re.search(r"\bonly (\w+) rose.*?(\d+) of (\d+) sets rose", text)
    if only and only[2] == only[3]:
        return only.group()
    return ""


def shares_hold(text: str, known: Known) -> str:
    """All is said of all only, and nothing of a share that has a limit."""
    for part, whole in re.findall(r"(\d[\d,]*) of (?:the )?(\d[\d,]*)", text):
        if part != whole and re.search(rf"{part} of (?:the )?{whole}[^;:.]*?\b100 %", text):
            return f"{part} of {whole} as 100 %"
    zero = re.search(r"(?<![\d.–-])\b0 %(?! ?\()[^;]{0,60}", text)
    if zero and is_prose(text) and not re.search(r"\bto\b|at most|interval|limit", zero.group()):
        return zero.group()
    return ""


def no_overclaim(text: str, known: Known) -> str:
    """Nothing is said that the tables leave open."""
    if "same subclone" in text and known.patient in known.unevaluable:
        return "the same subclone while copy number is not evaluable"
    if "no malignant cells were found" in text:
        return "no malignant cells were found"
    return ""


def named_as_clinicians_do(text: str, known: Known) -> str:
    """BCMA stands where TNFRSF17 does; a log2 change beside its fold; a signature with its name."""
    if is_prose(text) and "TNFRSF17" in text and "BCMA" not in text:
        return "TNFRSF17 without BCMA"
    if re.search(r"\blog2 change -?\d", text) and "-fold" not in text:
        return "a log2 change without its fold"
    named = re.findall(r"[A-Za-z]+\d{4}|cartex", text)
    return next(
        (f"signature {name}" for name in named if name in known.sets and is_prose(text)), ""
    )


RULES = (
    *(no_gap, no_car_t_cells_of_none, not_both, shares_hold, no_overclaim),
    named_as_clinicians_do,
)


def problems(html: str, known: Known) -> list[str]:
    """Return every sentence of a page that breaks a rule, with the rule and what breaks it."""
    found = []
    for section, text in sentences(html):
        for rule in RULES:
            why = rule(text, known)
            if why:
                found.append(f"{section} [{rule.__name__}: {why}] {text[:300]}")
    return [*found, *_page_problems(sentences(html))]


def _page_problems(told: list[tuple[str, str]]) -> list[str]:
    """Return what two sentences of a page contradict each other in."""
    texts = [text for _, text in told]
    every = [t for t in texts if t.startswith("Every mechanism could be")]
    open_ones = [t for t in texts if re.fullmatch(r"(?:\? |◐ )?(?:not assessable|undecided).*", t)]
    found = []
    if every and open_ones:
        found.append(f"every mechanism decided beside {open_ones[0]!r}")
    counts = {
        n
        for section, text in told
        if section in ("answer", "clones", "mechanisms")
        for n in re.findall(r"\d+ of (?:the )?(\d+) malignant plasma cells", text)
    }
    if len(counts) > 1:
        found.append(f"malignant plasma cells at relapse counted as {sorted(counts)}")
    return found
