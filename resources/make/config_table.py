"""Write the list of configuration keys in config/README.md from config/config.yaml's comments.

The comments in config.yaml are the one place where keys are explained; a test holds the README
to them. Run `python resources/make/config_table.py` after changing either.
"""

import re
from pathlib import Path

CONFIG = Path(__file__).resolve().parents[2] / "config"
START = "<!-- keys: written by resources/make/config_table.py -->\n"


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


def keys_section(text: str) -> str:
    """Return the section of config/README.md on config.yaml."""
    cells = (
        f"| `{name}` | `{value}` | {why.replace('|', '/')} |"
        for name, value, why in config_keys(text)
    )
    return "\n".join(
        [
            START + "## `config.yaml`",
            "",
            "Any key can be changed on the command line (`--config seed=2`,",
            "`--config 'quality={min_counts: 500}'`) or in a file of your own (`--configfile",
            "my.yaml`), which needs to hold only what differs. Unknown and repeated keys, values",
            "of a wrong type or beyond their limits, and limits out of order are refused before",
            "anything runs; `relapsescope check --config my.yaml` says what is wrong with it,",
            "the sheet and all that they name.",
            "",
            "| key | default | what it is, and when to change it |",
            "|---|---|---|",
            *cells,
            "",
        ]
    )


def readme_with_keys(readme: str, config: str) -> str:
    """Return the README with its last section replaced."""
    return readme.split(START)[0].rstrip() + "\n\n" + keys_section(config)


if __name__ == "__main__":
    readme = CONFIG / "README.md"
    config = (CONFIG / "config.yaml").read_text(encoding="utf-8")
    readme.write_text(readme_with_keys(readme.read_text(encoding="utf-8"), config), "utf-8")
