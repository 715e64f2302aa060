"""The page in a real browser: it draws its map, is silent, and fits a phone."""

import re
import shutil
import subprocess

import pytest
import yaml
from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import panel_settings
from relapsescope.report.page import build_report

from ..unit.mock_results import write_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
)
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement;
  root.dataset.overflow = root.scrollWidth - root.clientWidth;
  root.dataset.heads = document.querySelectorAll("thead th button").length;
  root.dataset.legend = document.querySelectorAll("#map-legend button").length;
});</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory, repository):
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    results = tmp_path_factory.mktemp("browser")
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text(encoding="utf-8"))
    config["report"]["figure_map_points"] = 200
    sheet = write_results(results, hostile=True)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=panel_settings(config))
    page = results / "index.html"
    return build_report(
        results, page, config=config, versions={}, sheet=sheet, patients=["P1", "P9"]
    )


def opened(page, tmp_path, width):
    """Return the page's DOM after its scripts ran, and the browser's log."""
    command = [CHROMIUM, *QUIET, f"--window-size={width},900", f"--user-data-dir={tmp_path}/user"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_page_is_silent_and_draws_its_map(page, tmp_path):
    dom, log = opened(page, tmp_path, 1280)
    assert log == []
    assert '<ul id="map-legend"' in dom
    assert len(re.findall(r'aria-pressed="false"', dom)) > 5
    assert '<button type="button">Verdict</button>' in dom


@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_does_not_scroll_sideways(page, tmp_path, width):
    """Chromium's window is never narrower than 500 pixels; 390 was looked at by hand."""
    dom, _ = opened(probed(page, tmp_path), tmp_path, width)
    assert 'data-overflow="0"' in dom
    assert 'data-heads="0"' not in dom
    assert 'data-legend="0"' not in dom


@pytest.mark.parametrize("patient_id", ["P1", "P9"])
def test_a_patient_s_page_is_silent_and_does_not_scroll_sideways(page, tmp_path, patient_id):
    own = page.parent / f"patients/{patient_id}.html"
    dom, log = opened(own, tmp_path, 1280)
    assert log == []
    assert f"Patient {patient_id}</h1>" in dom
    dom, _ = opened(probed(own, tmp_path), tmp_path, 500)
    assert 'data-overflow="0"' in dom


def probed(page, folder):
    """Return a copy of the page that measures itself."""
    copy = folder / "probed.html"
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return copy
