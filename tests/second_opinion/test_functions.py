"""Each mirrored function on its own: both sides do the same to the same drawn state."""

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from numalab import units
from numalab.linux import (
    fair_fault,
    fair_period,
    fair_scan,
    memory,
    mempolicy,
    pids_active,
    structs,
)
from numalab.policy import NAMES, get
from numalab.population import cohort_type
from numalab.records import records
from numalab.schema import REASONS
from tests.linux import parts
from tests.second_opinion import (
    kernel_fault,
    kernel_memory,
    kernel_period,
    kernel_policy,
    kernel_scan,
)
from tests.second_opinion.objects import Page
from tests.second_opinion.states import (
    CPUS_PER_NODE,
    NODES,
    jiffies,
    simulator,
    states,
    thread,
)
from tests.second_opinion.vma_states import give_state, mappings, same_state, scan_states

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning"),
]
QUICK = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
KINDS = (*("anon",) * 7, "shmem", "file_ro", "file_rw", "hugetlb", "guard", "vvar", "text")
counts = st.one_of(st.integers(0, 8), st.integers(0, 8), st.integers(0, 1 << 30))
nodes = st.integers(0, NODES - 1)
who = st.sampled_from(["nobody", "me", "me", "other", "stranger"])


@QUICK
@given(st.integers(0, 10**7), st.sampled_from([100, 250, 300, 1000]))
def test_msecs_to_jiffies(ms, hz):
    assert units.msecs_to_jiffies(ms, hz) == kernel_scan.msecs_to_jiffies(ms, hz)


@QUICK
@given(st.integers(0, 1 << 22))
def test_pid_bucket(pid):
    assert structs.pid_bucket(pid) == kernel_scan.pid_bucket(pid)


@QUICK
@given(states())
def test_bounds_of_the_period(s):
    p, sim, group = s.ref_tasks[0], s.sim, (s.groups, s.group_faults)
    assert fair_period.task_nr_scan_windows(s.k, s.mm) == kernel_period.task_nr_scan_windows(sim, p)
    assert fair_period.task_scan_min(s.k, s.mm) == kernel_period.task_scan_min(sim, p)
    start = fair_period.task_scan_start(s.k, s.mm, s.tasks[0], *group)
    assert start == kernel_period.task_scan_start(sim, p)
    most = fair_period.task_scan_max(s.k, s.mm, s.tasks[0], *group)
    assert most == kernel_period.task_scan_max(sim, p)


@QUICK
@given(states(), counts, counts, jiffies)
def test_update_task_scan_period(s, shared, private, now):
    assume(s.ref_tasks[0].numa_faults_locality[1] + shared == 0 or private + shared)
    assume(sum(s.ref_tasks[0].numa_faults_locality[:2]))
    s.sim.jiffies = now
    kernel_fault.update_task_scan_period(s.sim, s.ref_tasks[0], shared, private)
    fair_period.update_task_scan_period(s.world(now), s.tasks[0], shared, private)
    s.same_tasks()


@QUICK
@given(states(), nodes, st.sampled_from(["no fault yet", "no placement yet", "placed"]))
def test_update_scan_period(s, dst, age):
    p = s.ref_tasks[0]
    if age != "placed":
        p.total_numa_faults = s.tasks[0].total_numa_faults = 0
    if age == "no fault yet":
        p.numa_faults, s.faults[0] = None, 0
        parts.fill(s.tasks[0], has_faults=0)
    src = s.sim.node_of(p.cpu)
    kernel_fault.update_scan_period(s.sim, p, dst * CPUS_PER_NODE)
    fair_period.update_scan_period(s.world(), s.tasks[0], src, dst)
    s.same_tasks()


@QUICK
@given(states(), jiffies, st.integers(-1, 1), st.booleans())
def test_task_tick_numa(s, now, off, fresh):
    p = s.ref_tasks[0]
    p.node_stamp = 0 if fresh else p.node_stamp
    p.sum_exec_runtime = p.node_stamp + p.numa_scan_period * 1_000_000 + off
    parts.fill(s.tasks[0], node_stamp=p.node_stamp, sum_exec_runtime=p.sum_exec_runtime)
    s.sim.jiffies = now
    queued = kernel_scan.task_tick_numa(s.sim, p)
    group = (s.groups, s.group_faults)
    assert bool(fair_scan.task_tick_numa(s.k, s.tasks[0], s.mm, now, *group)) == queued
    s.same_tasks()


@QUICK
@given(states(number=2), mappings(), nodes, st.integers(0, NODES * CPUS_PER_NODE - 1), who)
def test_mpol_misplaced_and_should_numa_migrate_memory(s, vma, nid, cpu, who):
    p, (ref, record) = s.ref_tasks[0], vma
    pid = {"me": p.pid, "other": s.ref_tasks[1].pid, "stranger": 7}.get(who)
    last = kernel_fault.cpu_pid_to_cpupid(cpu, pid) if pid else -1
    p.mempolicy = vma.task_policy
    assume(kernel_policy.has_mof(kernel_policy.get_vma_policy(p, ref)))
    page = Page(vma=ref, node=nid, present=True, last_cpupid=last)
    w = s.world()
    target = kernel_policy.mpol_misplaced(s.sim, p, page)
    found = memory.mpol_misplaced(w, record, s.tasks[0], nid, last)
    assert tuple(int(x) for x in found) == (target, page.last_cpupid)
    page.last_cpupid = last
    dst = s.sim.node_of(p.cpu)
    follows = kernel_fault.should_numa_migrate_memory(s.sim, p, page, nid, p.cpu)
    found = fair_fault.should_numa_migrate_memory(w, s.tasks[0], last, nid, dst)
    assert bool(found) == follows


