"""Values and files that people and programs have put where something else was expected."""

import gzip
import os
import random
import socket
from pathlib import Path

WORDS = (
    *("", " ", "NA", "nan", "NaN", "None", "null", "-", "?", "#N/A", "#REF!", "TRUE", "0", "-0"),
    *("1", "-1", "1.5", "1,5", "1e3", "1e400", "inf", "-inf", "99999999999999999999", "0x10"),
    *("2024-03-01", "01.03.2024", "1 Mar 2024", "43891", "1950-01-31", "since 12.03.2021"),
    *("=1+1", "=HYPERLINK(A1)", "+1", "@SUM(A1)", "-cmd", "'quoted'", '"open', 'a"b', '""'),
    *("<b>bold</b>", "<script>x</script>", "&amp;", "a;b", "a,b", "a|b", "$HOME", "`id`", "%s"),
    *("{sample}", "{", "}}", "a{b}c", "..", "../..", "/", "//", "~", "C:\\data", "a/b", "./-x"),
    *("é", "e\u0301", "ß", "Ünïcode", "日本", "😀", "\u200b", "\u2028", "\ufeff", "\u202e", "\x07"),
    *("a\x00b", "a\u00a0b", "A" * 81, "A" * 5000, "a\\tb", "P1", "p1", "P1_pre", "P1_PRE", "H1"),
    *("Dr. Smith", "Dr_Smith", "Mueller, Hans", "19500131", "relapse", "Relapse", "healthy"),
    *("CD138+", "BM", "car_t", "kappa", "positive", "<0.1", ">1000", "5 g/dl", "12 %", "TNFRSF17"),
    *("http://host/x.h5", "s3://bucket/x", "/dev/null", "/proc/self/mem", "matrix.h5", "P1_rel"),
)
ENDS = ("\n", "\r\n", "\r", "\n\n", "\u2028", "\x0b")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "latin-1", "cp037")


def odd_file(rng: random.Random, path: Path) -> str:
    """Put something that is no plain file, or a useless one, at a path; return what."""
    kinds = {
        "a named pipe": os.mkfifo,
        "a socket": _socket,
        "a directory": Path.mkdir,
        "a link to nothing": lambda p: p.symlink_to("nowhere"),
        "a link to itself": lambda p: p.symlink_to(p.name),
        "a link to /dev/zero": lambda p: p.symlink_to("/dev/zero"),
        "a link to /dev/stdin": lambda p: p.symlink_to("/dev/stdin"),
        "an empty file": lambda p: p.write_bytes(b""),
        "zeros": lambda p: p.write_bytes(bytes(100_000)),
        "random bytes": lambda p: p.write_bytes(rng.randbytes(5_000)),
        "a gzip bomb": _bomb,
        "a page of HTML": lambda p: p.write_text("<!DOCTYPE html><html>404 not found</html>\n"),
        "an Excel file": lambda p: p.write_bytes(b"PK\x03\x04" + rng.randbytes(300)),
        "one endless line": lambda p: p.write_bytes(b"a" * 20_000_000),
        "a Git LFS pointer": lambda p: p.write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
        ),
    }
    name = rng.choice(sorted(kinds))
    if path.is_dir() and not path.is_symlink():
        return "nothing"
    path.unlink(missing_ok=True)
    kinds[name](path)
    return name


def _socket(path: Path) -> None:
    """Make a socket; the kernel takes short names only, so the folder is left out of it."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _bomb(path: Path) -> None:
    """Write 3 GB of nothing, packed to 3 MB."""
    zeros = gzip.compress(bytes(100_000_000), 1)
    with path.open("wb") as file:
        for _ in range(30):
            file.write(zeros)


def spoil_bytes(rng: random.Random, path: Path) -> str:
    """Cut a file short, or change some of its bytes; return what was done."""
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    if rng.random() < 0.3:
        length = rng.randrange(len(content))
        path.write_bytes(content[:length])
        return f"cut to {length} of {len(content)} bytes"
    places = [rng.randrange(len(content)) for _ in range(rng.choice((1, 3, 20)))]
    for place in places:
        content[place] = rng.randrange(256)
    path.write_bytes(content)
    return f"{len(places)} bytes changed"


def spoil_table(rng: random.Random, path: Path, separator: str = "\t") -> str:
    """Change a table as a person, a spreadsheet or a script might; return what was done."""
    rows = [line.split(separator) for line in path.read_text(encoding="utf-8").splitlines()]
    end, encoding = "\n", "utf-8"
    change = rng.choice(
        (
            *("cell", "cell", "cell", "cell", "cell", "name", "column gone", "row gone"),
            *("row twice", "cells short", "cells more", "end", "encoding", "order", "separator"),
            *("many rows", "quotes", "column twice", "huge cell", "empty rows", "cells swapped"),
        )
    )
    said = change
    line, place = rng.randrange(1, len(rows)) if len(rows) > 1 else 0, rng.randrange(len(rows[0]))
    if change == "cell":
        rows[line][place] = rng.choice(WORDS)
        said = f"line {line + 1} {rows[0][place]} = {rows[line][place][:60]!r}"
    elif change == "name":
        said = f"column {rows[0][place]} named {(new := rng.choice(WORDS))[:60]!r}"
        rows[0][place] = new
    elif change == "column gone":
        said = f"column {rows[0][place]} gone"
        rows = [row[:place] + row[place + 1 :] for row in rows]
    elif change == "row gone":
        del rows[line]
        said = f"line {line + 1} gone"
    elif change == "row twice":
        rows.append(list(rows[line]))
    elif change == "cells short":
        rows[line] = rows[line][:place]
        said = f"line {line + 1} ends before {rows[0][place]}"
    elif change == "cells more":
        rows[line] += ["", "more"]
    elif change == "end":
        end = rng.choice(ENDS)
        said = f"lines end with {end!r}"
    elif change == "encoding":
        encoding = rng.choice(ENCODINGS)
        rows[line][-1] += "é"
        said = f"encoded as {encoding}"
    elif change == "order":
        order = rng.sample(range(len(rows[0])), len(rows[0]))
        rows = [[row[i] for i in order] for row in rows]
    elif change == "separator":
        separator = rng.choice((",", ";", " ", "|", "\t\t"))
        said = f"cells set apart by {separator!r}"
    elif change == "many rows":
        rows += [list(rows[line]) for _ in range(400)]
    elif change == "quotes":
        rows[line][place] = rng.choice(('"', '"a', 'a"', '""a', '"a"b', "'"))
        said = f"line {line + 1} {rows[0][place]} = {rows[line][place]!r}"
    elif change == "column twice":
        rows = [[*row, row[place]] for row in rows]
        said = f"column {rows[0][place]} twice"
    elif change == "huge cell":
        rows[line][place] = "x" * 1_000_000
        said = f"a huge cell in {rows[0][place]}"
    elif change == "empty rows":
        rows[line:line] = [[], [""] * len(rows[0])]
    elif change == "cells swapped":
        other = rng.randrange(len(rows[0]))
        row = rows[line]
        row[place], row[other] = row[other], row[place]
        said = f"line {line + 1} {rows[0][place]} and {rows[0][other]} swapped"
    text = end.join(separator.join(row) for row in rows) + end
    path.write_bytes(text.encode(encoding, "replace"))
    return said
