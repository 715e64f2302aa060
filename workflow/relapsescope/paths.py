"""Where the repository keeps what the package reads."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RESOURCES = REPOSITORY / "resources"
