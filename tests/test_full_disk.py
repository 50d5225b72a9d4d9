"""Disks that are full or read-only: one line, nothing half-written, no result lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from numalab import dataset
from tests.command import ROOT

pytestmark = pytest.mark.slow
WORKLOAD = ROOT / "data/workloads/private-converge.toml"
SWEEP = """
[sweep]
workload = "lifetimes"
replicates = 2
[fixed]
duration_ms = 500
vma_lifetime_ms = 100
scan_delay_ms = 100
[axes]
pin_fraction = [0, 1]
"""
MOUNTED = """
mount -t tmpfs -o size=1m none "$1" && cd "$1" || exit 99
printf '\\211HDF\\r\\n\\032\\n' > old.nc; mkdir store
eval "$2"; shift 2
"$@"; code=$?
ls -AR 1>&2; exit $code
"""
"""With a file system of 1 MB of its own, which nobody else sees and which is gone at the end."""
FULL = "head -c 2m /dev/zero > filling 2> filling.log"
READ_ONLY = "mount -o remount,ro ."
HELD = [".:", "filling", "filling.log", "old.nc", "store", "", "./store:"]


def _on(folder: Path, state: str, *words: object) -> tuple[int, list[str], list[str]]:
    """Run a command in a file system of that state; return status, its lines, what is there."""
    line = ["unshare", "-Urm", "sh", "-c", MOUNTED, "sh", str(folder), state]
    line += [sys.executable, "-m", "numalab", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder.parent)}
    try:
        done = subprocess.run(line, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        pytest.skip("needs unshare of util-linux")
    if done.returncode in (1, 99) and "numalab" not in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    said, _, there = done.stderr.partition(".:\n")
    return done.returncode, said.splitlines(), [".:", *there.splitlines()]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "s.toml").write_text(SWEEP)
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def test_results_for_which_there_is_no_room_are_kept_elsewhere(disk: Path) -> None:
    code, said, there = _on(disk, FULL, "simulate", WORKLOAD, "--replicates", 2, "--out", "old.nc")
    assert code == 2
    assert len(said) == 1
    begin = (
        "numalab: error: old.nc: cannot be written: No space left on device; the results are in "
    )
    assert said[0].startswith(begin)
    kept = Path(said[0].removeprefix(begin))
    assert kept.is_relative_to(disk.parent)
    assert dataset.load(kept).sizes["replicate"] == 2
    assert there == HELD


def test_results_that_a_store_has_are_not_kept_twice(disk: Path) -> None:
    store = disk.parent / "store"
    words = ("sweep", disk.parent / "s.toml", "--workers", 1)
    code, said, there = _on(disk, FULL, *words, "--store", store, "--out", "new.nc")
    assert (code, there) == (2, HELD)
    assert said[-1].endswith(f"No space left on device; the results are in store {store}")
    assert any(store.iterdir())
    code, said, there = _on(disk, FULL, *words, "--store", "store")
    assert (code, there) == (2, HELD)
    assert said[-1].startswith("numalab: error: store store/")
    assert said[-1].endswith(".nc: cannot be written: No space left on device")


def test_a_read_only_place_is_refused_before_the_runs(disk: Path) -> None:
    words = ("sweep", disk.parent / "s.toml", "--workers", 1)
    for given, what in (
        (("--out", "old.nc"), "--out old.nc"),
        (("--store", "store"), "store store"),
    ):
        code, said, there = _on(disk, READ_ONLY, *words, *given)
        assert code == 2
        assert len(said) == 1
        assert said[0].startswith(f"numalab: error: {what}")
        assert said[0].endswith(": cannot be written: Read-only file system")
        assert there == [".:", "old.nc", "store", "", "./store:"]
