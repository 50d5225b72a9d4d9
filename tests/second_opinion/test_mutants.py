"""The comparison can fail: the second opinion made wrong on purpose is found out."""

import dataclasses
import functools
import inspect

import pytest

from numalab import policy
from numalab.machine import Machine
from numalab.tunables import Tunables
from numalab.workload import Access, Task, Vma, Workload
from tests.second_opinion import (
    kernel_fault,
    kernel_memory,
    kernel_period,
    kernel_policy,
    kernel_scan,
    running,
    test_functions,
    test_whole_runs,
)
from tests.second_opinion.differences import differences
from tests.second_opinion.drawn import NEVER_MS
from tests.second_opinion.engine_side import engine
from tests.second_opinion.reference import bare_setup, engine_end_ns, phase_of, simulate
from tests.second_opinion.test_whole_runs import FREE

pytestmark = pytest.mark.slow
MUTANTS = [
    (kernel_scan, "left.pages) // 512) * 512, vma", "left.pages + 1) // 512) * 512, vma"),
    (kernel_scan, "self.virtpages = 8 * self.pages", "self.virtpages = 7 * self.pages"),
    (kernel_scan, "-(-(start + left.pages) // 512) * 512", "start + left.pages"),
    (kernel_scan, "numa_scan_seq - first < 2", "numa_scan_seq - first <= 2"),
    (kernel_scan, "mm.numa_scan_seq and jiffies < state.next_scan", "jiffies < state.next_scan"),
    (kernel_scan, "    p.node_stamp += 2 * sim.tick_ns\n", ""),
    (kernel_scan, "p.node_stamp += 32 *", "p.node_stamp += 31 *"),
    (kernel_scan, "vma.numab_state.prev_scan_seq = mm.numa_scan_seq", "pass"),
    (kernel_scan, "seq > state.prev_scan_seq + mm", "seq >= state.prev_scan_seq + mm"),
    (kernel_scan, "            if forced:\n                return True, start\n", ""),
    (kernel_scan, "curr.numa_scan_period = kernel_period.task_scan_start(sim, curr)", "pass"),
    (kernel_memory, "vma.numab_state.pids_active[1] |=", "vma.numab_state.pids_active[0] |="),
    (kernel_memory, "        updated += page.nr\n", "        updated += 1\n"),
    (kernel_memory, "if page.cow_shared or pinned or", "if page.cow_shared or"),
    (kernel_memory, "        flags |= TNF_FAULT_LOCAL\n", ""),
    (kernel_memory, "stop = min(end, (start // PUD", "stop = max(end, (start // PUD"),
    (kernel_fault, "if local + shared == 0 or failed:", "if local + shared == 0:"),
    (kernel_fault, "faults[mem] // 2", "faults[mem]"),
]
"""Seen in whole runs: module, what is right, what is wrong."""
SMALL_MUTANTS = [
    (kernel_scan, "return -(-ms * hz // 1000)", "return ms * hz // 1000", "msecs_to_jiffies"),
    (kernel_scan, "sum_exec_runtime <= curr", "sum_exec_runtime < curr", "task_tick_numa"),
    (kernel_scan, "        mm.numa_scan_offset = vma.vm_end\n", "", "reasons_to_skip"),
    (kernel_scan, "state.pids_active_reset += ", "state.pids_active_reset = ",
     "memory_of_pids"),
    (kernel_fault, "p.numa_faults_locality = [0, 0, 0]\n\n\ndef", "pass\n\n\ndef",
     "update_task_scan_period"),
    (kernel_fault, "numa_faults is None or src_nid ==", "total_numa_faults == 0 or src_nid ==",
     "update_scan_period"),
    (kernel_fault, "unset = cpupid_pid_unset(last_cpupid)\n", "unset = last_cpupid == -1\n",
     "mpol_misplaced_and_should_numa_migrate_memory"),
    (kernel_policy, 'if get_vma_policy(p, page.vma) == "default" and page', "if page",
     "mpol_misplaced_and_should_numa_migrate_memory"),
    (kernel_period, "((x - 1) | (y - 1)) + 1", "-(-x // y) * y", "bounds_of_the_period"),
]  # fmt: skip
"""Seen in a function's own test: module, what is right, what is wrong, test."""
TURN_MUTANTS = [
    (kernel_memory, "    page.last_cpupid = -1\n\n\ndef do_numa_page", "\n\n\ndef do_numa_page"),
    (kernel_memory, "return sim.policy.resets_cpupid and", "return"),
    (kernel_memory, "page.read_only = isolated and", "page.read_only = False and"),
    (running, "if s.write and page.read_only", "if page.read_only"),
]
"""Seen where two nodes use pages in turn: module, what is right, what is wrong."""
SEEDS = 20
"""Hypothesis draws from constants of all modules loaded by then, and its draws come in clumps: of
200 draws 2 to 33 aged the pids of a VMA, by what was loaded. Of 20 times 200 some always do."""


