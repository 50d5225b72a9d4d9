"""A real scheduler and two workers on the loopback, one of which is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

from numalab import dataset
from numalab.fields import InputError
from numalab.sweeps import cases, sweep, sweep_file
from numalab.sweeps.workers import on_cluster

FILE = """
[sweep]
workload = "lifetimes"
seed = 3
replicates = 12
[fixed]
duration_ms = 5000
pin_fraction = 0.5
[axes]
policy = ["linux-6.1", "linux-7.2"]
vma_lifetime_ms = [40, 90, 200]
scan_delay_ms = { from = 100, to = 2000, num = 10 }
"""


def _dask(*words, **given):
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **given,
    )


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and its two workers as processes."""
    port_file = tmp_path / "scheduler.json"
    started = [
        _dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
              "--scheduler-file", str(port_file)),
    ]  # fmt: skip
    try:
        for i in range(2):
            folder = tmp_path / f"worker{i}"
            folder.mkdir()
            started.append(
                _dask("worker", "--scheduler-file", str(port_file), "--no-nanny", "--nthreads",
                      "1", "--no-dashboard", "--local-directory", str(folder),
                      cwd=Path.cwd())
            )  # fmt: skip
        from distributed import Client

        until = time.monotonic() + 60
        while not port_file.exists() and time.monotonic() < until:
            time.sleep(0.05)
        with Client(scheduler_file=str(port_file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, started[1:]
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_a_worker_that_dies_changes_nothing(cluster, tmp_path):
    address, workers = cluster
    (tmp_path / "s.toml").write_text(FILE)
    made = sweep_file.load(tmp_path / "s.toml")
    line = [sys.executable, "-m", "numalab", "sweep", str(tmp_path / "s.toml")]
    words = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "s.nc")]
    started = subprocess.Popen(
        [*line, *words, "--cluster", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while not list((tmp_path / "store").glob("*.nc")) and time.monotonic() < until:
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.01)
    assert cases.plan(made, tmp_path / "store").jobs(2)
    os.kill(workers[0].pid, signal.SIGKILL)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    assert "60 points done, 0 dropped, 0 failed" in out
    xr.testing.assert_equal(dataset.load(tmp_path / "s.nc"), sweep.run(made))
    assert workers[1].poll() is None


def test_no_scheduler_is_one_line(monkeypatch):
    monkeypatch.setattr("numalab.sweeps.workers._CONNECT_S", 0.5)
    with pytest.raises(InputError, match=r"cluster tcp://127\.0\.0\.1:9: no scheduler answers"):
        list(on_cluster([], "tcp://127.0.0.1:9"))
    with pytest.raises(InputError, match="no scheduler answers"):
        list(on_cluster([], "nowhere at all"))
