"""A sweep that is killed at any of its writes: the same bits after it is started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from numalab import dataset
from numalab.files import PART
from tests import command

pytestmark = pytest.mark.slow
FILE = """
[sweep]
workload = "lifetimes"
replicates = 2
[fixed]
duration_ms = 500
vma_lifetime_ms = 100
scan_delay_ms = 100
[axes]
pin_fraction = [0, 0.5, 1]
"""
WRITES = ("os.open", "Path.write_bytes", "os.fsync", "Path.replace", "Path.unlink")
"""What a file is written with, in that order; a kill comes before or after the call."""
KILLED = """
import os, signal, sys
from pathlib import Path
from numalab import files
from numalab.__main__ import main
from numalab.sweep import store
place, call, when = sys.argv[1].split(".") + [sys.argv[2]]
store._WRITE_S = (0.0, 0.0)
owner = {"os": files.os, "Path": Path}[place]
real, count = getattr(owner, call), 0
def die(*given, **named):
    global count
    is_own = ".part" in str(given[0]) or call == "fsync"
    count += is_own
    if is_own and count == 2 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(*given, **named)
    if is_own and count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
setattr(owner, call, die)
sys.argv[1:] = sys.argv[3:]
main()
"""
"""The command line, killed at the second call of one of those."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "s.toml").write_text(FILE)
    done = command.numalab("sweep", "s.toml", "--out", "s.nc", "--workers", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    return dataset.load(folder / "s.nc")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_a_kill_at_a_write_loses_nothing(
    tmp_path: Path, whole: xr.Dataset, write: str, when: str
) -> None:
    (tmp_path / "s.toml").write_text(FILE)
    store = tmp_path / "store"
    store.mkdir()
    (store / "mine.nc").write_text("mine")
    words = ["sweep", "s.toml", "--store", "store", "--out", "s.nc", "--workers", "1"]
    line = [sys.executable, "-c", KILLED, write, when, *words]
    environment = {**os.environ, "PYTHONPATH": str(command.ROOT)}
    killed = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "s.nc").exists()
    names = {path.name for path in store.iterdir()} - {"mine.nc"}
    assert all(re.fullmatch(rf"[0-9a-f]{{64}}\.nc|\..*{PART}", name) for name in names)
    again = command.numalab(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "damaged" not in again.stderr
    xr.testing.assert_identical(dataset.load(tmp_path / "s.nc"), whole)
    assert (store / "mine.nc").read_text() == "mine"
    assert (tmp_path / "s.toml").read_text() == FILE