def workload(duration_ms, *, pinned=0.0, scan_ns=0.0, mb=2, more=0, delay_ms=20, huge=0.0):
    """A task on node 1 walks memory of node 0; others of its process sleep."""
    remote = 0 if huge else 1
    walks = (Access(vma="b"),) if huge else (Access(vma="a"), Access(vma="b"))
    asleep = Access(vma="a", pages_per_s=1.0, start_ms=NEVER_MS)
    return Workload(
        name="w",
        duration_ms=duration_ms,
        sample_ms=duration_ms,
        machine=Machine(speed=dataclasses.replace(FREE, scan_page_ns=scan_ns)),
        tunables=Tunables(scan_delay_ms=delay_ms, scan_period_min_ms=45, scan_size_mb=mb),
        vmas=(
            Vma(name="a", size_mb=6, pinned_fraction=pinned),
            Vma(name="b", size_mb=8, thp=True, first_touch_node=remote, pinned_fraction=huge),
            Vma(name="c", size_mb=20, first_touch_node=1, pinned_fraction=1.0),
        ),
        tasks=(
            Task(name="t0", cpu=1, access=walks),
            *(Task(name=f"s{i}", cpu=0, access=(asleep,)) for i in range(1 + more)),
        ),
    )


CASES = [
    ("linux-6.12", workload(1500)),
    ("linux-6.12", workload(1500, pinned=0.5)),
    ("linux-6.1", workload(900, huge=0.5, more=1)),
    ("linux-6.1", workload(1500, scan_ns=10_000.0)),
    ("linux-7.2", workload(3000, mb=1, more=1, delay_ms=50)),
]


@functools.cache
def engine_side(i):
    name, w = CASES[i]
    return engine(w, policy.get(name), bare_setup(w))[0]


def noticed(i):
    """Say whether the second opinion, as it is now, differs from the engine."""
    name, w = CASES[i]
    phase = phase_of(w, 0)
    other = simulate(
        w,
        policy.get(name),
        phase_ns=phase,
        setup=bare_setup(w),
        until_ns=engine_end_ns(w, phase),
    )
    return bool(differences(w, engine_side(i), other))


@pytest.fixture
def mutate():
    """Make a module wrong in one place, and right again afterwards."""
    changed = []

    def change(module, right, wrong):
        source = inspect.getsource(module)
        assert source.count(right) == 1, right
        changed.append((module, source))
        exec(compile(source.replace(right, wrong), module.__file__, "exec"), module.__dict__)

    yield change
    for module, source in changed:
        exec(compile(source, module.__file__, "exec"), module.__dict__)


def test_unchanged_they_agree():
    assert not any(noticed(i) for i in range(len(CASES)))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m[1].strip()[:40])
def test_a_wrong_rule_is_noticed(mutate, mutant):
    mutate(*mutant)
    assert any(noticed(i) for i in range(len(CASES)))


@pytest.mark.parametrize("mutant", TURN_MUTANTS, ids=lambda m: m[2].strip()[:40])
def test_a_wrong_cpupid_is_noticed(mutate, mutant):
    mutate(*mutant)
    with pytest.raises(AssertionError):
        for name in ("linux-6.1", "linux-6.12"):
            for write in (True, False):
                test_whole_runs.by_turns(name, write)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize("mutant", SMALL_MUTANTS, ids=lambda m: f"{m[3]}: {m[2].strip()[:30]}")
def test_a_wrong_line_is_noticed(mutate, monkeypatch, mutant):
    *change, test = mutant
    mutate(*change)
    test = getattr(test_functions, f"test_{test}")
    with pytest.raises(AssertionError):
        for seed in range(SEEDS):
            monkeypatch.setattr(test, "_hypothesis_internal_use_seed", seed)
            test()
