"""Spans and cohorts: splitting, joining and drawing keep every page, exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from numalab import population as pn
from numalab.draws import (
    draw_below,
    draw_binomial,
    draw_hypergeometric,
    draw_lognormal,
    draw_unit,
)


class Pool:
    """One segment ``[start, start + folios * unit)`` with the given cohorts in one span."""

    def __init__(self, cohorts, unit=1, start=1 << 20, spans=64):
        self.unit, self.start = unit, start
        self.folios = sum(n for *_, n in cohorts)
        self.pop = pn.empty(spans, [[0, 1]], [0, 1], 2, 2, 2)
        self.seg = self.pop.segments[0]
        self.seg.lo, self.seg.hi = start, start + self.folios * unit
        self.seg.unit = unit
        self.seg.span = pn.new_span(self.pop, self.seg.lo, self.seg.hi, 0)
        for node, last, prot_none, pinned, n in cohorts:
            pn.add(self.pop, self.seg.span, node, last, prot_none, pinned, n)

    def spans(self):
        found = []
        s = self.seg.span
        while s != pn.END:
            found.append(int(s))
            assert self.pop.spans[s].prev == (found[-2] if len(found) > 1 else pn.END)
            s = self.pop.spans[s].next
        return found

    def holds(self, s):
        found = {}
        c = self.pop.spans[s].cohort
        while c != pn.END:
            it = self.pop.cohorts[c]
            key = (int(it.node), int(it.last_cpupid), int(it.prot_none), int(it.pinned))
            assert key not in found, "two cohorts of one kind in a span"
            found[key] = int(it["count"])
            assert found[key] > 0
            c = it.next
        return found

    def check(self, expected):
        """Spans tile the segment, counts add up, every slot is in use once or free once."""
        at, total, cohorts = self.seg.lo, {}, 0
        spans = self.spans()
        for s in spans:
            span = self.pop.spans[s]
            assert span.lo == at
            assert span.hi > span.lo
            at = span.hi
            held = self.holds(s)
            cohorts += len(held)
            assert sum(held.values()) * self.unit == span.hi - span.lo
            for key, n in held.items():
                total[key] = total.get(key, 0) + n
        assert at == self.seg.hi
        assert total == expected
        pop = self.pop
        assert pop.free[0].spans == len(pop.spans) - len(spans)
        assert pop.free[0].cohorts == len(pop.cohorts) - cohorts
        free_spans = set(pop.free_spans[: pop.free[0].spans].tolist())
        assert len(free_spans) == pop.free[0].spans
        assert free_spans.isdisjoint(spans)
        free_cohorts = pop.free_cohorts[: pop.free[0].cohorts].tolist()
        assert len(set(free_cohorts)) == len(free_cohorts)


def total(cohorts):
    found = {}
    for *key, n in cohorts:
        found[tuple(key)] = found.get(tuple(key), 0) + n
    return {k: n for k, n in found.items() if n}


COHORTS = st.lists(
    st.tuples(
        st.integers(-1, 1), st.sampled_from([-1, 5, 6]), st.integers(0, 1), st.integers(0, 1),
        st.integers(1, 40),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(COHORTS, st.sampled_from([1, 512]), st.lists(st.floats(0, 1), max_size=8), st.integers(0, 9))
def test_cutting_and_joining_in_any_order_keeps_every_page(cohorts, unit, cuts, seed):
    rng = np.random.default_rng(seed)
    pool = Pool(cohorts, unit)
    expected = total(cohorts)
    pool.check(expected)
    for cut in cuts:
        at = pool.start + int(cut * pool.folios) * unit
        for s in pool.spans():
            span = pool.pop.spans[s]
            if span.lo < at < span.hi:
                right = pn.split(pool.pop, s, at, rng)
                assert pool.pop.spans[right].lo == at
                assert pool.pop.spans[s].hi == at
                break
        pool.check(expected)
    s = pool.seg.span
    while s != pn.END:
        s = pn.join_left(pool.pop, s)
        s = pool.pop.spans[s].next
    pool.check(expected)
    if len(expected) == 1:
        assert len(pool.spans()) == 1


def test_a_span_of_one_kind_splits_exactly():
    pool = Pool([(0, -1, 1, 0, 100)])
    right = pn.split(pool.pop, pool.seg.span, pool.start + 37, np.random.default_rng(0))
    assert pool.holds(pool.seg.span) == {(0, -1, 1, 0): 37}
    assert pool.holds(right) == {(0, -1, 1, 0): 63}


def test_spans_of_other_or_mixed_kinds_stay_apart():
    rng = np.random.default_rng(0)
    pool = Pool([(0, -1, 0, 0, 10)])
    right = pn.split(pool.pop, pool.seg.span, pool.start + 5, rng)
    pool.pop.cohorts[pool.pop.spans[right].cohort].last_cpupid = 9
    assert pn.join_left(pool.pop, right) == right
    assert pn.join_left(pool.pop, pool.seg.span) == pool.seg.span
    mixed = Pool([(0, -1, 0, 0, 10), (1, -1, 0, 0, 10)])
    right = pn.split(mixed.pop, mixed.seg.span, mixed.start + 10, rng)
    assert pn.join_left(mixed.pop, right) == right


def test_add_merges_and_take_frees():
    pool = Pool([(0, -1, 0, 0, 10)])
    pop, s = pool.pop, pool.seg.span
    pn.add(pop, s, 0, -1, 0, 0, 5)
    pn.add(pop, s, 1, -1, 0, 0, 0)
    assert pool.holds(s) == {(0, -1, 0, 0): 15}
    pn.add(pop, s, 1, -1, 0, 0, 2)
    pn.add(pop, s, 1, 7, 0, 0, 2)
    free = int(pop.free[0].cohorts)
    middle = pop.cohorts[pop.spans[s].cohort].next
    pn.take(pop, s, middle, 2)
    assert pool.holds(s) == {(0, -1, 0, 0): 15, (1, 7, 0, 0): 2}
    assert pop.free[0].cohorts == free + 1
    pn.take(pop, s, pop.spans[s].cohort, 1)
    assert pool.holds(s) == {(0, -1, 0, 0): 15, (1, 7, 0, 0): 1}
    pn.take(pop, s, pop.spans[s].cohort, 1)
    assert pool.holds(s) == {(0, -1, 0, 0): 15}


def test_an_empty_pool_says_so():
    pop = pn.empty(0, [[]], [], 1, 1, 1)
    pn.new_span(pop, 0, 10, 0)
    with pytest.raises(MemoryError, match="span pool"):
        pn.new_span(pop, 10, 20, 0)
    pn.add(pop, 0, 0, 1, 0, 0, 1)
    pn.add(pop, 0, 0, 2, 0, 0, 1)
    with pytest.raises(MemoryError, match="cohort pool"):
        pn.add(pop, 0, 0, 3, 0, 0, 1)


def test_what_waits_is_counted_for_the_segment_its_accesses_and_tasks():
    pool = Pool([(0, -1, 1, 0, 10), (-1, -1, 0, 0, 4)])
    pn.note(pool.pop, 0, 10, 4)
    assert (int(pool.seg.marked), int(pool.seg.absent)) == (10, 4)
    assert pool.pop.access_marked.tolist() == [10, 10]
    assert pool.pop.access_absent.tolist() == [4, 4]
    assert pool.pop.task_waiting.tolist() == [14, 14]
    assert pool.pop.free[0].waiting == 28
    pn.note(pool.pop, 0, -10, -4)
    assert pool.pop.free[0].waiting == 0
    assert not pool.pop.task_waiting.any()


def test_unmapping_gives_everything_back():
    pool = Pool([(0, -1, 1, 0, 10), (1, 3, 0, 0, 6), (-1, -1, 0, 0, 4)], unit=512)
    pn.note(pool.pop, 0, 10, 4)
    pn.split(pool.pop, pool.seg.span, pool.start + 7 * 512, np.random.default_rng(0))
    assert pn.clear_segment(pool.pop, 0) == 16
    assert pool.pop.node_free.tolist() == [10 * 512, 6 * 512]
    assert pool.pop.free.tolist() == [(65, 130, 0)]
    assert sorted(pool.pop.free_spans.tolist()) == list(range(65))
    assert sorted(pool.pop.free_cohorts.tolist()) == list(range(130))
    assert pool.seg.span == pn.END


CASES = [(5, 5, 4), (1, 9, 5), (30, 70, 20), (500, 12, 300), (3, 4000, 2000), (50_000, 50_000, 700)]


@pytest.mark.parametrize(
    ("good", "bad", "sample", "expected"),
    [(0, 5, 3, 0), (5, 5, 0, 0), (5, 0, 3, 3), (5, 7, 12, 5), (0, 0, 0, 0)],
)
def test_a_draw_without_choice_is_exact(good, bad, sample, expected):
    assert draw_hypergeometric(np.random.default_rng(0), good, bad, sample) == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.floats(0, 1), st.integers(0, 99))
def test_a_draw_stays_in_its_support(good, bad, share, seed):
    sample = int(share * (good + bad))
    found = draw_hypergeometric(np.random.default_rng(seed), good, bad, sample)
    assert max(0, sample - bad) <= found <= min(good, sample)


@pytest.mark.parametrize(
    "tib",
    [
        1,
        16,
        128,
    ],
)
def test_a_draw_from_many_tib_is_near_its_mean(tib):
    rng = np.random.default_rng(1)
    pages = tib << 28
    good, sample = pages // 3, pages // 7
    mean = good * sample / pages
    sd = np.sqrt(mean * (1 - good / pages) * (pages - sample) / (pages - 1))
    found = np.array([draw_hypergeometric(rng, good, pages - good, sample) for _ in range(50)])
    assert abs(found.mean() - mean) < 5 * sd / np.sqrt(50)
    assert 0.6 < found.std() / sd < 1.5


def fits(found, law, draws):
    """p value of a chi-square test, cells of expected count under 5 put together."""
    low, high = int(min(found.min(), law.ppf(1e-6))), int(max(found.max(), law.ppf(1 - 1e-6)))
    values = np.arange(low, high + 1)
    expected = law.pmf(values) * draws
    counts = np.array([(found == v).sum() for v in values])
    cells, seen, a, b = [], [], 0.0, 0
    for e, c in zip(expected, counts, strict=True):
        a, b = a + e, b + c
        if a >= 5:
            cells.append(a)
            seen.append(b)
            a, b = 0.0, 0
    cells[-1] += a
    seen[-1] += b
    cells = np.array(cells) * sum(seen) / sum(cells)
    return stats.chisquare(seen, cells).pvalue


@pytest.mark.parametrize(("good", "bad", "sample"), CASES)
def test_draws_follow_the_hypergeometric_law(good, bad, sample):
    rng = np.random.default_rng(12345)
    draws = 4000
    found = np.array([draw_hypergeometric(rng, good, bad, sample) for _ in range(draws)])
    assert fits(found, stats.hypergeom(good + bad, good, sample), draws) > 1e-4


@pytest.mark.statistical
def test_a_split_leaves_what_a_draw_without_replacement_would():
    """Three kinds in one span: each part of each kind has the hypergeometric law."""
    cohorts = [(0, -1, 1, 0, 30), (1, -1, 0, 0, 50), (0, 5, 0, 1, 20)]
    rng = np.random.default_rng(7)
    left = {key[:4]: [] for key in cohorts}
    draws = 2000
    for _ in range(draws):
        pool = Pool(cohorts)
        pn.split(pool.pop, pool.seg.span, pool.start + 40, rng)
        held = pool.holds(pool.seg.span)
        for key in left:
            left[key].append(held.get(key, 0))
    for *key, n in cohorts:
        found = np.array(left[tuple(key)])
        assert fits(found, stats.hypergeom(100, n, 40), draws) > 1e-4
    pair = np.corrcoef(left[(0, -1, 1, 0)], left[(1, -1, 0, 0)])[0, 1]
    assert pair == pytest.approx(-np.sqrt(30 * 50 / (70 * 50)), abs=0.08)


def test_the_other_draws_have_their_laws():
    rng = np.random.default_rng(3)
    n = 4000
    below = np.array([draw_below(rng, 5) for _ in range(n)])
    assert set(below) == set(range(5))
    assert stats.chisquare(np.bincount(below)).pvalue > 1e-4
    unit = np.array([draw_unit(rng) for _ in range(n)])
    assert stats.kstest(unit, "uniform").pvalue > 1e-4
    factor = np.array([draw_lognormal(rng, 0.4) for _ in range(n)])
    assert stats.kstest(np.log(factor) / 0.4, "norm").pvalue > 1e-4
    for trials, p in ((7, 0.3), (1000, 0.002), (1 << 30, 0.5)):
        found = np.array([draw_binomial(rng, trials, p) for _ in range(n)])
        law = stats.binom(trials, p)
        assert abs(found.mean() - law.mean()) < 5 * law.std() / np.sqrt(n)
        assert found.std() == pytest.approx(law.std(), rel=0.1)
