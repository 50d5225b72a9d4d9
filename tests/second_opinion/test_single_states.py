"""Single states in which the engine once departed from the facts."""

from collections import Counter

import pytest

from numalab.linux import fair_period, memory, structs
from numalab.model.inputs import mapping_flags
from numalab.policy import get
from numalab.workload import Vma
from tests.linux import parts
from tests.second_opinion import kernel_fault, kernel_policy
from tests.second_opinion.objects import Mapped, Page
from tests.second_opinion.states import CPUS_PER_NODE, NODES, simulator, thread


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
