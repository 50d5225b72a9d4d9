"""The table of lifetimes covers the run, and drawing on disturbs no other draw."""

import numpy as np
import pytest

from numalab.machine import Machine
from numalab.model.lifespans import draw, table
from numalab.workload import Churn, Workload

HEAVY = {"lifetime": "lognormal", "lifetime_shape": 4.0, "lifetime_ms": 15_000.0}
PLAIN = {"lifetime": "exponential", "lifetime_ms": 15_000.0}


def _workload(*churns, duration_ms=60_000.0):
    return Workload(
        name="w",
        duration_ms=duration_ms,
        machine=Machine(nodes=1, cpus_per_node=1),
        churns=tuple(Churn(name=f"c{i}", size_mb=4, **one) for i, one in enumerate(churns)),
    )


def _first_rows(workload, seed):
    """The rows as drawn at first, and the stream after them."""
    rng = np.random.default_rng(seed)
    rows = []
    for churn in workload.churns:
        expected = workload.duration_ms / (churn.lifetime_ms + churn.gap_ms)
        rows.append(draw(churn, int(4 * expected + 64), rng))
    return rows, rng


@pytest.mark.parametrize("gap_ms", [0.0, 100.0])
def test_every_row_covers_the_run(gap_ms):
    w = _workload({**HEAVY, "gap_ms": gap_ms})
    for seed in range(100):
        (row,) = table(w, np.random.default_rng(seed))
        assert row.sum() / 1e6 + len(row) * gap_ms >= w.duration_ms


def test_drawing_on_changes_no_other_draw():
    w = _workload(HEAVY, PLAIN, HEAVY)
    longer = 0
    for seed in range(40):
        rows, after = _first_rows(w, seed)
        rng = np.random.default_rng(seed)
        found = table(w, rng)
        assert rng.random() == after.random()
        longer += found.shape[1] > max(map(len, rows))
        for row, then in zip(found, rows, strict=True):
            assert (row[: len(then)] == (then * 1e6).astype(np.int64)).all()
    assert 0 < longer < 40


def test_what_is_drawn_on_differs_from_row_to_row_and_repeats_with_the_seed():
    w = _workload(HEAVY, HEAVY)
    both = [table(w, np.random.default_rng(seed)) for seed in range(40)]
    short = [t for t in both if t.shape[1] > 80]
    assert short
    assert all((t[0, 80:] != t[1, 80:]).any() for t in short)
    again = [table(w, np.random.default_rng(seed)) for seed in range(40)]
    assert all((a == b).all() for a, b in zip(both, again, strict=True))


def test_a_run_of_over_100_000_lives_repeats_them():
    w = _workload({"lifetime_ms": 1.0, "lifetime": "lognormal", "lifetime_shape": 4.0},
                  duration_ms=200_000.0)  # fmt: skip
    assert table(w, np.random.default_rng(1)).shape == (1, 100_000)
