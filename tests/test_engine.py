"""Laws that hold in every run, and the same Dataset from the same seed."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numalab import dataset, policy, schema
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.linux.structs import VM_THREAD_STACK
from numalab.machine import Machine, Speed
from numalab.model.default_start import default_setup
from numalab.model.initial import assemble
from numalab.model.layout import Setup
from numalab.model.world import Samples
from numalab.population import ABSENT, END
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Process, Task, Vma, Workload
from numalab.workload_file import load

ROOT = Path(__file__).parent.parent
WORKLOADS = sorted((ROOT / "data/workloads").glob("*.toml"))


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda p: p.stem)
@pytest.mark.parametrize("name", policy.NAMES)
def test_invariants_hold_on_every_workload(path, name):
    w = load(path)
    ds = simulate(w, policy.get(name), replicates=2)
    dataset.check_invariants(ds)
    placed = ds["pages_on_node"].sum("node")
    for vma in w.vmas:
        assert (placed.sel(vma=vma.name) == round(vma.pages * vma.populated) * vma.count).all()
    end = ds.isel(time=-1)
    if not any(v.thp for v in w.vmas):
        # a few image pages may be marked before the start and fault after it
        assert (end["numa_hint_faults"] <= end["numa_pte_updates"] + 32).all()
    assert (end["numa_pages_migrated"] == end["pgmigrate_success"]).all()


@pytest.mark.parametrize("name", policy.NAMES)
def test_skip_reasons_are_those_the_kernel_has(name):
    ds = simulate(load(ROOT / "data/workloads/many-vmas.toml"), policy.get(name))
    seen = {str(r) for r in ds["reason"].values if int(ds["skips"].sel(reason=r).sum())}
    late = {"scan_delay", "pid_inactive", "ignore_pid_inactive", "seq_completed"}
    rules = policy.get(name)
    allowed = {"scan_delay"} if rules.vma_scan_delay else set()
    allowed |= {"pid_inactive"} if rules.pid_filter else set()
    allowed |= {"ignore_pid_inactive"} if rules.partial_vma else set()
    allowed |= {"seq_completed"} if rules.seq_completed else set()
    assert seen & late <= allowed
    assert ("pid_inactive" in seen) == rules.pid_filter


@pytest.mark.parametrize(
    "off", [{"tunables": Tunables(numa_balancing=0)}, {"machine": Machine(nodes=1)}]
)
def test_nothing_is_scanned_when_balancing_is_off_or_there_is_one_node(off):
    w = Workload(
        name="off",
        duration_ms=5000,
        vmas=(Vma(name="a", size_mb=4),),
        tasks=(Task(name="t", cpu=0, access=(Access(vma="a"),)),),
        **off,
    )
    ds = simulate(w, policy.get("linux-7.2"))
    assert int(ds["numa_pte_updates"].max()) == 0
    assert ds.sizes["chunk"] == 0


def test_replicates_do_not_depend_on_how_many_there_are():
    w = load(WORKLOADS[0])
    few = simulate(w, policy.get("linux-6.12"), seed=7, replicates=3)
    many = simulate(w, policy.get("linux-6.12"), seed=7, replicates=6)
    for i in range(3):
        a, b = few.isel(replicate=i), many.isel(replicate=i)
        keep = {table: slice(min(a.sizes[table], b.sizes[table])) for table in ("chunk", "notify")}
        xr.testing.assert_identical(a.isel(keep), b.isel(keep))


def test_other_seeds_differ():
    w = load(ROOT / "data/workloads/shared-rand.toml")
    a = simulate(w, policy.get("linux-7.2"), seed=1)
    b = simulate(w, policy.get("linux-7.2"), seed=2)
    assert not a["chunk_ms"].equals(b["chunk_ms"])


def test_a_dataset_survives_the_disk(tmp_path):
    ds = simulate(load(WORKLOADS[0]), policy.get("linux-6.1"), replicates=2)
    dataset.save(ds, tmp_path / "a.nc")
    dataset.save(ds, tmp_path / "b.nc")
    xr.testing.assert_identical(dataset.load(tmp_path / "a.nc"), ds)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert dataset.provenance(ds)["policy"]["name"] == "linux-6.1"
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def vmstat_records(count):
    return np.zeros(count, schema.vmstat).view(np.recarray)


def _check_population(world):
    """Spans tile their segments, counts add up, every pool slot is free or in use once."""
    pop = world.pop
    spans = cohorts = waiting = 0
    for seg in pop.segments:
        at, s, marked, absent = seg.lo, seg.span, 0, 0
        while s != END:
            span = pop.spans[s]
            spans += 1
            assert span.lo == at
            at = span.hi
            total, c = 0, span.cohort
            while c != END:
                it = pop.cohorts[c]
                cohorts += 1
                count = int(it["count"])
                assert count > 0
                total += count
                marked += count * int(it.prot_none)
                absent += count * int(it.node == ABSENT)
                c = it.next
            assert total == (span.hi - span.lo) // seg.unit
            s = span.next
        if seg.span != END:
            assert at == seg.hi
        assert (marked, absent) == (seg.marked, seg.absent)
        waiting += (marked + absent) * seg.nr_accesses
    free = pop.free[0]
    assert free.spans == len(pop.spans) - spans
    assert free.cohorts == len(pop.cohorts) - cohorts
    assert free.waiting == waiting == pop.task_waiting.sum()


accesses = st.builds(
    lambda lo, width, pattern, rate: Access(
        vma="a", lo=lo, hi=min(1.0, lo + width), pattern=pattern, pages_per_s=rate
    ),
    st.sampled_from([0.0, 0.25, 0.6]),
    st.sampled_from([0.3, 0.5, 1.0]),
    st.sampled_from(["walk", "rand", "hot"]),
    st.sampled_from([0.0, 500.0, 20_000.0]),
)
workloads = st.builds(
    lambda found, vma, churn, tunables: Workload(
        name="drawn",
        duration_ms=3000,
        machine=Machine(cpus_per_node=2, memory_mb=256),
        tunables=tunables,
        vmas=(vma,),
        tasks=tuple(Task(name=f"t{i}", cpu=i - 1, access=(a,)) for i, a in enumerate(found)),
        churns=(churn,) if churn else (),
    ),
    st.lists(accesses, min_size=1, max_size=4),
    st.builds(
        lambda size, thp, pinned, where, populated: Vma(
            name="a", size_mb=size, thp=thp, pinned_fraction=pinned * populated,
            pin_placement=where, populated=populated,
        ),
        st.sampled_from([2, 8, 20]),
        st.booleans(),
        st.sampled_from([0.0, 0.3, 1.0]),
        st.sampled_from(["head", "scattered"]),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    st.one_of(
        st.none(),
        st.builds(
            lambda ms, how: Churn(
                name="c", size_mb=2, lifetime_ms=ms, lifetime=how, lifetime_shape=0.5, gap_ms=5
            ),
            st.sampled_from([20, 400, 1500]),
            st.sampled_from(["fixed", "exponential", "uniform", "lognormal"]),
        ),
    ),
    st.builds(
        lambda delay, low, size: Tunables(
            scan_delay_ms=delay, scan_period_min_ms=low, scan_size_mb=size
        ),
        st.sampled_from([0, 100, 1000]),
        st.sampled_from([50, 1000]),
        st.sampled_from([1, 4, 256]),
    ),
)  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(workloads, st.sampled_from(policy.NAMES), st.integers(0, 5))
def test_laws_hold_on_drawn_workloads(w, name, seed):
    ds = simulate(w, policy.get(name), seed=seed)
    dataset.check_invariants(ds)
    pages = ds["chunk_pages"].values[0]
    size = w.tunables.scan_size_mb * 256
    assert pages.max(initial=0) <= size + 512
    scans = ds["chunk_scan"].values[0]
    updated = ds["chunk_updated"].values[0]
    for scan in np.unique(scans):
        mine = scans == scan
        assert pages[mine & (updated > 0)].sum() <= size + 512 + pages[mine].max()
        assert pages[mine].sum() <= 8 * size + 512 + pages[mine].max()
    on_node = ds["pages_on_node"].sel(vma="a").sum()
    assert w.vmas[0].pages * w.vmas[0].populated - 512 <= on_node <= w.vmas[0].pages


@settings(max_examples=25, deadline=None, derandomize=True)
@given(workloads, st.sampled_from(policy.NAMES))
def test_the_population_stays_whole(w, name):
    from numalab.model.lifespans import table
    from numalab.model.loop import run

    rng = np.random.default_rng(1)
    a = assemble(w, policy.get(name), default_setup(w), 1 << 12, rng)
    _check_population(a)
    samples = Samples(vmstat_records(5), np.zeros((5, 1), np.int64), 10**9)
    run(a, table(w, rng), 10**6, 700, samples, rng)
    _check_population(a)


LATE_REASONS = ["scan_delay", "pid_inactive", "ignore_pid_inactive", "seq_completed"]


def check_laws(w, name, ds):
    """What must hold for every run of a workload, whatever was drawn."""
    dataset.check_invariants(ds)
    end = {n: int(ds[n].isel(time=-1)) for n in schema.COUNTERS}
    unit = 512 if any(v.thp for v in (*w.vmas, *w.churns)) else 1
    assert end["numa_pages_migrated"] == end["pgmigrate_success"]
    assert end["pgmigrate_success"] + end["pgmigrate_fail"] <= end["numa_hint_faults"] * unit
    assert end["numa_huge_pte_updates"] * 512 <= end["numa_pte_updates"]
    if unit == 1:
        assert end["numa_hint_faults"] <= end["numa_pte_updates"]
        assert end["numa_huge_pte_updates"] == 0
    if not any(v.pinned_fraction for v in w.vmas):
        assert end["pgmigrate_fail"] == 0
    assert (ds["numa_scan_seq"].diff("time") >= 0).all()
    if name == "linux-6.1":
        assert int(ds["skips"].sel(reason=LATE_REASONS).sum()) == 0
    ignored = ds["skips"].sel(reason="ignore_pid_inactive")
    assert (ignored <= ds["scan_calls"]).all(), "such a VMA is scanned"
    _check_chunks(w, name, ds, end)
    _check_pages(w, ds)
    _check_time(w, ds)


def _check_chunks(w, name, ds, end):
    owner, pages = ds["chunk_vma"].values, ds["chunk_pages"].values
    updated, start = ds["chunk_updated"].values, ds["chunk_start"].values
    assert updated.sum() == end["numa_pte_updates"]
    assert (updated <= pages).all() and (pages > 0).all() and (start >= 0).all()
    sizes = {v.name: v.pages * v.count for v in w.vmas} | {c.name: c.pages for c in w.churns}
    for i, vma in enumerate(ds["vma"].values):
        mine = owner == i
        assert pages[mine].sum() == ds["scan_pages"].values[i]
        assert mine.sum() == ds["scan_calls"].values[i]
        assert ds["notifier_pages"].sel(why="scan").values[i] <= pages[mine].sum()
        if str(vma) in sizes:
            assert (start[mine] + pages[mine]).max(initial=0) <= sizes[str(vma)]
    scan, size = ds["chunk_scan"].values, w.tunables.scan_size_mb * 256
    for number in np.unique(scan):
        mine = scan == number
        assert pages[mine].max() <= size + 511
        assert pages[mine & (updated > 0)][:-1].sum() < size
        assert pages[mine][:-1].sum() < 8 * size
        assert len(set(ds["chunk_task"].values[mine])) == 1
        assert (np.diff(ds["chunk_ms"].values[mine]) >= 0).all()
    _check_gaps(w, ds)
    for vma in w.vmas:
        shmem = vma.kind in ("shmem", "file_rw") and name != "linux-7.2"
        if (
            vma.kind in ("file_ro", "hugetlb")
            or vma.policy in ("bind", "interleave")
            or (shmem and vma.policy == "default")
        ):
            assert int(ds["scan_calls"].sel(vma=vma.name)) == 0
            reasons = ds["skips"].sel(vma=vma.name)
            assert int(reasons.sum()) == int(reasons.sel(reason=["unsuitable", "shared_ro"]).sum())


def _check_gaps(w, ds):
    """Between two scans of a process lies the shortest period that its tasks can have.

    A thread's first period is scan_delay_ms; if that is 0 its first placement may double 0.
    """
    floor = 1000 // max(1, 2560 // w.tunables.scan_size_mb)
    least = min(floor, w.tunables.scan_delay_ms)
    for process in w.process_names:
        tasks = [i for i, t in enumerate(w.threads) if t.process == process]
        mine = np.isin(ds["chunk_task"].values, tasks)
        _, first = np.unique(ds["chunk_scan"].values[mine], return_index=True)
        begins = ds["chunk_ms"].values[mine][first]
        assert (np.diff(begins) >= least - 500 / w.machine.hz).all()


def _check_pages(w, ds):
    touched = {a.vma for t in w.tasks for a in t.access}
    for vma in w.vmas:
        on_node = ds["pages_on_node"].sel(vma=vma.name).values
        whole = 512 if vma.thp else 1
        first = -(-round(vma.pages * vma.populated) // whole) * whole * vma.count
        assert first <= on_node.sum() <= vma.pages * vma.count
        if vma.name not in touched:
            assert on_node.sum() == first
            if vma.policy != "interleave":
                assert on_node[vma.first_touch_node] == first
    for churn in w.churns:
        assert 0 <= int(ds["pages_on_node"].sel(vma=churn.name).sum()) <= churn.pages
    assert (ds["pages_on_node"] >= 0).all()


def _check_time(w, ds):
    before = sum(sum(default_setup(w).of(p).runtime_ms) for p in w.process_names)
    ran = float(ds["sum_exec_runtime"].sum()) - before
    assert -1e-6 <= ran <= w.machine.cpus * w.duration_ms + 1e-6
    for i, thread in enumerate(w.threads):
        touches = float(ds["touches"].values[i])
        assert touches >= 0
        if isinstance(thread, Task) and all(a.pages_per_s for a in thread.access):
            due = sum(a.pages_per_s for a in thread.access) * w.duration_ms / 1000
            assert touches <= due + len(thread.access)


def _vma(name, process):
    return st.builds(
        lambda size, count, kind, thp, node, populated, pinned, where, how: Vma(
            name=name, size_mb=size, count=count, kind=kind, process=process,
            thp=thp and kind in ("anon", "shmem"), first_touch_node=node, populated=populated,
            pinned_fraction=pinned * populated, pin_placement=where, policy=how,
        ),
        st.sampled_from([2, 6, 14]), st.sampled_from([1, 1, 3]),
        st.sampled_from(["anon"] * 6 + ["shmem", "file_rw", "file_ro", "hugetlb"]), st.booleans(),
        st.integers(0, 1), st.sampled_from([1.0, 1.0, 0.4, 0.0]), st.sampled_from([0, 0, 0.5, 1]),
        st.sampled_from(["head", "scattered"]),
        st.sampled_from(["default"] * 5 + ["bind", "bind_balancing", "interleave"]),
    )  # fmt: skip


@st.composite
def _access(draw, vma):
    lo = draw(st.sampled_from([0.0, 0.3, 0.7]))
    return Access(
        vma=vma.name,
        lo=lo,
        hi=lo + 0.3,
        write=vma.kind != "file_ro",
        pattern=draw(st.sampled_from(["walk", "rand", "hot"])),
        pages_per_s=draw(st.sampled_from([0.0, 3.0, 900.0, 1e6])),
        start_ms=draw(st.sampled_from([0.0, 300.0])),
        stop_ms=draw(st.sampled_from([1e9, 1500.0])),
    )


@st.composite
def mixed_workloads(draw):
    """Two processes with VMAs of every kind, tasks with several accesses, churns, cpusets."""
    both = ("p", "q")[: draw(st.integers(1, 2))]
    vmas = [draw(_vma(f"v{i}", p)) for i, p in enumerate(both * draw(st.integers(1, 2)))]
    tasks = []
    for i in range(draw(st.integers(len(both), 4))):
        process = both[i % len(both)]
        own = st.sampled_from([v for v in vmas if v.process == process])
        found = draw(st.lists(own.flatmap(_access), max_size=2))
        cpu = draw(st.integers(-1, 3))
        tasks.append(Task(name=f"t{i}", process=process, cpu=cpu, access=tuple(found)))
    churn = st.builds(
        lambda size, lives, cpu, gap, rate, law: Churn(
            name="c", process="p", size_mb=size, lifetime_ms=lives, cpu=cpu, gap_ms=gap,
            pages_per_s=rate, lifetime=law,
        ),
        st.sampled_from([0.5, 2, 4]), st.sampled_from([30.0, 700.0]), st.integers(-1, 3),
        st.sampled_from([0.0, 50.0]), st.sampled_from([0.0, 2000.0]),
        st.sampled_from(["fixed", "exponential"]),
    )  # fmt: skip
    cpuset = draw(st.sampled_from([None, None, (0,), (0, 1)]))
    return Workload(
        name="mixed",
        duration_ms=draw(st.sampled_from([1.0, 40.0, 2500.0])),
        sample_ms=1.0,
        machine=Machine(
            cpus_per_node=2,
            memory_mb=256,
            hz=draw(st.sampled_from([100, 250, 300, 1000])),
            speed=Speed(
                scan_page_ns=draw(st.sampled_from([5.0, 1000.0])),
                lost_share=draw(st.sampled_from([0, 0.2])),
                hint_fault_ns=draw(st.sampled_from([0.0, 1000.0, 50_000.0])),
            ),
        ),
        tunables=Tunables(
            scan_delay_ms=draw(st.sampled_from([0, 10, 400])),
            scan_period_min_ms=draw(st.sampled_from([1, 100])),
            scan_size_mb=draw(st.sampled_from([1, 3, 64])),
        ),
        processes=(Process(name="p", cpuset_mems=cpuset),) if cpuset else (),
        vmas=tuple(vmas),
        tasks=tuple(tasks),
        churns=tuple(draw(st.lists(churn, max_size=1))),
    )


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(mixed_workloads(), st.sampled_from(policy.NAMES), st.integers(0, 9))
def test_laws_hold_on_workloads_of_every_kind(w, name, seed):
    ds = simulate(w, policy.get(name), seed=seed).isel(replicate=0, drop=True)
    check_laws(w, name, ds)
    if any(p.cpuset_mems == (0,) for p in w.processes) and name == "linux-7.2":
        assert int(ds["numa_scan_seq"].sel(process="p").max()) == 0


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(mixed_workloads(), st.sampled_from(policy.NAMES))
def test_the_population_of_every_kind_stays_whole(w, name):
    from numalab.model.lifespans import table
    from numalab.model.loop import run

    rng = np.random.default_rng(2)
    a = assemble(w, policy.get(name), default_setup(w), 1 << 12, rng)
    _check_population(a)
    held = a.mms["rss"].sum() + a.pop.node_free.sum()
    seqs = np.zeros((5, len(w.process_names)), np.int64)
    run(a, table(w, rng), 10**6, 300, Samples(vmstat_records(5), seqs, 10**9), rng)
    _check_population(a)
    assert a.mms["rss"].sum() + a.pop.node_free.sum() == held, "pages are conserved"


def test_policies_run_in_any_order_give_the_same():
    w = load(ROOT / "data/workloads/pid-disjoint.toml")
    forth = {n: simulate(w, policy.get(n), seed=5) for n in policy.NAMES}
    back = {n: simulate(w, policy.get(n), seed=5) for n in reversed(policy.NAMES)}
    for n in policy.NAMES:
        xr.testing.assert_identical(forth[n], back[n])


@pytest.mark.parametrize("stem", ["shared-rand", "churn-short", "thp"])
def test_the_room_of_the_pools_does_not_show(stem):
    from numalab.engine import Start, _variables, run_in_room

    w = load(ROOT / f"data/workloads/{stem}.toml")
    runs = []
    for room in (1, 1 << 9, 1 << 12, 1 << 15):
        try:
            found = run_in_room(Start(workload=w, seed=4), policy.get("linux-6.12"), 0, room)
            runs.append(_variables(w, found))
        except MemoryError:
            continue
    assert len(runs) >= 2
    for run in runs[1:]:
        np.testing.assert_equal(run, runs[0])


_DIGEST_OF_SMALL = """
import hashlib
from numalab import policy
from numalab.engine import simulate
from numalab.workload import Access, Churn, Task, Vma, Workload
w = Workload(
    name="w", duration_ms=1500,
    vmas=(Vma(name="a", size_mb=4), Vma(name="b", size_mb=4, thp=True, pinned_fraction=0.5)),
    tasks=(
        Task(name="t0", cpu=0, access=(Access(vma="a", pattern="rand"),)),
        Task(name="t1", cpu=1, access=(Access(vma="a"), Access(vma="b", pages_per_s=900.0))),
    ),
    churns=(Churn(name="c", size_mb=1, lifetime_ms=200, cpu=1),),
)
ds = simulate(w, policy.get("linux-6.12"), seed=3)
text = "".join(n + ds[n].values.tobytes().hex() for n in sorted(ds.data_vars))
print(hashlib.sha256(text.encode()).hexdigest(), ds.sizes["chunk"])
"""


@pytest.mark.statistical
def test_compiled_and_plain_python_give_the_same_bits():
    found = []
    for off in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", _DIGEST_OF_SMALL],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "NUMBA_DISABLE_JIT": off},
        )
        assert run.returncode == 0, run.stderr
        found.append(run.stdout)
    assert found[0] == found[1]
    assert int(found[0].split()[1]) > 0


def test_a_replicate_is_the_same_alone_and_among_others():
    w = load(ROOT / "data/workloads/pid-disjoint.toml")
    three = simulate(w, policy.get("linux-7.2"), seed=11, replicates=3)
    five = simulate(w, policy.get("linux-7.2"), seed=11, replicates=5)
    for i in range(3):
        a, b = three.isel(replicate=i), five.isel(replicate=i)
        keep = {table: slice(min(a.sizes[table], b.sizes[table])) for table in ("chunk", "notify")}
        xr.testing.assert_identical(a.isel(keep), b.isel(keep))
        assert (a["chunk_ms"].values[keep["chunk"].stop :] == -1).all()
    for i in (1, 2):
        assert not np.array_equal(three["chunk_ms"].values[0], three["chunk_ms"].values[i])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"replicates": 0}, "must be at least 1"),
        ({"replicates": -1}, "must be at least 1"),
        ({"seed": -1}, "must be at least 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        simulate(load(WORKLOADS[0]), policy.get("linux-6.1"), **arguments)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_spinning_task_runs_all_the_time_less_what_is_lost(share):
    w = Workload(
        name="spin",
        duration_ms=4000,
        machine=Machine(speed=Speed(lost_share=share)),
        tasks=(Task(name="a", cpu=0), Task(name="b", cpu=1), Task(name="c", cpu=1)),
    )
    ran = simulate(w, policy.get("linux-6.1"))["sum_exec_runtime"].values[0]
    assert ran[0] == pytest.approx(4000 * (1 - share), abs=8)
    assert ran[1] + ran[2] == pytest.approx(4000 * (1 - share), abs=8)
    assert ran[1] == pytest.approx(ran[2], abs=12)


def _touches(duration_ms, **access):
    w = Workload(
        name="rate",
        duration_ms=duration_ms,
        vmas=(Vma(name="a", size_mb=4),),
        tasks=(Task(name="t", cpu=0, access=(Access(vma="a", **access),)),),
    )
    return float(simulate(w, policy.get("linux-6.12"))["touches"].values[0, 0])


@pytest.mark.parametrize("rate", [0.7, 500.0, 250_000.0])
@pytest.mark.parametrize("pattern", ["walk", "rand"])
def test_a_rated_access_keeps_its_rate(rate, pattern):
    found = _touches(6000, pages_per_s=rate, pattern=pattern)
    assert found == pytest.approx(6 * rate, rel=0.01, abs=1.5)


def test_accesses_begin_and_end_when_the_file_says():
    assert _touches(3000, pages_per_s=1000.0, start_ms=1000.0) == pytest.approx(2000, abs=10)
    assert _touches(3000, pages_per_s=1000.0, stop_ms=500.0) == pytest.approx(500, abs=10)
    assert _touches(3000, pages_per_s=1000.0, start_ms=5000.0) == 0


def _mean_and_error(values):
    return float(values.mean()), float(values.std()) / len(values) ** 0.5


def _two_walkers(churns):
    w = Workload(
        name="quiet",
        duration_ms=9000,
        machine=Machine(nodes=3, memory_mb=256),
        vmas=(Vma(name="a", size_mb=24), Vma(name="b", size_mb=24)),
        tasks=tuple(Task(name=f"t{v}", cpu=i, access=(Access(vma=v),)) for i, v in enumerate("ab")),
        churns=churns,
    )
    ds = simulate(w, policy.get("linux-6.1"), replicates=60).isel(time=-1)
    found = {n: ds[n] for n in ("numa_pte_updates", "numa_hint_faults", "numa_pages_migrated")}
    found["seq"] = ds["numa_scan_seq"].sel(process="main")
    found["touches"] = ds["touches"].sel(task="ta")
    return {name: _mean_and_error(values.values) for name, values in found.items()}


def test_ticks_run_as_one_give_what_ticks_run_apart_do():
    """A churn of another process on a CPU of its own makes the loop take each tick alone."""
    one = _two_walkers(())
    apart = _two_walkers(
        (Churn(name="c", process="far", cpu=2, size_mb=1, lifetime_ms=1, gap_ms=1e9),)
    )
    for name, (mean, error) in one.items():
        other, more = apart[name]
        slack = 5 * (error**2 + more**2) ** 0.5 + 1e-3 * abs(mean)
        assert abs(mean - other) <= slack, (name, mean, other, slack)


_ALONE = {
    "a walk": (Access(vma="a"),),
    "at random": (Access(vma="a", pattern="rand"),),
    "hot and cold": (Access(vma="a", pattern="hot"),),
    "a walk and at random": (Access(vma="a"), Access(vma="b", pattern="rand")),
    "two walks": (Access(vma="a"), Access(vma="b", hi=0.3)),
}


@pytest.mark.parametrize("kernel", ["linux-6.1", "linux-7.2"])
@pytest.mark.parametrize("access", _ALONE.values(), ids=_ALONE)
def test_how_often_a_run_is_sampled_changes_nothing(access, kernel):
    """Samples end stretches of ticks that are run as one; at 4 ms there are none."""
    w = Workload(
        name="sampled",
        duration_ms=6000,
        machine=Machine(memory_mb=1024),
        vmas=(Vma(name="a", size_mb=64), Vma(name="b", size_mb=64)),
        tasks=(Task(name="t", cpu=1, access=access),),
    )
    often, seldom = (
        simulate(dataclasses.replace(w, sample_ms=ms), policy.get(kernel), replicates=3).isel(
            time=-1, drop=True
        )
        for ms in (4, 3000)
    )
    assert (often["numa_hint_faults"] > 0).all()
    for name in often.data_vars:
        if often[name].dtype.kind == "f":
            xr.testing.assert_allclose(often[name], seldom[name], rtol=1e-9)
        else:
            xr.testing.assert_equal(often[name], seldom[name])


@pytest.mark.parametrize("kind", ["vma", "churn"])
def test_no_node_holds_more_than_its_memory(kind):
    """1000 MB first touched on a node of 128 MB: the other node takes the next 128 MB, and
    then there is no memory. Refusing the file would do as well."""
    if kind == "vma":
        nouns = {
            "vmas": (Vma(name="a", size_mb=1000, populated=0.0),),
            "tasks": (Task(name="t", cpu=1, access=(Access(vma="a"),)),),
        }
    else:
        nouns = {"churns": (Churn(name="a", size_mb=1000, lifetime_ms=900, cpu=1),)}
    try:
        w = Workload(name="full", duration_ms=800, machine=Machine(memory_mb=128), **nouns)
    except InputError:
        return
    on_node = simulate(w, policy.get("linux-6.12"))["pages_on_node"].sum("vma")
    assert (on_node <= 128 * 256).all()


def _scanned_before(**start):
    """Two threads on node 1, memory on node 0, balancing on for 3 s before the clone."""
    from numalab.model.inputs import alone_records
    from numalab.model.startup import run_startup

    w = Workload(
        name="before",
        vmas=(Vma(name="a", size_mb=1),),
        tasks=tuple(Task(name=f"t{i}", cpu=1, access=(Access(vma="a"),)) for i in range(2)),
    )
    process = dataclasses.replace(
        default_setup(w).processes[0],
        balancing_ms=-3000.0,
        reset_ms=-2.0,
        fork_ms=-6000.0,
        runtime_ms=(3000.0, 0.0),
        **start,
    )
    setup = Setup(processes=(process,))
    rng = np.random.default_rng(0)
    a = assemble(w, policy.get("linux-6.12"), setup, 1 << 12, rng)
    run_startup(a, alone_records(w, setup), 10**6, rng)
    return a


def test_a_thread_stack_made_after_a_scan_of_the_lone_main_thread_is_new():
    """docs/model.md: the clone zeroes the sequence, thread stacks lose their state, and what
    was counted is forgotten."""
    a = _scanned_before()
    vmas = a.vmas
    stack = (vmas["vm_flags"] & VM_THREAD_STACK) != 0
    assert stack.sum() == 1
    assert not vmas["numab_state"][stack].any()
    assert vmas["numab_state"][~stack].any(), "the scan before did happen"
    assert int(a.mms[0].numa_scan_seq) == 0
    assert not any(int(a.stat[0][n]) for n in schema.COUNTERS)


@pytest.mark.parametrize(("cpu", "marked"), [(-1, 256), (1, 256), (0, 0)])
def test_a_lone_main_thread_does_not_mark_what_is_local_where_it_runs(cpu, marked):
    """Its task is bound to node 1 after that; before, it may have run on node 0."""
    a = _scanned_before(alone_cpu=cpu)
    own = a.pop.segments[a.vmas["owner"][a.pop.segments["vma"]] == 0]
    assert own["marked"].sum() == marked
    assert (a.tasks["cpu"][0], a.tasks["node"][0]) == (1, 1)


def test_pages_of_a_thread_stack_made_after_a_scan_are_not_marked():
    """The stack is mapped after that scan, so no entry of it can have been marked."""
    a = _scanned_before()
    vmas, segments = a.vmas, a.pop.segments
    for v in vmas[(vmas["vm_flags"] & VM_THREAD_STACK) != 0]:
        own = segments[v.first_segment : v.first_segment + v.nr_segments]
        assert own["marked"].sum() == 0


def test_an_edit_to_a_callee_is_compiled_anew(tmp_path):
    """Numba's cache looks at the caller's file only; the cache folder follows every source."""
    import shutil
    import subprocess
    import sys

    copy = tmp_path / "copy" / "numalab"
    shutil.copytree(ROOT / "numalab", copy, ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "from numalab import draws, versions\n"
        "print(versions.compiled_version(), draws.draw_below.stats)"
    )
    run = [sys.executable, "-c", code]
    states = []
    for edit in (b"", b"\n# edited\n", b"\nEDITED = 1\n"):
        path = copy / "linux" / "fair_scan.py"
        path.write_bytes(path.read_bytes() + edit)
        found = subprocess.run(
            run, cwd=copy.parent, capture_output=True, text=True, check=True, timeout=120,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin", "PYTHONPATH": str(copy.parent)},
        )  # fmt: skip
        states.append(found.stdout.split()[0])
        assert states[-1] in found.stdout.split(maxsplit=1)[1], "the cache lies in that folder"
    assert states[0] == states[1], "a comment compiles nothing"
    assert states[0] != states[2]
