import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from relapsescope.course.files import course_paths
from relapsescope.figures.draw import (
    MANIFEST_COLUMNS,
    PANEL_NAMES,
    PANELS,
    draw_figures,
    draw_panel,
    read_manifest,
    read_source_data,
)
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.libraries import cells_by_step
from relapsescope.figures.maps import stratified_sample
from relapsescope.figures.numbered_figures import numbered_figures
from relapsescope.figures.palette import LINEAGE_COLOURS, cell_type_colours, colours_for
from relapsescope.figures.panel import PanelSettings, panel_settings
from relapsescope.paths import REPOSITORY
from relapsescope.report.context import caption
from relapsescope.report.sections.course import PANELS as COURSE_SECTION_PANELS
from relapsescope.run.config_file import default_values
from relapsescope.vocabulary import LINEAGES, TIMEPOINTS

from ..cohorts.small_run import LIBRARIES, write_results

SETTINGS = PanelSettings(distribution_bins=12, figure_map_points=200)
COURSE_PANELS = set(COURSE_SECTION_PANELS)
UNITS = {panel.name: panel.unit for panel in PANELS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    sheet = write_results(results)
    draw_figures(read_evidence(results, sheet=sheet), results, settings=SETTINGS)
    return results


def source(run, name):
    panel = next(panel for panel in PANELS if panel.name == name)
    return read_source_data(panel, run)


def test_every_panel_has_its_files_and_its_row(run):
    manifest = read_manifest(run)
    assert list(manifest.columns) == list(MANIFEST_COLUMNS)
    assert list(manifest["panel"]) == list(PANEL_NAMES)
    for name, row in manifest.iterrows():
        assert (run / "figures" / f"{name}.svg").read_text().startswith("<svg")
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        content = (run / row["source_data"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert (int(row["n_cells"]) > 0) == bool(UNITS[name])
        assert int(row["n_patients"]) > 0
        assert not row["test"].startswith("not assessable")


def test_only_the_panels_of_course_and_mechanisms_count_no_cells():
    uncounted = {name for name, unit in UNITS.items() if not unit}
    assert uncounted == COURSE_PANELS | {"mechanisms"}
    of_course = {name for name in PANEL_NAMES if category(name) == "Course"}
    assert of_course == COURSE_PANELS


def category(name):
    text = (REPOSITORY / f"workflow/report/{name}.rst").read_text()
    return re.fullmatch(r".*\n\n\.\. category: (.+)\n", text, re.S)[1]


def test_every_caption_names_its_category_and_no_page_shows_it():
    config = default_values()
    for path in (REPOSITORY / "workflow/report").glob("*.rst"):
        if path.stem != "workflow":
            assert category(path.stem) != ""
            assert "category:" not in caption(path.stem, config)


def test_every_panel_has_a_caption_and_every_caption_a_panel():
    captions = {path.stem for path in (REPOSITORY / "workflow" / "report").glob("*.rst")}
    assert captions - {"workflow", *(figure.name for figure in numbered_figures())} == set(
        PANEL_NAMES
    )


def test_twice_the_same_bytes_in_any_order(run, tmp_path):
    sheet = write_results(tmp_path)
    evidence, panels = read_evidence(tmp_path, sheet=sheet), tuple(reversed(PANELS))
    draw_figures(evidence, tmp_path, settings=SETTINGS, panels=panels)
    for folder in ("figures", "source_data"):
        for path in (run / folder).rglob("*.*"):
            if path.name != "manifest.tsv":
                assert path.read_bytes() == (tmp_path / path.relative_to(run)).read_bytes(), path


def test_pictures_are_drawn_from_source_data_alone(run, tmp_path):
    (tmp_path / "source_data").mkdir()
    for panel in PANELS:
        csv = f"source_data/{panel.name}.csv"
        (tmp_path / csv).write_bytes((run / csv).read_bytes())
        draw_panel(panel, tmp_path, test="")
        picture = f"figures/{panel.name}.svg"
        assert (tmp_path / picture).read_bytes() == (run / picture).read_bytes(), panel.name


def test_a_changed_number_changes_the_picture(run, tmp_path):
    panel = next(panel for panel in PANELS if panel.name == "composition")
    (tmp_path / "source_data").mkdir()
    text = (run / "source_data" / "composition.csv").read_text().replace("0.0", "0.3", 1)
    (tmp_path / "source_data" / "composition.csv").write_text(text)
    draw_panel(panel, tmp_path, test="")
    picture = "figures/composition.svg"
    assert (tmp_path / picture).read_bytes() != (run / picture).read_bytes()


def test_kept_and_lost_add_up_to_all_barcodes(run):
    frame = source(run, "cells_kept")
    assert (frame.groupby("sample_id")["n_cells"].sum() == 120).all()
    cells = pd.read_parquet(run / "tables" / "cells.parquet")
    kept = frame[frame["step"] == "kept"].set_index("sample_id")["n_cells"]
    assert kept.to_dict() == cells.groupby("sample_id")["qc_pass"].sum().to_dict()
    failed = frame[(frame["sample_id"] == "P2_bad") & (frame["n_cells"] > 0)]
    assert list(failed["step"]) == ["failed_library"]


def test_a_barcode_with_two_reasons_is_counted_at_the_first(run):
    steps = cells_by_step(read_evidence(run))
    assert "low_counts" in steps.columns
    assert "low_genes" not in steps.columns


def test_histograms_hold_every_barcode_and_the_thresholds(run):
    frame = source(run, "qc_total_counts")
    assert frame[frame["mark"] == "all"].groupby("sample_id")["n_cells"].sum().eq(120).all()
    lines = frame[frame["mark"] == "threshold"]
    assert dict(zip(lines["sample_id"], lines["x_low"], strict=True)) == {
        row[0]: 1500 for row in LIBRARIES
    }


def test_a_doublet_threshold_that_no_score_reaches_is_not_drawn(run):
    lines = source(run, "doublet_scores").query("mark == 'threshold'")
    assert "P2_bad" not in set(lines["sample_id"])
    assert set(lines["x_low"]) == {0.35}


def test_map_sample_keeps_small_libraries_and_its_seed():
    sizes = {"large": 4000, "small": 80}
    cells = pd.DataFrame({"sample_id": np.repeat(list(sizes), list(sizes.values()))})
    cells = cells.astype("category")
    drawn = stratified_sample(cells, 400, seed=1)
    counts = drawn["sample_id"].value_counts()
    assert counts["small"] == 50
    assert 380 <= counts["large"] <= 400
    assert list(stratified_sample(cells, 400, seed=1).index) == list(drawn.index)
    assert list(stratified_sample(cells, 400, seed=2).index) != list(drawn.index)
    assert len(stratified_sample(cells, 10_000, seed=1)) == len(cells)


def test_colours_are_fixed_and_different():
    assert set(LINEAGE_COLOURS) == set(LINEAGES)
    colours = cell_type_colours()
    assert len(set(colours.values())) >= len(colours) - 1
    assert colours["Plasma"] == LINEAGE_COLOURS["Plasma"]
    assert colours_for(["T", "new"], LINEAGE_COLOURS)[0] == LINEAGE_COLOURS["T"]
    assert len(TIMEPOINTS) == 7


@pytest.fixture
def hollow(tmp_path):
    """A run of one library in which nothing passed, so that there is no atlas."""
    write_results(tmp_path)
    cells = pd.read_parquet(tmp_path / "tables" / "cells.parquet")
    cells = cells[cells["sample_id"] == "P2_bad"]
    cells.to_parquet(tmp_path / "tables" / "cells.parquet", index=False)
    samples = pd.read_csv(tmp_path / "tables" / "samples.tsv", sep="\t", dtype=str)
    samples = samples[samples["sample_id"] == "P2_bad"]
    samples.to_csv(tmp_path / "tables" / "samples.tsv", sep="\t", index=False)
    for name in ("tables/microenvironment.tsv", "atlas/integration.tsv", "atlas/markers.tsv"):
        header = (tmp_path / name).read_text().splitlines()[0]
        (tmp_path / name).write_text(header + "\n")
    return tmp_path


def test_what_cannot_be_drawn_says_why_and_still_has_its_files(hollow):
    manifest = draw_figures(read_evidence(hollow), hollow, settings=SETTINGS)
    for name in ("map_lineage", "composition", "integration_quality", "cluster_markers"):
        assert manifest.loc[name, "test"].startswith("not assessable: ")
        assert manifest.loc[name, "n_cells"] == "0"
        assert "Not assessable" in (hollow / "figures" / f"{name}.svg").read_text()
        assert len((hollow / "source_data" / f"{name}.csv").read_text().splitlines()) == 1
    assert not manifest.loc["qc_total_counts", "test"].startswith("not assessable")


def test_without_clinical_tables_the_course_says_so(tmp_path):
    write_results(tmp_path)
    for path in course_paths(tmp_path).values():
        path.unlink()
    manifest = draw_figures(read_evidence(tmp_path), tmp_path, settings=SETTINGS)
    for name, row in manifest.iterrows():
        assert row["test"].startswith("not assessable: ") == (name in COURSE_PANELS), name


def test_settings_come_from_the_configuration():
    config = {"seed": 7, "report": {"map_points": 5}}
    assert panel_settings(config) == PanelSettings(map_points=5, seed=7)
