"""Write envs/lock.txt from requirements.in, and envs/relapsescope.yaml in step with it.

Run with `make lock`: it installs the direct dependencies into a fresh environment and pins what
came with them.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
CONDA_NAMES = {"torch": "pytorch", "igraph": "python-igraph"}
HEADER = """\
# For sites that manage software with conda: the direct dependencies at the versions of lock.txt.
# Kept in step by tests/unit/test_environment.py; not built or solved by the project's tests.
name: relapsescope
channels: [conda-forge, bioconda, nodefaults]
dependencies:
  - python=3.11
"""


def frozen_versions(requirements: list[str]) -> dict[str, str]:
    """Return the versions that a fresh environment with `requirements` holds, torch first."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        for batch in (requirements[:1], requirements):
            subprocess.run([*pip, "install", "-q", *batch], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True)
    pairs = (re.split(r"==| @ ", line)[:2] for line in frozen.stdout.splitlines())
    return {name.lower().replace("_", "-"): version.split("+")[0] for name, version in pairs}


def main() -> None:
    """Install, freeze, and write both files."""
    requirements = [
        line.split("#")[0].strip()
        for line in (FOLDER / "requirements.in").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    versions = frozen_versions(requirements)
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (FOLDER / "lock.txt").write_text("".join(lines))
    direct = [re.split("[=<>]", requirement)[0] for requirement in requirements]
    conda = sorted(f"  - {CONDA_NAMES.get(name, name)}={versions[name]}\n" for name in direct)
    (FOLDER / "relapsescope.yaml").write_text(HEADER + "".join(conda))


if __name__ == "__main__":
    main()
