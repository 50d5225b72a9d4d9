"""Pages that wait in a CPU's LRU batch: off every list until the batch is full or drained."""

import pytest

from numalab import policy
from numalab.linux.mempolicy import may_mark
from numalab.linux.swap import batched, folio_add_lru, in_lru_batch, lru_add_drain
from numalab.model.faults import touch_cohort
from numalab.population import END, cohort_type, empty
from numalab.records import records
from tests.linux.parts import fill, kernel, mm, vma, world
from tests.linux.test_memory import Fault


def population(cpus=2):
    return empty(1, [[]], [], 1, 1, cpus)


@pytest.mark.parametrize(("name", "size"), [("linux-6.1", 15), ("linux-6.12", 31)])
def test_a_page_leaves_the_batch_when_it_is_full(name, size):
    k, pop = kernel(name), population()
    mark = batched(k, pop, 1)
    folio_add_lru(k, pop, 1, 1, False)
    for _ in range(size - 1):
        assert in_lru_batch(k, pop, mark)
        folio_add_lru(k, pop, 0, 1, False)  # another CPU's batch
        assert in_lru_batch(k, pop, mark)
        folio_add_lru(k, pop, 1, 1, False)
    assert not in_lru_batch(k, pop, mark)


def test_draining_or_a_large_folio_empties_the_batch():
    k = kernel()
    for empties in (
        lambda pop: lru_add_drain(k, pop, 0),
        lambda pop: folio_add_lru(k, pop, 0, 1, True),
    ):
        pop = population()
        marks = batched(k, pop, 0), batched(k, pop, 1)
        empties(pop)
        assert [bool(in_lru_batch(k, pop, m)) for m in marks] == [False, True]
        assert in_lru_batch(k, pop, batched(k, pop, 0))


def test_neither_plain_nor_pinned_pages_wait():
    k, pop = kernel(), population()
    assert not in_lru_batch(k, pop, 0)
    assert not in_lru_batch(k, pop, 1)


@pytest.mark.parametrize("name", policy.NAMES)
def test_up_to_6_7_the_batch_s_reference_keeps_a_private_page_from_being_marked(name):
    """kernel.md 2.2: page_count() != 1 in COW mappings, folio_likely_mapped_shared() later."""
    w = world(kernel(name))
    waiting, out = records(cohort_type, 2)
    fill(waiting, pinned=batched(w.k[0], w.pop, 0))
    marked = may_mark(w, mm(), vma(), waiting, 1, 1)
    assert marked == (name in ("linux-6.12", "linux-7.2", "linux-next"))
    assert may_mark(w, mm(), vma(), out, 1, 1)
    assert may_mark(w, mm(), vma(vm_flags=0), waiting, 1, 1), "only private maps"


def test_a_page_in_a_batch_fails_to_migrate_and_only_the_task_notices():
    """kernel.md 1.9, step 6: isolation fails, MIGRATE_FAIL, nothing in pgmigrate_fail."""
    f = Fault()
    k = f.w.k[0]
    mark = batched(k, f.w.pop, 0)
    assert f.take(3, pinned=mark)[1] == 0
    assert f.counters == {"numa_hint_faults": 3}
    assert f.w.tasks[1].locality_failed == 3
    lru_add_drain(k, f.w.pop, 0)
    assert f.take(3, pinned=mark)[1] == 1
    assert f.w.tasks[1].locality_failed == 3


def test_up_to_6_6_a_migrated_page_takes_the_batch_of_its_cpu_along():
    """c3096e6782b7 drains after every migration; eebb3dabbb5c in 6.7 only for mlocked pages."""
    for name in policy.NAMES:
        f = Fault(name=name)
        k, pop = f.w.k[0], f.w.pop
        cpu = int(f.w.tasks[1].cpu)
        pop.lru_added[cpu] = 0
        waiting = batched(k, pop, cpu)
        assert f.take(1)[1] == 1, "it migrates"
        drained = name not in ("linux-6.7", "linux-6.12", "linux-7.2", "linux-next")
        assert in_lru_batch(k, pop, waiting) == (not drained)


@pytest.mark.parametrize(("name", "waits"), [("linux-6.1", False), ("linux-6.12", True)])
@pytest.mark.parametrize("added", [0, 30])
def test_a_page_of_the_program_that_migrated_waits_if_nothing_drains(name, waits, added):
    """The 31st page of a batch goes to its list with the others."""
    f = Fault(name=name)
    w = f.w
    p = w.tasks[1]
    w.pop.lru_added[p.cpu] = added
    w.pop.segments[0].tracked = 1
    span = w.pop.segments[0].span
    touch_cohort(w, 1, span, w.pop.spans[span].cohort, 1)
    marks = []
    c = w.pop.spans[span].cohort
    while c != END:
        if w.pop.cohorts[c].node == 1:
            marks.append(int(w.pop.cohorts[c].pinned))
        c = w.pop.cohorts[c].next
    assert len(marks) == 1, "one page went to node 1"
    assert in_lru_batch(w.k[0], w.pop, marks[0]) == (waits and added < 30)
