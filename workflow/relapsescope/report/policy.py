"""What a page may do: its content security policy, in the page and in front of it."""

import base64
import hashlib
from importlib.resources import files

SCRIPT = "page.js"


def asset(name: str) -> str:
    """Return a style or script of the pages."""
    return files("relapsescope.report").joinpath("assets", name).read_text(encoding="utf-8")


def page_policy() -> str:
    """Return the policy of a page: its own script, and nothing from elsewhere.

    A page that was tampered with in a sheet still runs no foreign code.
    """
    digest = base64.b64encode(hashlib.sha256(asset(SCRIPT).encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
