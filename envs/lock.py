"""Write envs/lock.txt and lock-peers.txt from the requirements, and relapsescope.yaml in step.

Run with `make lock`: it installs the direct dependencies into a fresh environment and pins what
came with them.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
PEERS = "requirements-peers.in"
PEERS_HEADER = (
    "# Beside envs/lock.txt: what only comparisons with other methods need (make peers).\n"
)
CONDA_NAMES = {"torch": "pytorch", "igraph": "python-igraph"}
HEADER = """\
# For sites that manage software with conda: the direct dependencies at the versions of lock.txt.
# Kept in step by tests/unit/test_environment.py; not built or solved by the project's tests.
name: relapsescope
channels: [conda-forge, bioconda, nodefaults]
dependencies:
  - python=3.11
"""


def frozen_versions(*steps: list[str]) -> list[dict[str, str]]:
    """Return the versions that a fresh environment holds after each step of requirements."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        for requirements in steps:
            subprocess.run([*pip, "install", "-q", *requirements], check=True)
            frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True)
            pairs = (re.split(r"==| @ ", line)[:2] for line in frozen.stdout.splitlines())
            found.append({n.lower().replace("_", "-"): v.split("+")[0] for n, v in pairs})
    return found


def requirements_of(name: str) -> list[str]:
    """Return the requirements of a file in this folder, in its order."""
    lines = (FOLDER / name).read_text().splitlines()
    return [line.split("#")[0].strip() for line in lines if line and not line.startswith("#")]


def main() -> None:
    """Install, freeze, and write the locks and the conda file."""
    requirements, peers = requirements_of("requirements.in"), requirements_of(PEERS)
    # torch first, so that no other build is drawn in; the peers last, so that they change nothing.
    _, versions, with_peers = frozen_versions(requirements[:1], requirements, peers)
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (FOLDER / "lock.txt").write_text("".join(lines))
    added = sorted(with_peers.keys() - versions.keys())
    lines = [f"{name}=={with_peers[name]}\n" for name in added]
    (FOLDER / "lock-peers.txt").write_text(PEERS_HEADER + "".join(lines))
    direct = [re.split("[=<>]", requirement)[0] for requirement in requirements]
    conda = sorted(f"  - {CONDA_NAMES.get(name, name)}={versions[name]}\n" for name in direct)
    (FOLDER / "relapsescope.yaml").write_text(HEADER + "".join(conda))


if __name__ == "__main__":
    main()
