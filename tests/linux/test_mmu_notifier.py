"""What one notification does, on spans and cohorts."""

from __future__ import annotations

import numpy as np
import pytest

from numalab import population as pn
from numalab import schema
from numalab.linux import mmu_notifier as mn
from numalab.policy import NOTIFIERS
from numalab.vma import GUESTS, SUBSCRIBERS


class Log:
    def __init__(self) -> None:
        self.counts = np.zeros(1, schema.counts_type).view(np.recarray)


class Vma:
    owner = 0

    def __init__(self, subscriber: int) -> None:
        self.subscriber = subscriber


class Kernel:
    def __init__(self, flag: int) -> None:
        self.numa_range_flag = flag


def test_numbers_are_those_of_the_words() -> None:
    assert tuple(SUBSCRIBERS.index(s) for s in ("kvm", "sev", "gpu")) == (mn.KVM, mn.SEV, mn.GPU)
    assert NOTIFIERS == ("range", "late", "each-folio")
    assert (mn.BEFORE, mn.LATE, mn.EACH_FOLIO) == (0, 1, 2)
    guests = [s for i, s in enumerate(SUBSCRIBERS) if mn.is_guest.py_func(Vma(i))]
    assert tuple(guests) == GUESTS


@pytest.mark.parametrize(
    ("subscriber", "counts"),
    [
        ("none", [0, 0, 0, 0]),
        ("kvm", [70, 2, 0, 0]),
        ("sev", [70, 2, 3, 0]),
        ("gpu", [0, 0, 0, 3]),
    ],
)
def test_who_does_what(subscriber, counts) -> None:
    log = Log()
    mn.notified.py_func(log, Vma(SUBSCRIBERS.index(subscriber)), 3, 70, 2)
    count = log.counts[0]
    found = [count.zapped, count.remote_flushes, count.cache_flushes, count.evictions]
    assert found == counts


def _span():
    pop = pn.empty(4, [[]], [], 1, 2, 2)
    s = pn.new_span(pop, 0, 100, 0)
    pn.add(pop, s, 0, pn.NO_CPUPID, pn.MAPPED, 0, 40)
    pn.add(pop, s, 0, pn.NO_CPUPID, pn.MAPPED, 1, 30)
    pn.add(pop, s, 1, pn.NO_CPUPID, pn.MARKED, 0, 20)
    pn.add(pop, s, pn.ABSENT, pn.NO_CPUPID, 0, 0, 10)
    return pop, s


def _states(pop, s):
    found = {}
    c = pop.spans[s].cohort
    while c != pn.END:
        it = pop.cohorts[c]
        found[int(it.node), int(it.prot_none), int(it.pinned)] = int(it["count"])
        c = it.next
    return found


@pytest.mark.parametrize(("flag", "zapped"), [(0, 70), (1, 40)])
def test_a_zap_takes_all_that_is_mapped(flag, zapped) -> None:
    pop, s = _span()
    assert mn.zap_span.py_func(Kernel(flag), pop, s) == zapped
    kept = {(0, pn.MAPPED, 1): 30} if flag else {(0, pn.ZAPPED, 1): 30}
    assert _states(pop, s) == {
        (0, pn.ZAPPED, 0): 40,
        (1, pn.MARKED, 0): 20,
        (pn.ABSENT, 0, 0): 10,
        **kept,
    }
    assert mn.zap_span.py_func(Kernel(flag), pop, s) == 0
