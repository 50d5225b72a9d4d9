"""Whole runs with chance in them: the engine and the second opinion agree in distribution.

Drawn anew in each run: the tick's phase, the pages touched, who wins a scan, lifetimes, how
long a scan takes. Of ``RUNS`` runs a side, each counter is compared by a two-sample
Kolmogorov-Smirnov test. Error rate: if the sides agree, all tests of this file together fail
with probability at most ``FAMILY`` (Bonferroni; for counts KS errs on the safe side).

The engine does a tick's touches at once, so a counter may be off by a little: sides that agree
after a shift of ``SHIFT`` pass, and so do values that are all as close as that. The power is
measured here too, by machines, knobs and kernels that are wrong on purpose: touches that take
15 % longer, a scan period 15 % longer, half a scan, no PID filter, a cpupid that writes leave
alone are told apart in each case named.

Pages of the program are left out (``bare_setup``): docs/model.md says which are touched, and
kernel.md does not, so a second opinion of that would be a copy.
"""

import dataclasses
import functools

import numpy as np
import pytest
from scipy.stats import ks_2samp

from numalab import policy
from numalab.workload import with_speed
from tests.second_opinion.chance import CASES, SPEED, task, two, workload
from tests.second_opinion.engine_side import engine
from tests.second_opinion.reference import COUNTERS, bare_setup, engine_end_ns, simulate

pytestmark = pytest.mark.statistical
RUNS = 60
SHIFT = 0.01
FAMILY = 1e-4
RATED = ("rates", "rates and slow scans", "busy threads", "a thread that changes node")
REASONS = ("pid_inactive", "ignore_pid_inactive", "scan_delay", "seq_completed")


def counters(run):
    """What is compared of a run, by name."""
    found = {name: run[name] for name in COUNTERS}
    found["chunks"] = len(run["chunks"])
    found["passes"] = sum(run["numa_scan_seq"].values())
    found["pages scanned"] = sum(run["scan_pages"].values())
    found["pages on node 1"] = sum(n for (_, k), n in run["pages_on_node"].items() if k == 1)
    for reason in REASONS:
        found[reason] = sum(n for (_, why), n in run["skips"].items() if why == reason)
    for name in ("touches", "numa_scan_period", "total_numa_faults"):
        found.update({f"{name} of {t}": n for t, n in run[name].items()})
    return found


def samples(runs):
    """Counters of all runs: name to values."""
    rows = [counters(run) for run in runs]
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


def by_engine(w, name, seed=11):
    return samples(engine(w, policy.get(name), bare_setup(w), seed, RUNS))


@functools.cache
def by_second_opinion(case):
    name, w = CASES[case]
    tick_ns = 1_000_000_000 // w.machine.hz
    runs = []
    for seed in range(RUNS):
        phase = int(np.random.default_rng(seed).integers(1, tick_ns))
        runs.append(
            simulate(
                w,
                policy.get(name),
                phase_ns=phase,
                seed=seed,
                setup=bare_setup(w),
                until_ns=engine_end_ns(w, phase),
            )
        )
    return samples(runs)


def told_apart(one, other):
    """Counters in which two samples differ, with p, at this file's error rate."""
    level = FAMILY / (len(one) * (len(CASES) + 1))
    found = {}
    for name in one:
        both = np.concatenate((one[name], other[name]))
        if np.ptp(both) <= SHIFT * both.min():
            continue
        shifted = (other[name] * (1 + shift) for shift in (-SHIFT, 0, SHIFT))
        p = max(ks_2samp(one[name], values, method="asymp").pvalue for values in shifted)
        if p < level:
            found[name] = (float(one[name].mean()), float(other[name].mean()), float(p))
    return found


@pytest.mark.parametrize("case", CASES)
def test_both_agree_in_distribution(case):
    name, w = CASES[case]
    assert not told_apart(by_engine(w, name), by_second_opinion(case))


@pytest.mark.parametrize("case", [c for c in CASES if c not in RATED])
def test_touches_that_take_longer_are_noticed(case):
    """Power: 15 % fewer touches in the same time; a rated task does as many as before."""
    name, w = CASES[case]
    slow = dataclasses.replace(SPEED, touch_walk_ns=11_500, touch_rand_ns=11_500)
    assert told_apart(by_engine(with_speed(w, slow), name), by_second_opinion(case))


@pytest.mark.parametrize(
    ("case", "knob"),
    [
        ("shared pages", {"scan_period_min_ms": 69}),
        ("shared CPUs", {"scan_period_min_ms": 90}),
        ("huge folios", {"scan_period_min_ms": 69}),
        ("mappings that come and go", {"scan_size_mb": 1}),
        ("rates", {"scan_size_mb": 1}),
    ],
)
def test_another_period_or_size_is_noticed(case, knob):
    """Power: a shortest period 15 % longer; where little depends on it, half a scan's size.

    Where CPUs are shared most of a period is waiting for a turn: 50 % longer.
    """
    name, w = CASES[case]
    other = dataclasses.replace(w, tunables=dataclasses.replace(w.tunables, **knob))
    assert told_apart(by_engine(other, name), by_second_opinion(case))


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ("shared pages", "pid_filter"),
        ("mappings that come and go", "pid_filter"),
        ("shared pages", "resets_cpupid"),
        ("a reader and a writer", "resets_cpupid"),
    ],
)
def test_a_missing_rule_is_noticed(case, rule):
    """Power: in the other cases every task faults in every VMA, and none in another's pages."""
    name, w = CASES[case]
    rules = policy.with_rules(policy.get(name), "without", **{rule: False})
    found = samples(engine(w, rules, bare_setup(w), 11, RUNS))
    assert told_apart(found, by_second_opinion(case))


@pytest.mark.parametrize(
    ("case", "wrong"),
    [("busy threads", {"busy": False}), ("a thread that changes node", {"move": ()})],
)
def test_other_threads_are_noticed(case, wrong):
    """Power: threads that sleep between touches, or stay where they are."""
    name, w = CASES[case]
    tasks = tuple(dataclasses.replace(task, **wrong) for task in w.tasks)
    assert told_apart(by_engine(dataclasses.replace(w, tasks=tasks), name), by_second_opinion(case))


def test_another_policy_of_tasks_is_noticed():
    """Power: the same threads under the default policy."""
    case = "a balanced policy of tasks"
    name, w = CASES[case]
    assert told_apart(
        by_engine(dataclasses.replace(w, processes=()), name), by_second_opinion(case)
    )


def test_a_missing_pin_is_noticed():
    """Power: the same mappings, filled on the other node and not pinned."""
    case = "mappings pinned elsewhere"
    name, w = CASES[case]
    churns = tuple(dataclasses.replace(c, pinned_fraction=0.0) for c in w.churns)
    assert told_apart(
        by_engine(dataclasses.replace(w, churns=churns), name), by_second_opinion(case)
    )


UNFAIR = workload(
    "unfair", two(thp_b=True, mb=4), *(task(i, "ab"[i // 2], i % 2) for i in range(4))
)


def test_either_of_two_tasks_takes_the_fault_on_a_huge_folio():
    """t2 on CPU 0 and t3 on CPU 1 touch the same huge folios equally often."""
    runs = engine(UNFAIR, policy.get("linux-6.1"), bare_setup(UNFAIR), 11, RUNS)
    second, third = (sum(r["total_numa_faults"][t] > 0 for r in runs) for t in ("t2", "t3"))
    assert second > 0
    assert third > 0
