"""What a run records of the machine, so that a deposit made elsewhere explains its last digits."""

import json
import os
import platform
import subprocess
import sys

import pytest
from relapsescope.deposit.compare import circumstances
from relapsescope.provenance import machine as of_machine

EPYC = """processor : 0
vendor_id : AuthenticAMD
cpu family : 25
model : 17
model name : AMD EPYC
stepping : 1

processor : 1
vendor_id : Other
model name : other
"""
ARM = "processor : 0\nCPU implementer : 0x41\nCPU architecture: 8\nCPU part : 0xd40\n"


@pytest.fixture
def described(tmp_path, monkeypatch):
    def describe(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(of_machine, "CPUINFO", tmp_path / "cpuinfo")
        of_machine.machine.cache_clear()
        return of_machine.machine()

    yield describe
    of_machine.machine.cache_clear()


def test_the_numbers_that_tell_processors_of_one_name_apart_are_kept(described):
    found = described(EPYC)
    assert {"vendor": "AuthenticAMD", "family": "25", "model": "17", "stepping": "1"}.items() <= (
        found.items()
    )
    assert of_machine.processor() == "AMD EPYC"
    found = described(ARM)
    assert {"vendor": "0x41", "family": "8", "model": "0xd40"}.items() <= found.items()
    assert set(found) <= set(of_machine.WORDS)


def test_where_the_system_does_not_say_the_architecture_stands(described, tmp_path):
    described("")
    (tmp_path / "cpuinfo").unlink()
    of_machine.machine.cache_clear()
    assert of_machine.machine()["architecture"] == platform.machine()
    assert "vendor" not in of_machine.machine()
    assert of_machine.processor()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86-64 kernels")
def test_the_kernels_are_those_in_use_and_not_those_the_processor_could_run():
    code = (
        "import json; from relapsescope.provenance.machine import machine; "
        "print(json.dumps(machine()))"
    )
    plain = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4"}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(found.stdout)
    assert told["blas"] == "openblas Nehalem"
    assert told["numpy_simd"].split()[0] == "X86_V2"
    assert not {"X86_V3", "X86_V4"} & set(told["numpy_simd"].split())


def test_a_comparison_says_how_two_machines_differ(tmp_path):
    one = {"processor": "AMD EPYC", "versions": {}, "machine": {"family": "25", "blas": "a"}}
    other = one | {"machine": {"family": "26", "blas": "a"}}
    before = {name: value for name, value in one.items() if name != "machine"}
    for name, content in (("one", one), ("other", other), ("before", before)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run_manifest.json").write_text(json.dumps(content))
    assert circumstances(tmp_path / "one", tmp_path / "other") == [
        "processor families differ: 26 → 25"
    ]
    assert circumstances(tmp_path / "one", tmp_path / "before") == [
        "processor families differ: unknown → 25",
        "BLAS kernels differ: unknown → a",
    ]
