"""Sweeps: same bits however they are run, resumed, extended, damaged or shared."""

import dataclasses
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import xarray as xr

from numalab import dataset, sweep, workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.fields import InputError
from numalab.sweep import Execution, Range, execution, sweep_file
from numalab.sweep.axes import read_axis
from numalab.sweep.grid import run
from numalab.sweep.plan import Plan
from numalab.sweep.points import Sweep

AXES = {
    "policy": ["linux-6.1", "linux-7.2"],
    "scan_delay_ms": Range(lowest=100, highest=900, num=3),
    "pin_fraction": [0.0, 0.5],
}
FIXED = {"duration_ms": 2000, "vma_lifetime_ms": 150}


def _sweep(axes=AXES, source=lifetimes, fields=None, **given):
    read = tuple(read_axis(source, k, v, (fields or {}).get(k, ())) for k, v in axes.items())
    given = {"fixed": FIXED, "seed": 3, "replicates": 4, **given}
    return Sweep(source=source, axes=read, **given)


def _run(made, **where):
    return run(Plan(made, stored="store" in where), Execution(**where))


SMALL = _sweep()


@pytest.fixture(scope="module")
def small():
    return _run(SMALL)


def _to_run(made, folder):
    plan = Plan(made, stored=True)
    plan.look_up(folder, print)
    return sum(job.count for job in plan.jobs(2))


def _runs(folder):
    """Runs that the files of a store hold, of one measure."""
    found = 0
    for path in folder.glob("*.nc"):
        with xr.open_dataset(path, engine="h5netcdf", group="kind0") as ds:
            found += ds.sizes["run"]
    return found


def walked(run):
    return {"walked": run["scan_pages"].sum("vma"), "by_vma": run["scan_pages"]}


def test_the_same_bits_with_any_number_of_workers_in_any_order(small, monkeypatch):
    xr.testing.assert_identical(_run(SMALL, workers=1), small)
    xr.testing.assert_identical(_run(SMALL, workers=2), small)
    forwards = Plan.jobs
    monkeypatch.setattr(Plan, "jobs", lambda plan, workers: forwards(plan, workers)[::-1])
    xr.testing.assert_identical(_run(SMALL, workers=3), small)


def test_a_sweep_goes_through_a_file(small, tmp_path):
    dataset.save(small, tmp_path / "s.nc")
    back = dataset.load(tmp_path / "s.nc")
    xr.testing.assert_equal(back, small)
    assert dataset.provenance(back)["sweep"]["fixed"]["vma_lifetime_ms"] == 150


def test_a_stored_sweep_is_not_run_again(small, tmp_path):
    assert _to_run(SMALL, tmp_path) == 48
    for _ in range(2):
        xr.testing.assert_identical(_run(SMALL, store=str(tmp_path)), small)
        assert _runs(tmp_path) == 48
        assert _to_run(SMALL, tmp_path) == 0


def test_a_finer_grid_and_more_replicates_reuse_what_is_there(tmp_path):
    _run(SMALL, store=tmp_path)
    finer = {**AXES, "scan_delay_ms": Range(lowest=100, highest=900, num=5)}
    more = _sweep(finer, replicates=6)
    assert _to_run(more, tmp_path) == 2 * 2 * 2 * 6 + 2 * 3 * 2 * 2
    xr.testing.assert_identical(_run(more, store=tmp_path), _run(more))
    fewer = dataclasses.replace(more, replicates=3)
    assert _to_run(fewer, tmp_path) == 0
    xr.testing.assert_identical(_run(fewer, store=tmp_path), _run(fewer))
    assert _to_run(dataclasses.replace(SMALL, seed=4), tmp_path) == 48


@pytest.mark.slow
def test_a_measure_is_kept_by_what_it_computes(tmp_path):
    def scaled(factor):
        def again(run):
            return {"scaled": factor * run["scan_pages"].sum("vma")}

        return again

    def kept(measures, **given):
        made = dataclasses.replace(SMALL, measures=measures, **given)
        before = _to_run(made, tmp_path)
        found = sweep.grid(
            lifetimes,
            AXES,
            fixed=FIXED,
            seed=3,
            measure=measures,
            store=tmp_path,
            replicates=made.replicates,
        )
        xr.testing.assert_equal(found, _run(made).drop_vars(["status", "reason"]))
        return before

    assert kept((walked,)) == 48
    assert kept((walked,)) == 0
    assert kept((scaled(2),)) == 48
    assert kept((scaled(3), scaled(2))[1:]) == 0
    assert kept((sweep.totals, walked)) == 48, "totals alone are new"
    assert kept((sweep.totals, walked), replicates=5) == 12


