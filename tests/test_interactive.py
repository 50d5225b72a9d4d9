"""Names, paths and lists in place of objects and tuples."""

from pathlib import Path

import pytest

from numalab import engine, interactive, remedies, workload_file
from numalab.fields import InputError
from numalab.vma import Vma

ROOT = Path(__file__).parent.parent
FILE = "data/workloads/private-converge.toml"


def test_a_path_of_the_checkout_is_found_from_a_folder_of_it(monkeypatch):
    monkeypatch.chdir(ROOT / "notebooks")
    assert interactive.load(FILE) == workload_file.load(ROOT / FILE)
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        interactive.load("none.toml")


def test_a_policy_by_name_is_that_policy(monkeypatch):
    monkeypatch.chdir(ROOT)
    w = workload_file.load(FILE)
    for name in ("linux-6.1", "linux-7.2+mbind", "6.12.117"):
        found = interactive.simulate(w, name, seed=3)
        assert found.identical(engine.simulate(w, remedies.get(name), seed=3))
        assert found.identical(interactive.simulate(FILE, remedies.get(name), seed=3))
    with pytest.raises(InputError, match="did you mean 'mbind'"):
        interactive.simulate(w, "linux-7.2+mbnd")


def test_a_list_is_taken_for_a_tuple():
    w = workload_file.load(ROOT / FILE)
    more = [*w.vmas, Vma(name="c", size_mb=1)]
    assert interactive.replace(w, vmas=more).vmas == tuple(more)
    with pytest.raises(InputError, match="duration_ms = -1 ms: must be at least 1 ms"):
        interactive.replace(w, duration_ms=-1)
