"""Fixtures that several layers share."""

from pathlib import Path

import pytest
from relapsescope.paths import REPOSITORY

REAL_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data; tests that need it skip where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs the real data in ../shared/data")
    return REAL_DATA


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY
