"""numalab sweep as a user meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = """
[sweep]
workload = "lifetimes"
replicates = 2
drop = ["pin_fraction > 1.7"]
[fixed]
duration_ms = 500
vma_lifetime_ms = 100
scan_delay_ms = 100
[axes]
pin_fraction = [0, 1, 1.5, 2]
"""


def numalab(*words):
    return subprocess.run(
        [sys.executable, "-m", "numalab", "sweep", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(FILE)
    return path


def test_a_dry_run_counts_and_runs_nothing(file, tmp_path):
    done = numalab(file, "--dry-run", "--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("2 points x 2 replicates = 4 runs, of which 4 are to be computed")
    assert lines[1].startswith('1 points failed: vma "old": pinned_fraction = 1.5')
    assert lines[2] == "1 points dropped: pin_fraction > 1.7"
    assert not (tmp_path / "store").exists()


def test_a_sweep_writes_store_and_dataset(file, tmp_path):
    words = (file, "--store", tmp_path / "store", "--out", tmp_path / "s.nc", "--workers", 1)
    done = numalab(*words)
    assert done.returncode == 0, done.stderr
    assert "2 points done, 1 dropped, 1 failed; 2 runs each" in done.stdout
    assert 'failed: vma "old": pinned_fraction = 1.5' in done.stdout
    assert (tmp_path / "s.nc").stat().st_size > 1000
    again = numalab(*words)
    assert "of which 0 are to be computed" in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.toml", "--dry-run"), "none.toml: cannot be read"),
        (("data/sweeps/knobs.toml",), "give --store, --out or --dry-run"),
        (("data/sweeps/knobs.toml", "--out", "x.nc", "--workers", "-1"), "workers = -1"),
        (("pyproject.toml", "--dry-run"), "unknown section"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, message):
    done = numalab(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("numalab: error: ")
    assert message in done.stderr
