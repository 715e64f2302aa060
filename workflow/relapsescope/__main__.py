"""`python -m relapsescope`."""

from relapsescope.commands.app import app

app(prog_name="relapsescope")
