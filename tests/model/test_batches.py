"""Pages that tasks share, and that wait in the LRU batch of the CPU that migrated them."""

import pytest

from numalab import policy
from numalab.linux.swap import in_lru_batch, lru_add_drain
from numalab.model.batches import waiting
from numalab.model.faults import touch_cohort
from numalab.population import END, MARKED, NO_CPUPID
from tests.linux.test_memory import Fault

WAITING = ("linux-6.7", "linux-6.12", "linux-7.2", "linux-next")


def shared(name, added=0):
    """A fault of a task on node 1 in memory of node 0 that another task touches as well."""
    f = Fault(name=name)
    w = f.w
    w.pop.lru_added[w.tasks[1].cpu] = added
    w.pop.segments[0].nr_accesses = 2
    w.accesses[w.pop.access_of[0]].shared = 1
    return w


def migrate(w, count):
    """Have the task migrate as many pages; return how many of a mark are on node 1, by mark."""
    pop = w.pop
    s = pop.segments[0].span
    c = pop.spans[s].cohort
    while pop.cohorts[c].prot_none != MARKED or pop.cohorts[c].node != 0:
        c = pop.cohorts[c].next
    touch_cohort(w, 1, s, c, count)
    return marks_on(w, 1)


def marks_on(w, node):
    found = {}
    c = w.pop.spans[w.pop.segments[0].span].cohort
    while c != END:
        it = w.pop.cohorts[c]
        if it.node == node:
            found[int(it.pinned)] = found.get(int(it.pinned), 0) + int(it.count)
        c = it.next
    return found


@pytest.mark.parametrize("name", policy.NAMES)
def test_the_last_pages_of_a_batch_wait_from_6_7_on(name):
    w = shared(name)
    found = migrate(w, 40)
    assert sum(found.values()) == 40
    k = w.k[0]
    waits = sum(n for mark, n in found.items() if in_lru_batch(k, w.pop, mark))
    assert waits == (40 % k.lru_batch if name in WAITING else 0)


def test_pages_that_have_left_their_batch_lose_their_mark():
    w = shared("linux-6.12")
    first = migrate(w, 10)
    assert sorted(first.values()) == [10]
    second = migrate(w, 31)
    assert second[0] == 31, "31 of 41 went to their list together"
    assert sum(n for mark, n in second.items() if mark) == 10


def test_a_drained_batch_keeps_no_page():
    w = shared("linux-6.12")
    migrate(w, 10)
    cpu = int(w.tasks[1].cpu)
    lru_add_drain(w.k[0], w.pop, cpu)
    assert waiting(w, cpu, 0, 0)[0] == 0
    assert marks_on(w, 1) == {0: 10}


def test_of_memory_of_one_task_no_page_is_told_apart():
    w = shared("linux-6.12")
    w.pop.segments[0].nr_accesses = 1
    assert migrate(w, 40) == {0: 40}


@pytest.mark.parametrize(("name", "fails"), [("linux-6.4", False), ("linux-7.2", True)])
def test_another_task_that_finds_them_misplaced_fails(name, fails):
    """Which is all that doubles its period; nothing is counted in pgmigrate_fail."""
    w = shared(name)
    migrate(w, 10)
    pop = w.pop
    s = pop.segments[0].span
    c = pop.spans[s].cohort
    while pop.cohorts[c].node != 1:
        c = pop.cohorts[c].next
    pop.cohorts[c].prot_none, pop.cohorts[c].last_cpupid = MARKED, NO_CPUPID
    assert w.tasks[0].node == 0
    touch_cohort(w, 0, s, c, 10)
    assert w.tasks[0].locality_failed == (10 if fails else 0)
    assert w.stat[0].pgmigrate_fail == 0
    assert sum(marks_on(w, 1).values()) == (10 if fails else 0)
