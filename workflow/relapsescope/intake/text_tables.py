"""Tab-separated tables that people write by hand: read as text, every complaint with its place."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relapsescope.intake.input_limits import input_limits
from relapsescope.intake.privacy import AS_ID, AS_TEXT, identifying, maybe_a_date, maybe_a_name
from relapsescope.intake.regular_files import NOT_THERE, why_not_a_file

# Byte order marks; that of UTF-32 begins as that of UTF-16 does.
MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
# The only ends of a line in a table: str.splitlines also breaks at U+2028, form feeds and others.
LINE_END = re.compile(r"\r\n|\r|\n")
# Longer words are not compared with known ones: no misspelling is so long.
LONGEST_WORD = 60
# A cell: in quotes, where tabs and doubled quotes are part of it, or as it stands.
CELL = re.compile(r'(?:^|(?<=\t))("(?:[^"]|"")*"[^\t]*|[^\t]*)')
QUOTED = re.compile(r'"(?P<inner>(?:[^"]|"")*)"|(?P<plain>[^"]*|[^"].*)')
MISSING_WORDS = frozenset(
    {"na", "n/a", "nan", "null", "-", "--", "?", "unknown", "missing", "#n/a", "."}
)
DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    r"|\d{1,2}[-/. ]?[A-Za-z]{3,9}[-/. ]?\d{2,4}"
)
# Columns that identify a person, and what to do instead.
IDENTIFYING = (
    (r"birth|(^|_)dob(_|$)|geburt", "a birth date identifies a person", "remove the column"),
    (
        r"(^|_)(mrn|ssn|nhs)(_|$)|medical_?record|hospital_?(number|id)|insurance|passport"
        r"|case_?number|social_?security",
        "a record number identifies a person",
        "remove the column and use a pseudonym as patient_id",
    ),
    (
        r"^(patient|first|last|full|given|family|middle)?_?names?$|surname|initials"
        r"|address|e_?mail|phone|post_?code|zip_?code",
        "names and contact details identify a person",
        "remove the column and use a pseudonym as patient_id",
    ),
    (
        r"(^|_)dates?(_|$)|datum",
        "dates identify a person",
        "give whole days from CAR-T infusion instead",
    ),
)


@dataclass(frozen=True)
class Row:
    """One line of a table: its number in the file and its cells by column, as text."""

    line: int
    cells: Mapping[str, str]


@dataclass
class Table:
    """A table as text, and what is wrong with it so far.

    `problems` stop a run, `warnings` do not; both are lines of the form
    ``samples.tsv:7 column: what is wrong; what to do``.
    """

    path: Path
    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the file, which begins every message."""
        return self.path.name

    def place(self, line: int | None, column: str = "") -> str:
        """Return ``samples.tsv:7 column``."""
        return self.name + (f":{line}" if line else "") + (f" {column}" if column else "")

    def problem(self, line: int | None, column: str, what: str, remedy: str) -> None:
        """Note a problem."""
        self.problems.append(f"{self.place(line, column)}: {what}; {remedy}")

    def warn(self, line: int | None, column: str, what: str, remedy: str) -> None:
        """Note a warning."""
        self.warnings.append(f"{self.place(line, column)}: {what}; {remedy}")


def shown(text: str, longest: int = 60) -> str:
    """Return the text in quotes on one line, shortened."""
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")


