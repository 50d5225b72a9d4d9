"""A real scheduler and two workers on the loopback, one of which is killed on the way."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import pytest
import xarray as xr

from numalab import dataset
from numalab.fields import InputError
from numalab.sweep import Execution, sweep_file
from numalab.sweep.execution import on_cluster, on_threads
from numalab.sweep.grid import run
from numalab.sweep.plan import Plan
from numalab.versions import model_version

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
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
scan_delay_ms = { lowest = 100, highest = 2000, num = 10 }
"""
LONG = FILE.replace("12", "1200").replace("5000", "60000")


def _dask(*words, path=ROOT, **given):
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(path)},
        **given,
    )


@contextmanager
def _ended(started):
    """Kill processes at the end."""
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture
def blank(tmp_path):
    """A folder to import from in which there is no numalab."""
    (tmp_path / "blank/numalab").mkdir(parents=True)
    (tmp_path / "blank/numalab/__init__.py").write_text('raise ImportError("none here")')
    return tmp_path / "blank"


@pytest.fixture
def scheduler(tmp_path, blank):
    """File that says where a scheduler without numalab is, and its process."""
    port_file = tmp_path / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    process = _dask("scheduler", *words, "--scheduler-file", str(port_file), path=blank)
    with _ended([process]):
        until = time.monotonic() + 60
        while not port_file.exists() and time.monotonic() < until:
            time.sleep(0.05)
        yield port_file, process


def _worker(port_file, path=ROOT):
    folder = port_file.parent / f"worker{time.monotonic_ns()}"
    folder.mkdir()
    words = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
    return _dask("worker", "--scheduler-file", str(port_file), *words, path=path, cwd=folder)


def _address(port_file, workers=0):
    """Address of a scheduler, when it has so many workers."""
    from distributed import Client

    with Client(scheduler_file=str(port_file), timeout=60) as client:
        if workers:
            client.wait_for_workers(workers, timeout=60)
        return client.scheduler.address


@pytest.fixture
def cluster(scheduler):
    """Address of a scheduler, its process, and its two workers as processes."""
    port_file, process = scheduler
    with _ended([_worker(port_file), _worker(port_file)]) as workers:
        yield _address(port_file, 2), process, workers


def _started(tmp_path, address, text=FILE):
    """A sweep on a cluster, once it has stored something."""
    (tmp_path / "s.toml").write_text(text)
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
    return started


def _left(tmp_path):
    plan = Plan(sweep_file.load(tmp_path / "s.toml"), stored=True)
    plan.look_up(tmp_path / "store", print)
    return sum(job.count for job in plan.jobs(2))


def test_a_worker_that_dies_changes_nothing(cluster, tmp_path):
    address, _, workers = cluster
    started = _started(tmp_path, address, FILE.replace("12", "60"))
    assert _left(tmp_path), "it has ended already"
    os.kill(workers[0].pid, signal.SIGKILL)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    assert "60 points done, 0 dropped, 0 failed" in out
    alone = run(Plan(sweep_file.load(tmp_path / "s.toml")), Execution())
    xr.testing.assert_equal(dataset.load(tmp_path / "s.nc"), alone)
    assert workers[1].poll() is None


def test_a_scheduler_that_dies_is_one_line_and_loses_nothing(cluster, tmp_path):
    address, scheduler, _ = cluster
    started = _started(tmp_path, address, LONG)
    scheduler.kill()
    out, err = started.communicate(timeout=60)
    assert started.returncode == 2
    assert out == ""
    plan, *progress, last = err.splitlines()
    assert plan.startswith('sweep "sweep": ')
    assert all(re.match(r"\d+ of 72000 runs, ", line) for line in progress)
    assert last.startswith(f"numalab: error: cluster {address}: the scheduler is gone")
    assert 0 < _left(tmp_path) < 60 * 1200


def test_a_sweep_on_a_cluster_stops_and_says_what_is_kept(cluster, tmp_path):
    address, *_ = cluster
    started = _started(tmp_path, address, LONG)
    os.kill(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=180)  # a worker may still compile
    assert started.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == f"stopped; {60 * 1200 - _left(tmp_path)} runs kept"


def _jobs(tmp_path):
    (tmp_path / "s.toml").write_text(FILE)
    return Plan(sweep_file.load(tmp_path / "s.toml")).jobs(2)


def test_a_cluster_without_workers_is_said_and_given_up(scheduler, tmp_path, monkeypatch):
    monkeypatch.setattr("numalab.sweep.execution._WORKERS_S", 1.5)
    address = _address(scheduler[0])
    lines = []
    with pytest.raises(InputError, match=rf"cluster {address}: no worker for 1\.5 s: start one"):
        list(on_cluster(_jobs(tmp_path), address, Event(), lines.append))
    assert lines == [f"cluster {address}: has no worker; waiting for one, 1.5 s at most"]


