"""Single states in which the engine once departed from the facts."""

from collections import Counter

import pytest

from numalab.linux import fair_period, fair_scan, memory, structs
from numalab.model.inputs import mapping_flags
from numalab.policy import get
from numalab.schema import REASONS
from numalab.vma import KINDS, POLICIES
from numalab.workload import TASK_POLICIES, Vma
from tests.linux import parts
from tests.second_opinion import kernel_fault, kernel_policy, kernel_scan
from tests.second_opinion.objects import Mapped, Page
from tests.second_opinion.states import CPUS_PER_NODE, NODES, simulator, thread
from tests.second_opinion.vma_states import sides


def test_update_scan_period_between_the_first_fault_and_the_first_placement():
    """kernel.md 1.9: it asks whether faults exist, not whether a placement folded any."""
    sim, k = simulator(get("linux-6.12"))
    p = thread(sim, 0)
    p.numa_scan_period, p.numa_faults = 1, Counter({("membuf", 1, 1): 5})
    kernel_fault.update_scan_period(sim, p, CPUS_PER_NODE)
    task, faults = parts.tasks(numa_scan_period=1, has_faults=1)[0], parts.no_faults(1, NODES)
    faults[0, structs.STATS_MEMBUF, 1, 1] = 5
    fair_period.update_scan_period(parts.world(k, faults=faults), task, 0, 1)
    assert int(task.numa_scan_period) == p.numa_scan_period == 1000


@pytest.mark.parametrize("local", [True, False])
def test_memory_bound_to_all_nodes_with_numa_balancing(local):
    """kernel.md 1.9: only the default policy returns before last_cpupid is exchanged."""
    sim, _ = simulator(get("linux-6.12"))
    cpu = CPUS_PER_NODE if local else 0
    p = thread(sim, cpu)
    p.numa_preferred_nid = -1
    spec = Vma(name="v", size_mb=2, policy="bind_balancing")
    ref = Mapped(1, 513, "anon", "v", mempolicy="bind_balancing")
    page = Page(vma=ref, node=1, present=True)
    target = kernel_policy.mpol_misplaced(sim, p, page)
    record = parts.vma(vm_flags=mapping_flags("anon", spec))
    task = parts.fill(parts.tasks()[0], pid=p.pid, cpu=cpu, node=cpu // CPUS_PER_NODE)
    w = parts.world(cpus_per_node=CPUS_PER_NODE)
    found = memory.mpol_misplaced(w, record, task, 1, -1)
    assert tuple(int(x) for x in found) == (target, page.last_cpupid)


@pytest.mark.parametrize("of_tasks", TASK_POLICIES)
@pytest.mark.parametrize("mapping", POLICIES)
@pytest.mark.parametrize("kind", ["anon", "shmem", "file_rw", "file_ro", "heap", "text", "guard"])
@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
def test_which_policy_lets_a_mapping_be_scanned(name, kind, mapping, of_tasks):
    """kernel.md 1.8: NULL from get_policy() is a no up to 6.12, and the task's policy in 7.2."""
    own = mapping if kind in KINDS else "default"
    sim, k = simulator(get(name))
    p = thread(sim, 0)
    p.mempolicy = of_tasks
    ref, record = sides(kind, own, of_tasks)
    reason = kernel_scan.skip_reason(sim, p, ref, 10, 10, forced=False)
    w = parts.world(k, parts.mm(), 10)
    found = fair_scan._skip_reason(w, parts.mm(), record, parts.tasks()[0], 10, False)[0]
    assert (REASONS[int(found)] if found >= 0 else None) == reason
    asked = of_tasks if own == "default" else own
    shmem = kind in ("shmem", "file_rw", "file_ro", "text")
    nobody = shmem and own == "default" and name != "linux-7.2"
    unsuitable = nobody or asked in ("bind", "interleave")
    assert (reason == "unsuitable") == unsuitable


@pytest.mark.parametrize("name", ["linux-6.1", "linux-6.12", "linux-7.2"])
@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("of_tasks", ["default", "bind_balancing"])
def test_tasks_bound_to_all_nodes_with_numa_balancing(name, local, of_tasks):
    """A remote page follows; a local one's last_cpupid is exchanged unless by default."""
    sim, _ = simulator(get(name))
    cpu = CPUS_PER_NODE if local else 0
    p = thread(sim, cpu)
    p.mempolicy, p.numa_preferred_nid = of_tasks, -1
    ref, record = sides("anon", "default", of_tasks)
    page = Page(vma=ref, node=1, present=True)
    target = kernel_policy.mpol_misplaced(sim, p, page)
    task = parts.fill(parts.tasks()[0], pid=p.pid, cpu=cpu, node=cpu // CPUS_PER_NODE)
    w = parts.world(cpus_per_node=CPUS_PER_NODE)
    found = memory.mpol_misplaced(w, record, task, 1, -1)
    assert tuple(int(x) for x in found) == (target, page.last_cpupid)
    mine = kernel_fault.cpu_pid_to_cpupid(cpu, p.pid)
    kept = local and of_tasks == "default"
    assert (target, page.last_cpupid) == (-1 if local else 0, -1 if kept else mine)
