"""What jobs ask for: by hand from a model's row, and every rule of the workflow by its own row."""

import re
import subprocess
import sys
from dataclasses import astuple

import pytest
from relapsescope.run.resource_models import (
    WITH_TCR,
    Size,
    batches,
    groups_of_rules,
    read_models,
    request,
    total_size,
)

WITHOUT_SCRIPT = {"all", "library_batch", "patient_batch"}


def rule_blocks(repository) -> dict[str, str]:
    found = {}
    for path in (repository / "workflow/rules").glob("*.smk"):
        for block in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            found[block.partition(":")[0]] = block
    return found


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two models with round numbers, in place of the fitted ones."""
    path = tmp_path / "models.tsv"
    path.write_text(
        "# a comment\n"
        "rule\tgroup\tunit\tmb_base\tmb_per_unit\tmb_per_library\ts_base\ts_per_unit\t"
        "s_per_library\tn_jobs\tlargest\tmost_libraries\n"
        "small\t\tthousand_barcodes\t100\t2\t0\t1\t0.5\t0\t3\t10\t1\n"
        "large\t\tmillion_values_with_raw\t400\t40\t10\t60\t30\t6\t3\t10\t20\n"
        "small+tcr\t\tmillion_tcr_bytes\t500\t50\t0\t8\t1\t0\t3\t10\t1\n"
    )
    found = read_models(path)
    monkeypatch.setattr("relapsescope.run.resource_models.read_models", lambda: found)
    return found


def test_a_request_is_the_model_with_its_margins(models):
    """370 + 1.25 * (400 + 40 * 30 + 10 * 4) MB; 5 + 2 * (60 + 30 * 30 + 6 * 4) / 60 minutes."""
    size = Size(n_barcodes=8000, n_values=12_000_000, n_raw_values=18_000_000, n_libraries=4)
    assert models["large"].memory(size) == 1640
    assert models["large"].seconds(size) == 984
    first = request("large", size)
    assert (first.mem_mb, first.runtime) == (2420, 38)
    again = request("large", size, attempt=2)
    assert (again.mem_mb, again.runtime) == (4840, 76)


def test_small_jobs_ask_for_the_floor(models):
    """370 + 1.25 * (100 + 2 * 4) = 505 MB is under the floor; 5.1 minutes are six."""
    asked = request("small", Size(n_barcodes=4000))
    assert (asked.mem_mb, asked.runtime) == (750, 6)


def test_jobs_that_read_contigs_ask_by_a_row_of_their_own(models):
    """370 + 1.25 * (500 + 50 * 2) MB; the other rule has no such row."""
    size = Size(n_barcodes=4000, n_tcr_bytes=2_000_000)
    assert request("small", size).mem_mb == 1120
    assert request("large", size) == request("large", Size(n_barcodes=4000))
    assert groups_of_rules() == {"small": "", "large": ""}


def test_sizes_add_up():
    total = total_size([Size(1, 2, 3, 4, 1), Size(10, 20, 30, 40, 1)])
    assert total == Size(11, 22, 33, 44, 2)
    assert total_size([]) == Size()


def test_batches_keep_the_order_and_leave_nobody_out():
    assert batches(["a", "b", "c", "d", "e"], 2) == {"1": ["a", "b"], "2": ["c", "d"], "3": ["e"]}
    many = batches(map(str, range(100)), 10)
    assert list(many)[:2] == ["01", "02"]
    assert [name for batch in many.values() for name in batch] == [*map(str, range(100))]
    assert batches([], 5) == {}


def test_every_rule_asks_by_its_own_row_and_is_benchmarked(repository):
    blocks = rule_blocks(repository)
    asking = {rule for rule, block in blocks.items() if "**requests(" in block}
    assert asking - WITHOUT_SCRIPT == set(groups_of_rules())
    for rule in groups_of_rules():
        assert f'**requests("{rule}"' in blocks[rule], rule
        # The job writes it (`run.job_log`): Snakemake's would overwrite it with the script's cost.
        assert "benchmark:" not in blocks[rule], rule
        assert "retries:" not in blocks[rule], rule


def test_groups_are_those_of_the_rules(repository):
    """`relapsescope plan` knows from the table what Snakemake knows from the rules."""
    for rule, block in rule_blocks(repository).items():
        if rule not in groups_of_rules():
            continue
        group = re.search(r'group:\s*"(\w+)"', block)
        expected = "local" if rule in ("samples", "clone_table") else group[1] if group else ""
        assert groups_of_rules()[rule] == expected, rule


def test_models_are_of_enough_memory_and_grow(repository):
    for name, model in read_models().items():
        rule = name.removesuffix(WITH_TCR)
        assert model.mb_base + model.mb_per_unit > 0, rule
        assert min(value for value in astuple(model) if isinstance(value, float)) >= 0, rule
        asked = [request(rule, Size(n * 1000, n * 2_000_000, 0)).mem_mb for n in (1, 10, 100)]
        assert asked == sorted(asked), rule


def test_a_job_on_a_cluster_starts_without_heavy_imports(repository):
    """Snakemake reads the workflow again for every job: what it imports is paid each time."""
    names = re.findall(
        r"^from (relapsescope[\w.]+) import",
        (repository / "workflow/rules/common.smk").read_text(),
        flags=re.M,
    )
    assert "relapsescope.run.start" in names
    code = f"""
import sys, yaml, {", ".join(names)}
config = yaml.safe_load(open("workflow/relapsescope/defaults.yaml"))
config.update(samples="tests/unit/data/none.tsv")
try:
    relapsescope.run.start.begin(config, check=False)
except relapsescope.errors.InputProblem:
    pass
print(*sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository, check=True
    )
    assert not {"numpy", "scipy", "h5py", "pandas", "pyarrow"} & set(ran.stdout.split())