def test_a_cluster_whose_workers_all_die_is_given_up(scheduler, tmp_path, monkeypatch):
    monkeypatch.setattr("numalab.sweep.execution._WORKERS_S", 1.5)
    with _ended([_worker(scheduler[0])]) as workers:
        address, lines = _address(scheduler[0], 1), []
        jobs = iter(_jobs(tmp_path)[:5])
        with closing(on_cluster(jobs, address, Event(), lines.append)) as outcomes:
            assert next(outcomes)[1].reason == ""
            workers[0].kill()
            workers[0].wait()
            with pytest.raises(InputError, match="no worker for"):
                list(outcomes)
        assert len(lines) == 1
        assert next(jobs, None) is None


@pytest.mark.parametrize("kind", ["none", "other"])
def test_a_worker_of_another_model_runs_nothing_and_ends_the_sweep(
    scheduler, tmp_path, blank, kind
):
    path = blank
    if kind == "other":
        path = tmp_path / "other"
        shutil.copytree(ROOT / "numalab", path / "numalab")
        with (path / "numalab/totals.py").open("a") as file:
            file.write("EDITED = 1\n")
    with _ended([_worker(scheduler[0], path)]) as workers:
        address = _address(scheduler[0], 1)
        with pytest.raises(InputError) as caught:
            list(on_cluster(_jobs(tmp_path), address, Event(), print))
        message = str(caught.value)
        assert message.startswith(f"cluster {address}: ")
        assert message.endswith(": install the same numalab, numpy and numba there")
        assert ("cannot load numalab (none here)" in message) == (kind == "none")
        assert (f", this is {model_version()}" in message) == (kind == "other")
        assert workers[0].poll() is None


def test_no_scheduler_is_one_line(monkeypatch):
    monkeypatch.setattr("numalab.sweep.execution._CONNECT_S", 0.5)
    with pytest.raises(InputError, match=r"cluster tcp://127\.0\.0\.1:9: no scheduler answers"):
        list(on_cluster([], "tcp://127.0.0.1:9", Event(), print))
    for address in ("nowhere at all", "tls://127.0.0.1:9", "ucx://127.0.0.1:9", "x://y"):
        with pytest.raises(InputError, match=f"^cluster {address}: no scheduler answers"):
            list(on_cluster([], address, Event(), print))


class _After(Event):
    """An event that is set once it was asked for so many times."""

    def __init__(self, times):
        super().__init__()
        self.left = times

    def is_set(self):
        self.left -= 1
        return self.left < 0


def test_a_job_that_takes_too_long_to_stop_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("numalab.sweep.execution._PATIENCE_S", 0.0)
    (tmp_path / "s.toml").write_text(FILE.replace("5000", "21600000"))
    jobs = Plan(sweep_file.load(tmp_path / "s.toml")).jobs(2)
    assert list(on_threads(jobs[:1], 1, _After(4))) == []


def test_jobs_that_are_stopped_keep_the_replicates_so_far(tmp_path):
    jobs = _jobs(tmp_path)[:8]
    done = on_threads(jobs, 2, Event())
    whole = {(job.number, job.first): outcome.results[0][0][1] for job, outcome in done}
    found = list(on_threads(jobs, 2, _After(60)))
    assert 0 < sum(outcome.runs for _, outcome in found) < sum(map(len, whole.values()))
    for job, outcome in found:
        rows = outcome.results[0][0][1]
        assert (rows == whole[job.number, job.first][: len(rows)]).all()


def test_a_measure_of_a_notebook_runs_on_workers(cluster, tmp_path):
    """A function of the main program, which no worker can import."""
    program = f"""
from numalab import sweep, workload_file
def walked(run):
    return {{"walked": int(run["scan_pages"].sum())}}
given = dict(measure=[sweep.totals, walked], fixed={{"duration_ms": 3000}}, replicates=3)
workload = workload_file.load({str(ROOT / "data/workloads/churn-long.toml")!r})
axes = {{"scan_delay_ms": [100, 1000]}}
there = sweep.grid(workload, axes, execution=sweep.Execution(cluster={cluster[0]!r}), **given)
assert there.identical(sweep.grid(workload, axes, **given))
assert there["walked"].min() > 0
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_peer_that_never_answers_is_left_in_time(monkeypatch):
    monkeypatch.setattr("numalab.sweep.execution._CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(InputError, match=rf"^cluster {address}: no scheduler answers \(silent"):
            list(on_cluster([], address, Event(), print))
    assert time.monotonic() - begin < 30  # beside a load
