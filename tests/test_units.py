"""Jiffies, ticks, pages."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numalab import units
from numalab.units import align_up, msecs_to_jiffies, tick_nsec

HZ = st.sampled_from([100, 250, 300, 1000])


@pytest.mark.parametrize(
    ("ms", "at_100", "at_250", "at_1000"),
    [
        (0, 0, 0, 0),
        (1, 1, 1, 1),
        (4, 1, 1, 4),
        (5, 1, 2, 5),
        (100, 10, 25, 100),
        (117, 12, 30, 117),
        (1000, 100, 250, 1000),
        (60000, 6000, 15000, 60000),
    ],
)
def test_milliseconds_become_jiffies_rounded_up(ms, at_100, at_250, at_1000):
    assert msecs_to_jiffies(ms, 100) == at_100
    assert msecs_to_jiffies(ms, 250) == at_250
    assert msecs_to_jiffies(ms, 1000) == at_1000


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 10**9), HZ)
def test_jiffies_are_the_fewest_that_last_long_enough(ms, hz):
    jiffies = msecs_to_jiffies(ms, hz)
    assert jiffies * 1000 >= ms * hz
    assert (jiffies - 1) * 1000 < ms * hz


def test_length_of_a_tick_is_rounded_to_the_nearest_ns():
    assert [tick_nsec(hz) for hz in (100, 250, 300, 1000)] == [
        10_000_000, 4_000_000, 3_333_333, 1_000_000,
    ]  # fmt: skip


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 1 << 50), st.sampled_from([1, 2, 512, 1 << 18]))
def test_alignment_goes_up_by_less_than_a_step(value, step):
    found = align_up(value, step)
    assert found % step == 0
    assert value <= found < value + step


def test_sizes_agree():
    assert units.PAGE_BYTES == 4096
    assert units.PAGES_PER_MB * units.PAGE_BYTES == 1 << 20
    assert units.HPAGE_PMD_NR * units.PAGE_BYTES == 2 << 20
    assert units.PUD_PAGES * units.PAGE_BYTES == 1 << 30


def test_the_examples_in_the_docstrings_are_right():
    found = doctest.testmod(units)
    for function in (msecs_to_jiffies, tick_nsec, align_up):
        examples = doctest.DocTestFinder().find(
            function.py_func, function.__name__, globs=vars(units)
        )
        for example in examples:
            assert doctest.DocTestRunner().run(example).failed == 0
            assert example.examples
    assert found.failed == 0
