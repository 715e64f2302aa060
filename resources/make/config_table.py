"""Write the lists of configuration keys in config/README.md from the comments of two files.

config/config.yaml holds what people choose, workflow/relapsescope/defaults.yaml every key; the
comments in them are the one place where keys are explained, and a test holds the README to them.
Run `python resources/make/config_table.py` after changing either.
"""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
START = "<!-- keys: written by resources/make/config_table.py -->\n"
INTRODUCTION = """## `config.yaml`

`config/config.yaml` holds what people choose. Every other key has a value too, a constant of a
method with its source: `workflow/relapsescope/defaults.yaml`, which is part of the program and is
read first. Any key of either list can be written into `config.yaml`, on the command line
(`--config seed=2`, `--config 'quality={min_counts: 500}'`) or into a file of your own
(`--configfile my.yaml`), which need to hold only what differs; a section or key that is written
nowhere has its default. Unknown and repeated keys, values of a wrong type or beyond their limits,
and limits out of order are refused before anything runs. `relapsescope check --config my.yaml` says
what is wrong with it, the sheet and all that they name; `relapsescope config --config my.yaml`
prints every value with the file that it is from.
"""
CONSTANTS = """### Constants of the methods

Not in `config.yaml` as it is shipped; written there they count all the same.
"""


def config_keys(text: str) -> list[tuple[str, str, str]]:
    """Return (key, default, explanation) of every leaf; a comment explains the keys below it."""
    rows: list[tuple[str, str, str]] = []
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    fresh = False
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped:
            comment, fresh = [], False
        elif stripped.startswith("#"):
            comment = [*comment, stripped.lstrip("# ")] if fresh else [stripped.lstrip("# ")]
            fresh = True
        elif match := re.match(r"( *)(\w+):(.*)", line):
            indent, key, value = len(match[1]), match[2], match[3].strip()
            path = [*(item for item in path if item[0] < indent), (indent, key)]
            fresh = False
            if value:
                name = ".".join(part for _, part in path)
                rows.append((name, value, " ".join(comment)))
    return rows


def explained(repository: Path) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Return the keys of config.yaml, and those of the defaults that it does not hold."""
    files = ("config/config.yaml", "workflow/relapsescope/defaults.yaml")
    chosen, every = (config_keys((repository / file).read_text("utf-8")) for file in files)
    names = {name for name, _, _ in chosen}
    return chosen, [row for row in every if row[0] not in names]


def key_table(keys: list[tuple[str, str, str]]) -> str:
    """Return keys as a table of Markdown."""
    cells = (f"| `{name}` | `{value}` | {why.replace('|', '/')} |" for name, value, why in keys)
    head = "| key | default | what it is, and when to change it |\n|---|---|---|"
    return "\n".join([head, *cells, ""])


def readme_with_keys(readme: str, repository: Path) -> str:
    """Return the README with its last section replaced by the keys of a repository's files."""
    chosen, constants = map(key_table, explained(repository))
    section = START + "\n".join([INTRODUCTION, chosen, CONSTANTS, constants])
    return readme.split(START)[0].rstrip() + "\n\n" + section


if __name__ == "__main__":
    path = REPOSITORY / "config/README.md"
    path.write_text(readme_with_keys(path.read_text("utf-8"), REPOSITORY), "utf-8")