@QUICK
@given(states(), mappings(), scan_states(), st.booleans(), jiffies)
def test_memory_of_pids(s, vma, found, huge, now):
    """What a VMA remembers, who is let in by it, and how it is forgotten."""
    rules, p = s.sim.policy, s.ref_tasks[0]
    slots = rules.pid_memory.startswith("four-slots")
    ref, record = vma
    give_state(found, ref, record, slots)
    assume(slots or ref.numab_state or rules.name != "linux-6.1")
    if rules.pid_filter:
        kernel_memory.vma_set_access_pid_bit(s.sim, p, ref, huge)
        pids_active.vma_set_access_pid_bit(s.k, record, s.tasks[0], huge)
        same_state(ref, record, slots)
    if rules.pid_filter and (slots or ref.numab_state):
        traced = s.sim.skips.total()
        allowed = kernel_scan.vma_is_accessed(s.sim, p, ref)
        other = fair_scan.vma_is_accessed(s.k, s.mm, record, s.tasks[0])
        assert (bool(other[0]), int(other[1])) == (allowed, s.sim.skips.total() - traced)
    if rules.pid_filter and ref.numab_state:
        kernel_scan.age_pids(s.sim, s.ref_mm, ref.numab_state, now)
        pids_active.pid_reset(s.k, s.mm, record, now)
        same_state(ref, record, slots)


@QUICK
@given(states(), mappings(KINDS), scan_states(), jiffies, st.integers(0, 3), st.booleans())
def test_mappings_that_are_never_scanned(s, vma, found, now, took, forced):
    same_reason(s, vma, found, now, now + took, forced)


@settings(QUICK, max_examples=200)  # each reason comes up
@given(
    states(),
    mappings(("anon",), ("default",), ("default",)),
    scan_states(),
    jiffies,
    st.integers(0, 3),
    st.integers(0, 2),
    st.booleans(),
)
def test_reasons_to_skip(s, vma, found, now, took, passes_ago, forced):
    found["values"]["prev_scan_seq"] = s.ref_mm.numa_scan_seq - passes_ago
    same_reason(s, vma, found, now, now + took, forced)


def same_reason(s, vma, found, now, later, forced):
    """Go through the tests of task_numa_work() in their order, and what they leave behind."""
    rules = s.sim.policy
    slots = rules.pid_memory.startswith("four-slots")
    ref, record = vma
    give_state(found, ref, record, slots)
    s.ref_tasks[0].mempolicy = vma.task_policy
    forced = forced and rules.forced_scan  # else nothing is ever forced
    skipped, traced = fair_scan._skip_reason(s.world(later), s.mm, record, s.tasks[0], now, forced)
    reason = kernel_scan.skip_reason(s.sim, s.ref_tasks[0], ref, now, later, forced)
    assert (REASONS[int(skipped)] if skipped >= 0 else None) == reason
    assert int(traced) == s.sim.skips["v", "ignore_pid_inactive"]
    if kernel_scan.keeps_state(rules) or slots:
        same_state(ref, record, slots)
    s.same_tasks()


@QUICK
@given(states(number=2), nodes)
def test_groups_and_active_nodes(s, nid):
    p = s.ref_tasks[0]
    assume(p.numa_group is not None)
    active = kernel_fault.numa_is_active_node(nid, p.numa_group)
    assert bool(fair_fault.numa_is_active_node(s.groups, s.group_faults, 0, nid)) == active
    kernel_fault.numa_group_count_active_nodes(s.sim, p.numa_group)
    fair_fault.numa_group_count_active_nodes(s.groups, s.group_faults, 0)
    s.same_groups()


@QUICK
@given(states(), jiffies, st.integers(2 * 10**9, 3 * 10**9))
def test_task_numa_placement(s, now, now_ns):
    p = s.ref_tasks[0]
    assume(sum(p.numa_faults_locality[:2]))
    assume(sum(n for key, n in p.numa_faults.items() if key[0] == "membuf"))
    s.sim.jiffies, s.sim.tick_time_ns = now, now_ns - s.sim.tick_ns
    kernel_fault.task_numa_placement(s.sim, p)
    fair_fault.task_numa_placement(s.world(now, now_ns), 0)
    s.same_tasks()
    s.same_groups()


@QUICK
@given(states(), jiffies)
def test_numa_migrate_preferred(s, now):
    p = s.ref_tasks[0]
    s.sim.jiffies = now
    kernel_fault.numa_migrate_preferred(s.sim, p)
    fair_fault.numa_migrate_preferred(s.k, s.tasks[0], now)
    s.same_tasks()


@QUICK
@given(
    st.sampled_from(NAMES),
    mappings(("anon", "shmem", "file_rw")),
    st.booleans(),
    st.booleans(),
    st.integers(1, 3),
    nodes,
    nodes,
)
def test_which_entries_are_marked(name, vma, huge, pinned, users, nid, cpu):
    """The table "per-entry skip rules" of kernel.md 2.2."""
    sim, k = simulator(get(name))
    ref, record = vma
    s = parts.mm(mm_users=users)
    cohort = parts.fill(records(cohort_type, 1)[0], node=nid, pinned=int(pinned))
    page = Page(vma=ref, nr=512 if huge else 1, node=nid, present=True, pinned=pinned)
    p = thread(sim, cpu * CPUS_PER_NODE, users)
    marked = kernel_memory.is_marked(sim, p, ref, page)
    found = mempolicy.may_mark(parts.world(k, s), s, record, cohort, page.nr, cpu)
    assert bool(found) == marked
