"""Workloads drawn at random are the same for ever, and differ from each other."""

from collections import Counter

import pytest

from numalab import workload_file
from numalab.catalog.drawn import KINDS, LARGEST_MB, PATTERNS, PINNED, drawn

MANY = [drawn(number) for number in range(200)]


def test_a_number_is_one_workload():
    assert [drawn(number) for number in range(200)] == MANY
    assert len({w.identity() for w in MANY}) == 200
    first = "c1c95a3e"
    assert drawn(1).identity().startswith(first)


def test_each_can_be_written_as_a_file():
    assert all(workload_file.parse(workload_file.text(w)) == w for w in MANY)


def test_everything_that_can_be_drawn_is_drawn():
    vmas = [v for w in MANY for v in w.vmas]
    tasks = [t for w in MANY for t in w.tasks if not t.waits]
    accesses = [a for t in tasks for a in t.access]
    assert {v.kind for v in vmas} == {*KINDS}
    assert {v.pinned_fraction for v in vmas} == {*PINNED}
    assert {a.pattern for a in accesses} == {*PATTERNS}
    assert {t.busy for t in tasks} == {a.write for a in accesses} == {True, False}
    assert {bool(t.move) for t in tasks} == {a.pages_per_s > 0 for a in accesses} == {True, False}
    assert 8 <= min(v.size_mb for v in vmas) < 12
    assert 150 < max(v.size_mb for v in vmas) <= LARGEST_MB
    assert Counter(len(w.vmas) for w in MANY).keys() == {1, 2, 3, 4}
    assert 0.2 < sum(len(w.churns) for w in MANY) / 200 < 0.45


def test_the_foreign_program_has_no_churns_and_else_the_same():
    for number, w in enumerate(MANY):
        plain = drawn(number, churns=False)
        assert (plain.vmas, plain.tasks, plain.churns) == (w.vmas, w.tasks, ())


@pytest.mark.parametrize("w", MANY[:20], ids=lambda w: w.name)
def test_its_main_thread_waits_and_its_stacks_are_glibcs(w):
    assert w.tasks[0].waits
    assert w.processes[0].stack_kb == 8192
