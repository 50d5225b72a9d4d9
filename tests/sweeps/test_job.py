"""What a point is known by, and what its numbers come from."""

import dataclasses
import sys
from pathlib import Path

import pytest

from numalab import workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import Start
from numalab.fields import declared
from numalab.policy import get
from numalab.sweeps import job
from numalab.sweeps.job import Job, key_of, run, sources
from numalab.totals import NAMES, run_totals

ROOT = Path(job.__file__).parents[1]
WORKLOAD = lifetimes(scan_delay_ms=100, vma_lifetime_ms=50, pin_fraction=0.5, duration_ms=500)


def test_the_model_is_every_module_that_a_run_can_reach():
    found = {path.relative_to(ROOT).as_posix() for path in sources()}
    assert {"engine.py", "jit.py", "sweeps/totals.py"} <= found
    for name in ("world", "image", "plan", "build", "loop", "lifetimes"):
        assert f"model/{name}.py" in found
    mirrored = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("linux/[a-z]*.py")}
    assert len(mirrored) > 8
    assert mirrored <= found
    assert "cli.py" not in found
    assert not [path for path in found if path.startswith(("report/", "record/", "stats/"))]
    assert not found & {"sweeps/sweep.py", "sweeps/store.py"}


def test_what_the_imports_say_is_what_is_loaded():
    """No module of the package is imported behind the back of the search."""
    import subprocess

    line = "import numalab.totals, sys; print(*[m for m in sys.modules if 'numalab' in m])"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    found = {".".join(("numalab", *p.relative_to(ROOT).with_suffix("").parts)) for p in sources()}
    assert set(done.stdout.split()) - found == {
        *("numalab", "numalab.linux", "numalab.model", "numalab.sweeps")
    }


def test_a_key_changes_with_everything_that_changes_numbers():
    policy = get("linux-7.2")
    keys = {
        key_of(WORKLOAD, policy, 1),
        key_of(WORKLOAD, policy, 2),
        key_of(WORKLOAD, get("linux-6.1"), 1),
        key_of(WORKLOAD, dataclasses.replace(policy, pid_filter=False), 1),
        key_of(dataclasses.replace(WORKLOAD, duration_ms=600), policy, 1),
    }
    assert len(keys) == 5
    assert all(len(key) == 32 for key in keys)
    assert key_of(WORKLOAD, dataclasses.replace(policy, name="same-rules"), 1) in keys


def test_what_no_number_follows_from_changes_no_key():
    policy = get("linux-7.2")
    key = key_of(WORKLOAD, policy, 1)
    other = dataclasses.replace(WORKLOAD, name="other", about="a typo less")
    assert key_of(other, policy, 1) == key
    assert other.identity() != WORKLOAD.identity()
    whole, also = (
        run(Job(number=0, workload=w, policy=policy, seed=1, first=0, count=2)).totals
        for w in (WORKLOAD, other)
    )
    assert (whole == also).all()


def _as(kind, value):
    """A workload whose whole numbers in fields of numbers are all written one way."""
    if isinstance(value, tuple):
        return tuple(_as(kind, one) for one in value)
    if not dataclasses.is_dataclass(value):
        return value
    changed = {}
    for name, (hint, _) in declared(type(value)).items():
        one = _as(kind, getattr(value, name))
        whole = hint is float and one == int(one)
        changed[name] = kind(one) if whole else one
    return dataclasses.replace(value, **changed)


@pytest.mark.parametrize("name", ["churn-long", "thp", "guest-half-thp-memfd"])
def test_a_number_is_one_number_however_it_is_written(name):
    w = workload_file.load(f"data/workloads/{name}.toml")
    w = dataclasses.replace(w, duration_ms=1500, sample_ms=500)
    ints, floats = _as(int, w), _as(float, w)
    assert (type(ints.duration_ms), type(floats.duration_ms)) == (int, float)
    assert ints.identity() != floats.identity()
    policy = get("linux-6.1")
    assert key_of(ints, policy, 1) == key_of(floats, policy, 1)
    assert key_of(dataclasses.replace(floats, duration_ms=1500.5), policy, 1) != key_of(
        floats, policy, 1
    )
    found = [
        run_totals(Start(workload=one), policy, seed=1, replicates=range(2))
        for one in (ints, floats)
    ]
    assert (found[0] == found[1]).all()
    assert found[0].sum() > 0


def test_a_job_that_is_stopped_keeps_the_replicates_so_far():
    made = Job(number=0, workload=WORKLOAD, policy=get("linux-7.2"), seed=1, first=3, count=4)
    asked = iter([False, False, True])
    part = run(made, lambda: next(asked))
    assert part.reason == ""
    assert (part.totals == run(made).totals[:2]).all()
    assert run(made, lambda: True).totals.shape == (0, len(NAMES))


def test_a_job_runs_its_own_replicates():
    made = Job(number=0, workload=WORKLOAD, policy=get("linux-7.2"), seed=1, first=0, count=4)
    whole = run(made)
    assert whole.reason == ""
    assert whole.totals.shape == (4, len(NAMES))
    part = run(dataclasses.replace(made, first=1, count=2))
    assert (part.totals == whole.totals[1:3]).all()