def nearest(word: str, words: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    """Return the word that was probably meant, "" if none is near."""
    folded = {w.lower(): w for w in words}
    lower = re.sub(r"[\s\-]+", "_", word.strip().lower())
    if aliases and (word.strip().lower() in aliases or lower in aliases):
        return aliases.get(word.strip().lower(), aliases.get(lower, ""))
    if len(lower) > LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(lower, folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def read_table(
    path: Path,
    columns: Iterable[str],
    required: Iterable[str],
    *,
    aliases=None,
    limit: str = "max_table_lines",
) -> Table:
    """Return a table's rows as text, with the problems of its form.

    A byte order mark, Windows line ends, quotes around cells and blank lines are accepted.

    Parameters
    ----------
    path
        The file.
    columns, required
        The columns that there may be, and those that there must be.
    aliases
        Other names of columns, for suggestions.
    limit
        The key of the configuration's `inputs` that says how many lines there may be.
    """
    table = Table(path)
    text = _read_text(path, table)
    lines = [(n, line) for n, line in enumerate(LINE_END.split(text), 1) if line.strip(' \t"')]
    if table.problems:
        return table
    if not lines:
        table.problem(None, "", "the table is empty", "give a line of column names and the rows")
        return table
    (first, header), *body = lines
    most = getattr(input_limits(), limit)
    if len(body) > most:
        what = f"{len(body):,} lines, more than inputs.{limit} allows ({most:,})"
        table.problem(None, "", what, "give the table itself, or raise the limit")
        return table
    if "\t" not in header and re.search(r"[,;]", header):
        mark = "commas" if header.count(",") >= header.count(";") else "semicolons"
        table.problem(first, "", f"the columns are set apart by {mark}", "save it with tabs (TSV)")
        return table
    table.columns = [cell.strip() for cell in _cells(table, first, header)]
    _check_columns(table, first, list(columns), list(required), aliases)
    for number, line in body:
        cells = _cells(table, number, line)
        if len(cells) > len(table.columns) and any(cells[len(table.columns) :]):
            table.problem(
                number,
                "",
                f"{len(cells)} cells under {len(table.columns)} columns",
                "remove the surplus tabs",
            )
        cells += [""] * (len(table.columns) - len(cells))
        row = Row(number, dict(zip(table.columns, cells, strict=False)))
        _check_cells(table, row)
        table.rows.append(row)
    if not body:
        table.problem(None, "", "the table has column names but no rows", "add the rows")
    return table


def _read_text(path: Path, table: Table) -> str:
    if fault := why_not_a_file(path):
        what, remedy = fault
        what = f"there is no file {path}" if what == NOT_THERE else what
        table.problem(None, "", what, remedy)
        return ""
    size = path.stat().st_size
    if size > 1e6 * input_limits().max_table_mb:
        what = f"{size / 1e6:,.0f} MB, too large for a table of this kind"
        remedy = "give the table itself, or raise inputs.max_table_mb"
        table.problem(None, "", what, remedy)
        return ""
    try:
        content = path.read_bytes()
    except OSError as error:
        table.problem(None, "", f"cannot be opened ({error.strerror})", "make it readable for you")
        return ""
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        table.problem(None, "", "an Excel file", "save it as tab-separated text (TSV)")
        return ""
    if content.startswith(b"\x1f\x8b"):
        table.problem(None, "", "a gzip file", "unpack it (gunzip)")
        return ""
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        what = f"the text is not {encoding.removesuffix('-sig').upper()}"
        table.problem(line, "", what, "save it as UTF-8 text")
        return ""
    if "\x00" in text:
        table.problem(None, "", "not a text file", "save it as tab-separated text (TSV)")
        return ""
    return text


def _cells(table: Table, number: int, line: str) -> list[str]:
    """Return the cells of one line; quotes that a spreadsheet put around a cell are taken off."""
    if '"' not in line:
        return line.split("\t")
    cells = [QUOTED.fullmatch(part) for part in CELL.findall(line)]
    if all(cells):
        return [
            cell["inner"].replace('""', '"') if cell["inner"] is not None else cell["plain"]
            for cell in cells
        ]
    what = "a quotation mark that is not closed, or text beside a quoted cell"
    table.problem(number, "", what, 'remove the mark (")')
    return line.replace('"', "").split("\t")


def _check_columns(table: Table, line: int, columns: list[str], required: list[str], aliases):
    if not any(name in table.columns for name in columns):
        table.problem(
            line,
            "",
            f"no known column in the first line {shown(' '.join(table.columns))}",
            f"begin with the column names: {', '.join(required)}",
        )
    for name in sorted({n for n in table.columns if table.columns.count(n) > 1}):
        table.problem(line, shown(name), "the column occurs more than once", "keep one of them")
    missing = [name for name in required if name not in table.columns]
    for name in dict.fromkeys(n for n in table.columns if n not in columns):
        identifying = next(
            ((what, do) for rule, what, do in IDENTIFYING if re.search(rule, name.lower())), None
        )
        if identifying:
            table.problem(line, shown(name), *identifying)
            continue
        if not name:
            table.problem(line, "", "a column without a name", "name it or remove it")
            continue
        free = [n for n in columns if n not in table.columns]
        meant = nearest(name, free, aliases)
        missing = [n for n in missing if n != meant]
        remedy = f"did you mean {meant}?" if meant else f"known columns: {', '.join(columns)}"
        table.problem(line, shown(name), "unknown column", remedy)
    for name in missing:
        table.problem(line, name, "the column is missing", "add it")


def _check_cells(table: Table, row: Row) -> None:
    for name, value in row.cells.items():
        if value != value.strip():
            table.problem(
                row.line, name, f"{shown(value)} begins or ends with a space", "remove the space"
            )
        elif value.lower() in MISSING_WORDS:
            table.problem(
                row.line, name, f"{shown(value)} for a missing value", "leave the cell empty"
            )
        elif not value.isprintable():
            table.problem(row.line, name, f"{shown(value)} holds a control character", "remove it")


def known(table: Table, row: Row, column: str) -> str:
    """Return a row's cell without outer spaces, "" where it is missing or a word for missing."""
    value = row.cells.get(column, "").strip()
    return "" if value.lower() in MISSING_WORDS else value


def identifier(table: Table, row: Row, column: str, *, longest: int = 80) -> str:
    """Return an identifier that is safe in file names and pages, "" with a problem."""
    value = known(table, row, column)
    if not value:
        if column in table.columns and not row.cells[column].strip():
            table.problem(row.line, column, "the cell is empty", "give an identifier")
        return ""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        table.problem(
            row.line,
            column,
            f"{shown(value)} is no identifier",
            "use only letters, digits, _ and -",
        )
        return ""
    if value.startswith("-"):
        # Commands take it for an option, spreadsheets for a formula.
        table.problem(row.line, column, f"{shown(value)} begins with -", "begin with a letter")
        return ""
    if reason := identifying(value):
        table.problem(row.line, column, f"{shown(value)} {reason}", AS_ID)
        return ""
    if maybe_a_date(value):
        what = f"{shown(value)} may hold a date, which would identify a person"
        table.warn(row.line, column, what, f"{AS_ID} if it does")
    if maybe_a_name(value):
        what = f"{shown(value)} may be a name, which would identify a person"
        table.warn(row.line, column, what, f"{AS_ID} if it is")
    if len(value) > longest:
        table.problem(
            row.line, column, f"{shown(value)} is too long", f"use at most {longest} characters"
        )
        return ""
    return value


def free_text(table: Table, row: Row, column: str, *, longest: int = 500) -> str:
    """Return free text that is harmless in spreadsheets and pages, "" with a problem."""
    value = known(table, row, column)
    if value.startswith(("=", "+", "@")) or re.search(r"[<>]", value):
        what, remedy = "looks like a formula or HTML", "use plain words"
    elif len(value) > longest:
        what, remedy = f"is {len(value):,} characters long", f"use at most {longest}"
    elif reason := identifying(value):
        what, remedy = reason, AS_TEXT
    else:
        return value
    table.problem(row.line, column, f"{shown(value)} {what}", remedy)
    return ""


def word(
    table: Table, row: Row, column: str, words: Iterable[str], aliases=None, *, needed=False
) -> str:
    """Return a word of a vocabulary, "" where the cell is empty or with a problem."""
    value, words = known(table, row, column), list(words)
    if not value:
        if needed and column in table.columns and not row.cells[column].strip():
            table.problem(row.line, column, "the cell is empty", f"give one of {', '.join(words)}")
        return ""
    if value not in words:
        meant = nearest(value, words, aliases)
        remedy = f"did you mean {meant}?" if meant else f"give one of {', '.join(words)}"
        table.problem(row.line, column, f"{shown(value)} is not known", remedy)
        return ""
    return value


def whole_number(table: Table, row: Row, column: str, *, needed: bool = False) -> int | None:
    """Return a whole number (a day), None where the cell is empty or with a problem."""
    value = known(table, row, column)
    if not value:
        if needed and column in table.columns and not row.cells[column].strip():
            table.problem(row.line, column, "the cell is empty", "give a whole number")
        return None
    wanted = "whole days, e.g. " if "day" in column else "a whole number, e.g. "
    if re.fullmatch(r"[+-]?\d{1,6}", value):
        return int(value)
    if DATE.fullmatch(value):
        what, remedy = "is a date", "give whole days from CAR-T infusion (day 0)"
    elif re.fullmatch(r"[+-]?\d*[.,]\d*", value):
        what, remedy = "is not a whole number", f"give {wanted}{value.split('.')[0] or 0}"
    else:
        example = "28 or -7" if "day" in column else "2"
        what, remedy = "is not a whole number", f"give {wanted}{example}"
    table.problem(row.line, column, f"{shown(value)} {what}", remedy)
    return None


PLAIN_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?"
BOUND = re.compile(rf"(?:<=?|>=?|≤|≥)\s*({PLAIN_NUMBER})")
# What laboratories write for a value below what their assay can tell.
BELOW_LIMIT = re.compile(
    r"(?i)(?:(?:not|none)[ _-]?(?:detect|quantifi|measur|seen)\w*|un(?:detect|measur|quantifi)\w*"
    r"|nd|n\.d\.|neg\w*\.?|trace\w*|faint|absent|tstq|too small to quantif\w*|below .*|bloq"
    r"|<? ?llo[dq]|<? ?lo[dq])"
)


def measured(text: str) -> float | None:
    """Return the number that a measurement stands for, None where it is none.

    A bound stands for its limit: what is `<0.1` is at most 0.1.
    """
    bound = BOUND.fullmatch(text)
    if bound:
        return float(bound[1])
    return float(text) if re.fullmatch(PLAIN_NUMBER, text) else None


def number(table: Table, row: Row, column: str) -> float | None:
    """Return a measurement, None where the cell is empty or with a problem."""
    value = known(table, row, column)
    if not value:
        return None
    found = measured(value)
    if found is not None:
        return found
    if DATE.fullmatch(value):
        what, remedy = "is a date", "give a number"
    elif re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", value):
        plain = value.replace(",", "")
        what = "is ambiguous: the comma may set apart thousands or decimals"
        remedy = f"write {plain} or {value.replace(',', '.')}"
    elif re.fullmatch(r"[+-]?\d+,\d+", value):
        what, remedy = "has a decimal comma", f"write {value.replace(',', '.')}"
    elif re.fullmatch(r"[+-]?\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+(?:[.,]\d+)?", value):
        digits = re.sub(r"[,.' \u00a0\u202f](?=\d{3}(?:\D|$))", "", value)
        what, remedy = "has thousands set apart", f"write {digits.replace(',', '.')}"
    elif re.match(r"[<>≤≥]", value):
        what, remedy = "is no bound", "write the sign and the limit alone, e.g. <0.1"
    elif BELOW_LIMIT.fullmatch(value):
        what = "is a word for a value below the assay's limit"
        remedy = "write the limit as a bound, e.g. <0.1, or 0"
    else:
        what, remedy = "is not a number", "give the number alone, without its unit"
    table.problem(row.line, column, f"{shown(value)} {what}", remedy)
    return None
