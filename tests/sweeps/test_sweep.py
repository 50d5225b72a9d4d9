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

import numpy as np
import pytest
import xarray as xr

from numalab import dataset, remedies, workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.policy import get
from numalab.sweeps import cases, sweep, sweep_file, workers
from numalab.sweeps.axes import Axis, Range
from numalab.sweeps.design import Sample, Sweep
from numalab.sweeps.sweep import Where
from numalab.totals import NAMES, totals


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """A suite that runs in the background of a shell inherits an interrupt that is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


SMALL = Sweep(
    base=lifetimes,
    seed=3,
    replicates=4,
    fixed={"duration_ms": 2000, "vma_lifetime_ms": 150},
    axes=(
        Axis(name="policy", values=("linux-6.1", "linux-7.2")),
        Axis(name="scan_delay_ms", values=Range(lowest=100, highest=900, num=3)),
        Axis(name="pin_fraction", values=(0.0, 0.5)),
    ),
)


@pytest.fixture(scope="module")
def small():
    return sweep.run(SMALL)


def _to_run(made, folder):
    return sum(job.count for job in cases.plan(made, folder).jobs(2))


def _runs(folder):
    """Runs that the files of a store hold."""
    found = 0
    for path in folder.glob("*.nc"):
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            found += ds.sizes["run"]
    return found


def test_a_sweep_is_what_simulate_says_of_each_point(small):
    assert small.sizes == {"policy": 2, "scan_delay_ms": 3, "pin_fraction": 2, "replicate": 4}
    assert list(small["scan_delay_ms"].values) == [100, 500, 900]
    for name in ("linux-6.1", "linux-7.2"):
        for delay in (100, 900):
            w = lifetimes(
                scan_delay_ms=delay, vma_lifetime_ms=150, pin_fraction=0.5, duration_ms=2000
            )
            expected = totals(simulate(w, get(name), seed=3, replicates=4))
            found = small.sel(policy=name, scan_delay_ms=delay, pin_fraction=0.5)
            for variable in NAMES:
                np.testing.assert_array_equal(found[variable], expected[variable])
                assert found[variable].attrs == expected[variable].attrs
    assert float(small["numa_pte_updates"].sum()) > 0


def test_the_same_bits_with_any_number_of_workers_in_any_order(small, monkeypatch):
    xr.testing.assert_identical(sweep.run(SMALL, Where(workers=1)), small)
    xr.testing.assert_identical(sweep.run(SMALL, Where(workers=2)), small)
    forwards = workers.on_threads
    monkeypatch.setattr(
        workers, "on_threads", lambda jobs, *how: forwards(list(reversed(list(jobs))), *how)
    )
    xr.testing.assert_identical(sweep.run(SMALL, Where(workers=3)), small)


def test_a_sweep_goes_through_a_file(small, tmp_path):
    dataset.save(small, tmp_path / "s.nc")
    back = dataset.load(tmp_path / "s.nc")
    xr.testing.assert_equal(back, small)
    assert dataset.provenance(back)["sweep"]["fixed"]["vma_lifetime_ms"] == 150


def test_a_stored_sweep_is_not_run_again(small, tmp_path):
    assert _to_run(SMALL, tmp_path) == 48
    xr.testing.assert_identical(sweep.run(SMALL, Where(store=tmp_path)), small)
    assert _runs(tmp_path) == 48
    assert _to_run(SMALL, tmp_path) == 0
    xr.testing.assert_identical(sweep.run(SMALL, Where(store=tmp_path)), small)
    assert _runs(tmp_path) == 48


def test_a_finer_grid_and_more_replicates_reuse_what_is_there(tmp_path):
    sweep.run(SMALL, Where(store=tmp_path))
    finer = Axis(name="scan_delay_ms", values=Range(lowest=100, highest=900, num=5))
    more = dataclasses.replace(SMALL, axes=(SMALL.axes[0], finer, SMALL.axes[2]), replicates=6)
    assert _to_run(more, tmp_path) == 2 * 2 * 2 * 6 + 2 * 3 * 2 * 2
    extended = sweep.run(more, Where(store=tmp_path))
    xr.testing.assert_identical(extended, sweep.run(more))
    fewer = dataclasses.replace(more, replicates=3)
    assert _to_run(fewer, tmp_path) == 0
    xr.testing.assert_identical(sweep.run(fewer, Where(store=tmp_path)), sweep.run(fewer))


def test_another_seed_or_model_is_another_point(tmp_path, monkeypatch):
    sweep.run(SMALL, Where(store=tmp_path))
    assert _to_run(dataclasses.replace(SMALL, seed=4), tmp_path) == 48
    monkeypatch.setattr("numalab.sweeps.job.model_version", lambda: "another")
    assert _to_run(SMALL, tmp_path) == 48


def test_a_damaged_file_is_computed_again_and_said(small, tmp_path):
    sweep.run(SMALL, Where(store=tmp_path))
    path = next(tmp_path.glob("*.nc"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    said = []
    xr.testing.assert_identical(sweep.run(SMALL, Where(store=tmp_path), said.append), small)
    assert any(path.name in line and "computed again" in line for line in said)
    assert _to_run(SMALL, tmp_path) == 0


def test_points_that_fail_stay_visible_and_stop_nobody():
    axes = (Axis(name="pin_fraction", values=(0.0, 1.5)), Axis(name="hz", values=(250, 251)))
    fixed = {"duration_ms": 500, "vma_lifetime_ms": 50, "scan_delay_ms": 100}
    made = dataclasses.replace(SMALL, axes=axes, fixed=fixed, replicates=2)
    ds = sweep.run(made)
    assert ds["status"].values.tolist() == [["done", "failed"], ["failed", "failed"]]
    assert "pinned_fraction = 1.5" in str(ds["reason"][1, 0].values)
    assert "hz = 251" in str(ds["reason"][0, 1].values)
    assert str(ds["reason"][0, 0].values) == ""
    assert ds["touches"].isnull().sum() == 6
    dropped = sweep.run(dataclasses.replace(made, drop_invalid=True))
    assert dropped["status"].values.tolist() == [["done", "dropped"], ["dropped", "dropped"]]


def test_a_run_that_fails_stays_visible():
    fixed = {"duration_ms": 500, "sample_ms": 500, "memory_mb": 1 << 30}
    made = Sweep(
        base=workload_file.load("data/workloads/private-converge.toml"),
        fixed=fixed,
        axes=(Axis(name="vma.*.size_mb", values=(16, 1 << 28)),),
        replicates=2,
    )
    ds = sweep.run(made)
    assert ds["status"].values.tolist() == ["done", "failed"]
    assert "an address space has 2^35 pages" in str(ds["reason"][1].values)
    assert ds["touches"].isnull().values.tolist() == [[False] * 2, [True] * 2]


def test_a_function_that_raises_anything_fails_its_point_only():
    def base(*, scan_delay_ms):
        return lifetimes(
            scan_delay_ms=1 // scan_delay_ms, vma_lifetime_ms=50, pin_fraction=0, duration_ms=100
        )

    axes = (Axis(name="scan_delay_ms", values=(0, 1)),)
    ds = sweep.run(Sweep(base=base, axes=axes))
    assert ds["status"].values.tolist() == ["failed", "done"]
    assert str(ds["reason"][0].values).startswith("ZeroDivisionError: ")


def test_points_of_a_sample_lie_along_point():
    axes = (
        Axis(name="scan_delay_ms", values=Range(lowest=100, highest=900)),
        Axis(name="pin_fraction", values=Range(lowest=0, highest=1)),
    )
    made = dataclasses.replace(
        SMALL,
        axes=SMALL.axes[:1],
        fixed={"duration_ms": 500, "vma_lifetime_ms": 50},
        sample=Sample(points=8, axes=axes),
        drop=("scan_delay_ms > 500",),
    )
    ds = sweep.run(made)
    assert ds["touches"].dims == ("policy", "point", "replicate")
    assert ds["pin_fraction"].dims == ("point",)
    out = (ds["scan_delay_ms"] > 500).values
    assert 0 < out.sum() < 8
    assert (ds["status"].values == "dropped").tolist() == [out.tolist()] * 2


def _equal_pair(**fixed):
    """Two points that are equal: 7.2 has the rule of that remedy without it."""
    axes = (Axis(name="remedy", values=("none", "pinned-pte-filter")),)
    return dataclasses.replace(SMALL, axes=axes, fixed={**SMALL.fixed, **fixed}, replicates=2)


def test_points_that_are_equal_run_once(tmp_path):
    made = _equal_pair(scan_delay_ms=100, pin_fraction=0.5)
    assert _to_run(made, tmp_path) == 2
    said = []
    ds = sweep.run(made, Where(store=tmp_path), said.append)
    assert "2 points x 2 replicates = 4 runs, of which 2 are to be computed" in said[0]
    assert said[1] == "points equal to another one, and run once: 1"
    assert _runs(tmp_path) == 2
    assert ds["status"].values.tolist() == ["done", "done"]
    assert ds["touches"].values[0].tolist() == ds["touches"].values[1].tolist()
    assert ds["touches"].values.min() > 0


def test_points_that_are_equal_fail_together():
    fixed = {"scan_delay_ms": 100, "pin_fraction": 0.5, "memory_mb": 1 << 30}
    ds = sweep.run(_equal_pair(**fixed, **{"vma.old.size_mb": 1 << 28}))
    assert ds["status"].values.tolist() == ["failed", "failed"]
    assert ["an address space has" in str(r) for r in ds["reason"].values] == [True, True]


@pytest.mark.parametrize(
    ("given", "kernel"),
    [
        ({}, "several"),
        ({"axes": SMALL.axes[1:]}, "linux-7.2"),
        ({"axes": SMALL.axes[1:], "policy": "linux-6.4"}, "linux-6.4"),
        ({"axes": SMALL.axes[1:], "fixed": {**SMALL.fixed, "policy": "linux-6.1"}}, "linux-6.1"),
        (
            {"axes": SMALL.axes[1:], "fixed": {**SMALL.fixed, "remedy": "mbind"}},
            "linux-7.2+mbind",
        ),
        (
            {"axes": (*SMALL.axes[1:], Axis(name="remedy", values=("none", "mbind")))},
            "several",
        ),
        (
            {
                "axes": (
                    *SMALL.axes[1:],
                    Axis(name="kernel", values=("linux-6.1", "linux-6.4"), fields=("policy",)),
                )
            },
            "several",
        ),
    ],
)
def test_the_kernel_of_a_result_is_that_of_its_points(given, kernel):
    made = dataclasses.replace(SMALL, **given, drop=("pin_fraction >= 0",))
    assert sweep.run(made).attrs["kernel"] == kernel


def test_what_is_to_come_is_told_before():
    made = dataclasses.replace(SMALL, drop=("scan_delay_ms == 500 and policy == 'linux-6.1'",))
    said = list(cases.plan(made).told())
    assert said[0].endswith("10 points x 4 replicates = 40 runs, of which 40 are to be computed")
    assert said[1].startswith("2 points dropped: scan_delay_ms == 500")
    assert len(said) == 2


def test_many_reasons_are_told_in_few_lines_before_and_after():
    axes = (Axis(name="pin_fraction", values=(0.5, *(2.0 + i for i in range(14)))),)
    fixed = {**SMALL.fixed, "scan_delay_ms": 500}
    made = dataclasses.replace(SMALL, axes=axes, fixed=fixed, replicates=1)
    for said in (cases.plan(made).told(), sweep.told(sweep.run(made))):
        lines = list(said)[1:]
        assert len(lines) == 11
        assert all(re.match(r"1 point failed: .*[0-9]: ", line) for line in lines[:10]), lines
        assert lines[10] == "4 more points without a result, for 4 other reasons"


def test_a_sweep_whose_planning_takes_seconds_says_so_first():
    axis = Axis(name="scan_delay_ms", values=Range(lowest=1, highest=5000, num=5000))
    fixed = {**SMALL.fixed, "pin_fraction": 0.5}
    made = dataclasses.replace(SMALL, axes=(axis,), fixed=fixed, drop=("scan_delay_ms > 1",))
    said = []
    cases.plan(made, say=said.append)
    assert said == ["planning 5000 points"]


def test_an_axis_that_changes_nothing_is_told_before():
    """The lifetimes of all churns are set by place, and the argument for them has no effect."""
    axes = (
        SMALL.axes[2],
        Axis(name="vma_lifetime_ms", values=(50, 500)),
        Axis(name="life", values=(70, 80), fields=("churn.*.lifetime_ms",)),
    )
    fixed = {"duration_ms": 500, "scan_delay_ms": 100}
    said = list(cases.plan(dataclasses.replace(SMALL, axes=axes, fixed=fixed)).told())
    assert said[2:] == ['axis "vma_lifetime_ms" changes nothing: all points along it are equal']


def test_two_names_for_one_field_refuse_the_sweep_before_it_runs():
    axis = Axis(name="tunables.scan_delay_ms", values=(1, 2))
    with pytest.raises(
        InputError, match=r"scan_delay_ms and tunables\.scan_delay_ms are one field"
    ):
        cases.plan(dataclasses.replace(SMALL, axes=(*SMALL.axes, axis), drop_invalid=True))
    fixed = {**SMALL.fixed, "policy.bound": False}
    axis = Axis(name="remedy", values=("none", "mbind"))
    both = dataclasses.replace(SMALL, axes=(*SMALL.axes, axis), fixed=fixed)
    with pytest.raises(InputError, match="remedy mbind decides it too"):
        cases.plan(both)
    assert cases.plan(dataclasses.replace(both, drop=("remedy == 'mbind'",))).jobs(1)


def test_policies_and_remedies_are_a_grid():
    axes = (SMALL.axes[0], Axis(name="remedy", values=("none", "mbind")))
    fixed = {**SMALL.fixed, "scan_delay_ms": 100, "pin_fraction": 0.5}
    ds = sweep.run(dataclasses.replace(SMALL, axes=axes, fixed=fixed, replicates=1))
    assert ds["touches"].dims == ("policy", "remedy", "replicate")
    w = lifetimes(scan_delay_ms=100, vma_lifetime_ms=150, pin_fraction=0.5, duration_ms=2000)
    expected = totals(simulate(w, remedies.get("linux-6.1+mbind"), seed=3))
    found = ds.sel(policy="linux-6.1", remedy="mbind")
    for variable in NAMES:
        np.testing.assert_array_equal(found[variable], expected[variable])


def test_over_raises_what_a_point_fails_with():
    def at(pin_fraction):
        return lifetimes(
            scan_delay_ms=100, vma_lifetime_ms=50, pin_fraction=pin_fraction, duration_ms=500
        )

    ds = sweep.over("pin_fraction", [0.0, 1.0], at, ["linux-7.2"], replicates=2, seed=1)
    assert ds["touches"].dims == ("policy", "pin_fraction", "replicate")
    assert "status" not in ds
    with pytest.raises(InputError, match=r"pinned_fraction = 2"):
        sweep.over("pin_fraction", [0.0, 2.0], at, ["linux-7.2"], replicates=2, seed=1)


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
scan_delay_ms = { from = 100, to = 2000, num = 5 }
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
    resumed = sweep.run(made, Where(store=tmp_path / "store"))
    assert _runs(tmp_path / "store") == 100 * 6
    xr.testing.assert_identical(resumed, sweep.run(made))


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
    with pytest.raises(KeyboardInterrupt), workers.interruptible() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler


def test_a_handler_of_others_is_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with workers.interruptible() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]


def test_what_a_job_had_when_it_was_stopped_is_kept(tmp_path):
    fixed = {"duration_ms": 600_000, "vma_lifetime_ms": 150, "scan_delay_ms": 100}
    axes = (Axis(name="pin_fraction", values=(0.5,)),)
    made = dataclasses.replace(SMALL, fixed=fixed, axes=axes, replicates=32 * 4)
    one = dataclasses.replace(made, replicates=1)
    sweep.run(one)
    begin = time.monotonic()
    sweep.run(one)
    a_run = time.monotonic() - begin

    def press():
        while signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            time.sleep(a_run / 20)
        time.sleep(6 * a_run)  # of the 32 of a job
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match=r"stopped; [0-9]+ runs kept") as caught:
        sweep.run(made, Where(store=tmp_path, workers=1))
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
    assert err.splitlines()[1] == (
        f"numalab: error: store {tmp_path / 'store'}: cannot be written: No such file or directory"
    )
    assert 0 < _to_run(sweep_file.load(tmp_path / "s.toml"), tmp_path / "moved") < 100 * 60


def test_a_full_disk_is_one_line_and_leaves_no_half_files(small, tmp_path):
    (tmp_path / "store").mkdir()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    started = _start(tmp_path, preexec_fn=limit)
    _, err = started.communicate(timeout=120)
    assert started.returncode == 2
    assert err.splitlines()[-1].endswith("store: cannot be written: File too large")
    assert "Traceback" not in err
    assert list((tmp_path / "store").iterdir()) == []


def test_where_takes_text_and_refuses_threads_without_end(small, tmp_path):
    xr.testing.assert_identical(sweep.run(SMALL, Where(store=str(tmp_path))), small)
    assert _runs(tmp_path) == 48
    with pytest.raises(InputError, match="workers = 1000000: must be from 0 to 1024"):
        Where(workers=1_000_000)


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
    xr.testing.assert_equal(sweep.run(made, Where(store=tmp_path / "store")), first)
