"""Small records for the mirrored functions: a kernel, an mm, tasks, a VMA, groups."""

import copy
import functools

import numpy as np

from numalab import policy
from numalab.linux import structs as st
from numalab.machine import Machine
from numalab.model.default_start import default_setup
from numalab.model.initial import Drawn, lay_out
from numalab.model.inputs import kernel_record
from numalab.records import records
from numalab.tunables import Tunables
from numalab.workload import Task, Workload


def kernel(name="linux-6.12", hz=250, rules=None, **tunables):
    """The ``sched_numa`` record of a kernel, with rules and knobs changed by hand."""
    w = Workload(
        name="k", machine=Machine(hz=hz), tunables=Tunables(**tunables), tasks=(Task(name="t"),)
    )
    k = kernel_record(w, policy.get(name))[0]
    return fill(k, **(rules or {}))


def fill(record, **values):
    for name, value in values.items():
        record[name] = value
    return record


def mm(**values):
    base = {"mm_users": 2, "nr_threads": 2, "mmap": st.NONE}
    return fill(records(st.mm_struct, 1)[0], **{**base, **values})


def vma(**values):
    base = {"vm_flags": st.VM_PRIVATE, "vm_start": 1 << 20, "vm_end": (1 << 20) + 512}
    return fill(records(st.vm_area_struct, 1)[0], **{**base, **values})


def tasks(count=1, **values):
    """Tasks with pids 100, 101, ..., task ``i`` on CPU and node ``i % 2``."""
    found = records(st.task_struct, count)
    for i in range(count):
        base = {
            "pid": 100 + i,
            "cpu": i % 2,
            "node": i % 2,
            "numa_scan_period": 1000,
            "numa_scan_period_max": 60000,
            "numa_preferred_nid": st.NUMA_NO_NODE,
            "numa_group": st.NONE,
        }
        fill(found[i], **{**base, **values})
    return found


def no_groups(count=1, nodes=2):
    return records(st.numa_group, count), np.zeros((count, 2, nodes, 2), np.int64)


def no_faults(count=1, nodes=2):
    return np.zeros((count, 4, nodes, 2), np.int64)


@functools.cache
def _bare():
    w, rules = Workload(name="bare", tasks=(Task(name="t"),)), policy.get("linux-6.12")
    setup = default_setup(w)
    drawn = Drawn.before(w, rules, setup, np.random.default_rng(0))
    return lay_out(w, rules, setup, 64, drawn, events=4)


def world(k=None, address_space=None, now=0, now_ns=0, **fields):
    """A world of these records, which it shares: what a test does not give is there, but bare."""
    given = {
        "k": kernel() if k is None else k,
        "mms": mm() if address_space is None else address_space,
    }
    w = copy.deepcopy(_bare())
    w = w._replace(**{name: found.base for name, found in given.items()}, **fields)
    clock = records(w.clock.dtype, 1)
    fill(clock[0], jiffies=now, now_ns=now_ns)
    return w._replace(clock=clock)