def test_a_measure_that_cannot_be_known_needs_no_store(tmp_path):
    model = object()

    def odd(run):
        return {"x": 0 if model else 1}

    assert (
        sweep.grid(
            lifetimes, {"scan_delay_ms": [100], "pin_fraction": [0]}, fixed=FIXED, measure=odd
        )["x"]
        == 0
    )
    with pytest.raises(InputError, match="measure odd: the function: model = <object object"):
        sweep.grid(lifetimes, AXES, fixed=FIXED, measure=odd, store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_computed_again_and_named(small, tmp_path):
    _run(SMALL, store=tmp_path)
    path = next(tmp_path.glob("*.nc"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    lines = []
    xr.testing.assert_identical(_run(SMALL, store=tmp_path, log=lines.append), small)
    assert any(path.name in line and "computed again" in line for line in lines)
    assert _to_run(SMALL, tmp_path) == 0


def test_without_a_log_a_damaged_file_is_a_warning(tmp_path, caplog):
    path = tmp_path / f"{0:064x}.nc"
    path.write_bytes(b"damaged")
    fixed = {**FIXED, "scan_delay_ms": 100, "pin_fraction": 0.0, "duration_ms": 300}
    sweep.grid(lifetimes, fixed=fixed, store=tmp_path)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("numalab", "WARNING")
    assert str(path) in record.getMessage()
    assert str(path.with_suffix(".damaged")) in record.getMessage()


def test_points_that_fail_stay_visible_and_stop_nobody():
    fixed = {"duration_ms": 500, "vma_lifetime_ms": 50, "scan_delay_ms": 100}
    made = _sweep({"pin_fraction": [0.0, 1.5], "hz": [250, 251]}, fixed=fixed, replicates=2)
    ds = _run(made)
    assert ds["status"].values.tolist() == [["done", "failed"], ["failed", "failed"]]
    assert "pinned_fraction = 1.5" in str(ds["reason"][1, 0].values)
    assert "hz = 251" in str(ds["reason"][0, 1].values)
    assert str(ds["reason"][0, 0].values) == ""
    assert ds["touches"].isnull().sum() == 6
    dropped = _run(dataclasses.replace(made, drop_invalid=True))
    assert dropped["status"].values.tolist() == [["done", "dropped"], ["dropped", "dropped"]]


def test_a_run_that_fails_stays_visible_or_raises():
    fixed = {"duration_ms": 500, "sample_ms": 500, "memory_mb": 1 << 30}
    source = workload_file.load("data/workloads/private-converge.toml")
    axes = {"vma.*.size_mb": [16, 1 << 28]}
    ds = _run(_sweep(axes, source, fixed=fixed, replicates=2))
    assert ds["status"].values.tolist() == ["done", "failed"]
    assert "an address space has 2^35 pages" in str(ds["reason"][1].values)
    assert ds["touches"].isnull().values.tolist() == [[False] * 2, [True] * 2]
    with pytest.raises(InputError, match=r"size_mb = 268435456: .*an address space has"):
        sweep.grid(source, axes, fixed=fixed, replicates=2)


def _equal_pair(**fixed):
    """Two points that are equal: 7.2 has the rule of that remedy without it."""
    return _sweep({"remedy": ["none", "pinned-pte-filter"]}, fixed={**FIXED, **fixed}, replicates=2)


def test_points_that_are_equal_run_once(tmp_path):
    made = _equal_pair(scan_delay_ms=100, pin_fraction=0.5)
    assert _to_run(made, tmp_path) == 2
    lines = []
    ds = _run(made, store=tmp_path, log=lines.append)
    assert "2 points x 2 replicates = 4 runs, of which 2 are to be computed" in lines[0]
    assert lines[1] == "points equal to another one, and run once: 1"
    assert _runs(tmp_path) == 2
    assert ds["status"].values.tolist() == ["done", "done"]
    assert ds["touches"].values[0].tolist() == ds["touches"].values[1].tolist()
    assert ds["touches"].values.min() > 0


def test_points_that_are_equal_fail_together():
    fixed = {"scan_delay_ms": 100, "pin_fraction": 0.5, "memory_mb": 1 << 30}
    ds = _run(_equal_pair(**fixed, **{"vma.old.size_mb": 1 << 28}))
    assert ds["status"].values.tolist() == ["failed", "failed"]
    assert ["an address space has" in str(r) for r in ds["reason"].values] == [True, True]


@pytest.mark.parametrize(
    ("axes", "given", "kernel"),
    [
        ({"policy": ["linux-6.1", "linux-7.2"]}, {}, "several"),
        ({}, {}, "linux-7.2"),
        ({}, {"policy": "linux-6.4"}, "linux-6.4"),
        ({"remedy": ["none", "mbind"]}, {}, "several"),
        ({"kernel": ["linux-6.1", "linux-6.4"]}, {"fields": {"kernel": ("policy",)}}, "several"),
    ],
)
def test_the_kernel_of_a_result_is_that_of_its_points(axes, given, kernel):
    fixed = {**FIXED, "scan_delay_ms": 100, "pin_fraction": 0, "duration_ms": 100}
    assert _run(_sweep(axes, fixed=fixed, replicates=1, **given)).attrs["kernel"] == kernel


def test_what_is_to_come_is_told_before():
    made = dataclasses.replace(SMALL, drop=("scan_delay_ms == 500 and policy == 'linux-6.1'",))
    lines = list(Plan(made).summary())
    assert lines[0].endswith("10 points x 4 replicates = 40 runs, of which 40 are to be computed")
    assert lines[1].startswith("2 points dropped: scan_delay_ms == 500")
    assert len(lines) == 2


def test_many_reasons_are_told_in_few_lines_before_and_after():
    axes = {"pin_fraction": [0.5, *(2.0 + i for i in range(14))]}
    plan = Plan(_sweep(axes, fixed={**FIXED, "scan_delay_ms": 500}, replicates=1))
    before = list(plan.summary())
    run(plan, Execution())
    for lines in (before[1:], list(plan.outcome())[1:]):
        assert len(lines) == 11
        assert all(re.match(r"1 point failed: .*[0-9]: ", line) for line in lines[:10]), lines
        assert lines[10] == "4 more points without a result, for 4 other reasons"


def test_an_axis_that_changes_nothing_is_told_before():
    """The lifetimes of all churns are set by place, and the argument for them has no effect."""
    made = _sweep(
        {"pin_fraction": [0.0, 0.5], "vma_lifetime_ms": [50, 500], "life": [70, 80]},
        fields={"life": ("churn.*.lifetime_ms",)},
        fixed={"duration_ms": 500, "scan_delay_ms": 100},
    )
    assert list(Plan(made).summary())[2:] == [
        'axis "vma_lifetime_ms" changes nothing: all points along it are equal'
    ]


FILE = """
[sweep]
workload = "lifetimes"
seed = 3
replicates = 6
[fixed]
duration_ms = 6000
[axes]
policy = ["linux-6.1", "linux-7.2"]
vma_lifetime_ms = [40, 90]
scan_delay_ms = { lowest = 100, highest = 2000, num = 5 }
pin_fraction = [0, 0.25, 0.5, 0.75, 1]
"""
LONG = FILE.replace("replicates = 6", "replicates = 60")


def _start(tmp_path, *words, text=FILE, **given):
    (tmp_path / "s.toml").write_text(text)
    line = [sys.executable, "-m", "numalab", "sweep", str(tmp_path / "s.toml")]
    return subprocess.Popen(
        [*line, "--store", str(tmp_path / "store"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **given,
    )


def _wait_for_a_file(started, folder):
    before = set(folder.glob("*.nc"))
    until = time.monotonic() + 120
    while set(folder.glob("*.nc")) <= before and time.monotonic() < until:
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was(tmp_path):
    started = _start(tmp_path)
    _wait_for_a_file(started, tmp_path / "store")
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()
    assert started.returncode == -signal.SIGKILL
    made = sweep_file.load(tmp_path / "s.toml")
    left = _to_run(made, tmp_path / "store")
    assert 0 < left < 100 * 6
    before = _runs(tmp_path / "store")
    assert before + left == 100 * 6
    resumed = _run(made, store=tmp_path / "store")
    assert _runs(tmp_path / "store") == 100 * 6
    xr.testing.assert_identical(resumed, _run(made))


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_says_what_is_kept_and_goes_on_there(tmp_path):
    held = 0
    for wait_s in (0.0, 0.13, 0.31):
        started = _start(tmp_path, "--out", str(tmp_path / "s.nc"), text=LONG)
        _wait_for_a_file(started, tmp_path / "store")
        time.sleep(wait_s)
        begin = time.monotonic()
        os.kill(started.pid, signal.SIGINT)
        out, err = started.communicate(timeout=60)
        assert time.monotonic() - begin < 20
        assert started.returncode == 130
        assert out == ""
        runs = _runs(tmp_path / "store")
        assert err.splitlines()[-1] == f"stopped; {runs - held} runs kept"
        assert "Traceback" not in err
        assert held < runs < 100 * 60
        assert runs + _to_run(sweep_file.load(tmp_path / "s.toml"), tmp_path / "store") == 100 * 60
        assert not (tmp_path / "s.nc").exists()
        assert not list((tmp_path / "store").glob("*.part"))
        held = runs


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), execution.interruptible() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler


def test_a_handler_of_others_is_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with execution.interruptible() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]


def test_what_a_job_had_when_it_was_stopped_is_kept(tmp_path):
    fixed = {"duration_ms": 600_000, "vma_lifetime_ms": 150, "scan_delay_ms": 100}
    made = _sweep({"pin_fraction": [0.5]}, fixed=fixed, replicates=32 * 4)
    one = dataclasses.replace(made, replicates=1)
    _run(one)
    begin = time.monotonic()
    _run(one)
    a_run = time.monotonic() - begin

    def press():
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            time.sleep(a_run / 20)
        time.sleep(6 * a_run)  # of the 32 of a job
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match=r"stopped; [0-9]+ runs kept") as caught:
        _run(made, store=tmp_path, workers=1)
    thread.join()
    kept = _runs(tmp_path)
    assert str(caught.value) == f"stopped; {kept} runs kept"
    assert 0 < kept < 32
    assert _to_run(made, tmp_path) == 128 - kept


def test_without_a_store_an_interrupted_sweep_says_that_nothing_is_kept(tmp_path):
    (tmp_path / "s.toml").write_text(LONG)
    line = [sys.executable, "-m", "numalab", "sweep", "s.toml", "--out", "s.nc"]
    path = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    started = subprocess.Popen(line, cwd=tmp_path, env=path, stderr=subprocess.PIPE, text=True)
    assert "6000 runs" in started.stderr.readline()
    time.sleep(0.5)
    os.kill(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert err == "stopped; 0 runs kept: there is no store\n"


def test_a_store_that_goes_away_is_one_line_and_what_it_held_stays(tmp_path):
    started = _start(tmp_path, text=LONG)
    _wait_for_a_file(started, tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "moved")
    out, err = started.communicate(timeout=120)
    assert started.returncode == 2
    assert out == ""
    assert len(err.splitlines()) == 2
    line = err.splitlines()[1]
    assert line.startswith(f"numalab: error: store {tmp_path / 'store'}/")
    assert line.endswith(".nc: cannot be written: No such file or directory")
    assert 0 < _to_run(sweep_file.load(tmp_path / "s.toml"), tmp_path / "moved") < 100 * 60


def test_a_full_disk_is_one_line_and_leaves_no_half_files(small, tmp_path):
    (tmp_path / "store").mkdir()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    started = _start(tmp_path, preexec_fn=limit)
    _, err = started.communicate(timeout=120)
    assert started.returncode == 2
    line = err.splitlines()[-1]
    assert line.startswith(f"numalab: error: store {tmp_path / 'store'}/")
    assert line.endswith(".nc: cannot be written: File too large")
    assert "Traceback" not in err
    assert list((tmp_path / "store").iterdir()) == []


def test_threads_without_end_are_refused():
    with pytest.raises(InputError, match="workers = 1000000: must be from 0 to 1024"):
        Execution(workers=1_000_000)


@pytest.mark.slow
def test_two_sweeps_on_one_store_do_each_other_no_harm(tmp_path):
    both = [_start(tmp_path, "--out", str(tmp_path / name)) for name in ("a.nc", "b.nc")]
    for one in both:
        out, err = one.communicate()
        assert one.returncode == 0, err
        assert "100 points done, 0 dropped, 0 failed; 6 runs each" in out
        assert "100 points x 6 replicates = 600 runs" in err
    first, second = (dataset.load(tmp_path / name) for name in ("a.nc", "b.nc"))
    xr.testing.assert_identical(first, second)
    made = sweep_file.load(tmp_path / "s.toml")
    assert _to_run(made, tmp_path / "store") == 0
    xr.testing.assert_equal(_run(made, store=tmp_path / "store"), first)
