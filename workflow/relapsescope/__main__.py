"""`python -m relapsescope`."""

from relapsescope.cli import app

app(prog_name="relapsescope")
