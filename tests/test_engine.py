"""Laws that hold in every run, and the same Dataset from the same seed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab import dataset, policy
from numalab.engine import simulate
from numalab.layout import default_setup
from numalab.machine import Machine
from numalab.population import ABSENT, END
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Task, Vma, Workload
from numalab.workload_file import load
from numalab.world import assemble

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
    if name == "linux-6.1":
        assert seen & late == set()
    else:
        assert seen & late != set()


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
        keep = min(a.sizes["chunk"], b.sizes["chunk"])
        xr.testing.assert_identical(a.isel(chunk=slice(keep)), b.isel(chunk=slice(keep)))


_DIGEST = """
import sys, hashlib, xarray as xr
from numalab import policy
from numalab.engine import simulate
from numalab.workload_file import load
ds = simulate(load(sys.argv[1]), policy.get("linux-7.2"), seed=3, replicates=4)
text = "".join(n + ds[n].values.tobytes().hex() for n in sorted(ds.data_vars))
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.parametrize("stem", ["shared-rand", "churn-short", "pinned-half"])
def test_same_seed_same_bits_in_any_process(stem):
    path = ROOT / f"data/workloads/{stem}.toml"
    words = [sys.executable, "-c", _DIGEST, str(path)]
    runs = [subprocess.run(words, capture_output=True, text=True, cwd=ROOT) for _ in range(2)]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[0].stdout == runs[1].stdout


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
    assert pop.free[0] == len(pop.spans) - spans
    assert pop.free[1] == len(pop.cohorts) - cohorts
    assert pop.free[2] == waiting == pop.task_waiting.sum()


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
    from numalab import build
    from numalab.lifetimes import table
    from numalab.loop import run

    rng = np.random.default_rng(1)
    a = assemble(w, policy.get(name), default_setup(w), 1 << 12, rng)
    _check_population(a.world)
    samples = np.zeros((5, 7), np.int64)
    cpus, tasks = w.machine.cpus, len(a.spins)
    run(
        a.world, a.access_ptr, a.spins, a.churns, table(w, rng), 10**6, build.START_JIFFIES,
        build.START_NS, 700, 10**9, samples, np.zeros((5, 1), np.int64), np.zeros(cpus, np.int64),
        np.zeros(cpus), np.zeros(tasks, np.int64), rng,
    )  # fmt: skip
    _check_population(a.world)
