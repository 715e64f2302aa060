"""Pictures do not depend on the fonts of the machine that draws them."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont

DRAW = """
import hashlib, os, sys
import altair as alt, pandas as pd, vl_convert
from relapsescope.figures import theme
if sys.argv[1] == "system":
    theme.use_own_fonts = lambda: None
frame = pd.DataFrame({"clone": ["P1 clone B, before − 12 %", "≥ 0.6"], "rate": [1, 2]})
before = dict(os.environ)
svg = theme.to_svg(alt.Chart(frame).mark_bar().encode(x="rate", y="clone"), name="chart")
png = theme.to_png(svg)
assert dict(os.environ) == before
print(hashlib.sha256(svg.encode()).hexdigest(), hashlib.sha256(png).hexdigest())
"""


@pytest.fixture(scope="module")
def another_version(tmp_path_factory) -> Path:
    """A fontconfig file whose only font is called Liberation Sans and has other widths."""
    folder = tmp_path_factory.mktemp("fonts")
    font = TTFont(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")
    for record in font["name"].names:
        if record.nameID in (1, 16):
            record.string = "Liberation Sans"
    font.save(folder / "LiberationSans-Regular.ttf")
    (folder / "fonts.conf").write_text(f"<fontconfig><dir>{folder}</dir></fontconfig>")
    return folder / "fonts.conf"


def drawn(fonts: str, **variables: str) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", DRAW, fonts]
    found = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return found.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="fonts are found by fontconfig")
def test_pictures_are_the_same_with_another_version_of_the_font_installed(another_version):
    installed = {"FONTCONFIG_FILE": str(another_version)}
    own = drawn("own", **installed)
    assert own == drawn("own")
    # The renderer left to itself takes what is installed: the test would see it.
    left_alone = drawn("system", **installed)
    assert left_alone[0] != own[0]
    assert left_alone[1] != own[1]
