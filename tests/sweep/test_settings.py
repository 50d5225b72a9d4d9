"""Values by name become the workload and the policy of a point."""

from typing import Any, Literal

import numpy as np
import pytest

from numalab import policy, remedies, workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import Start
from numalab.fields import InputError
from numalab.model.default_start import default_setup
from numalab.sweep.building import ClashError, policy_at, start_at
from numalab.sweep.settings import (
    arguments,
    catalog_function,
    check_complete,
    checked,
    declaration,
)
from numalab.workload_file import from_tables, to_tables

FILE = workload_file.load("data/workloads/churn-long.toml")


@pytest.mark.parametrize("name", ["churn-long", "two-processes", "guest-half-thp-memfd", "thp"])
def test_a_workload_comes_back_from_its_tables(name):
    w = workload_file.load(f"data/workloads/{name}.toml")
    assert from_tables(to_tables(w)) == w


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("duration_ms", 7000.0, lambda w: w.duration_ms),
        ("scan_size_mb", 32, lambda w: w.tunables.scan_size_mb),
        ("tunables.scan_delay_ms", 50, lambda w: w.tunables.scan_delay_ms),
        ("hz", 1000, lambda w: w.machine.hz),
        ("hint_fault_ns", 9.0, lambda w: w.machine.speed.hint_fault_ns),
        ("machine.speed.pte_update_ns", 3.0, lambda w: w.machine.speed.pte_update_ns),
        ("vma.a.pinned_fraction", 0.5, lambda w: w.vmas[0].pinned_fraction),
        ("vma.*.thp", True, lambda w: w.vmas[0].thp),
        ("churn.old.lifetime_ms", 9.0, lambda w: w.churns[0].lifetime_ms),
        ("task.t0.access.0.pages_per_s", 8.0, lambda w: w.tasks[0].access[0].pages_per_s),
        ("task.t0.cpu", 1, lambda w: w.tasks[0].cpu),
    ],
)
def test_a_field_of_the_workload_takes_the_value(name, value, read):
    assert read(FILE) != value
    assert read(start_at(FILE, {"policy": "linux-6.1", name: value}).workload) == value
    declaration(FILE, name)


def test_arguments_of_a_function_come_before_fields():
    values = {"scan_delay_ms": 70, "vma_lifetime_ms": 9, "pin_fraction": 0.5, "scan_size_mb": 16}
    made = start_at(lifetimes, {**values, "churn.short_lived1.gap_ms": 3.0}).workload
    assert made.tunables.scan_delay_ms == 70
    assert made.tunables.scan_size_mb == 16
    assert [c.gap_ms for c in made.churns] == [0.0, 3.0]


def test_catalog_functions_are_found_by_name():
    assert catalog_function("lifetimes") is lifetimes
    with pytest.raises(InputError, match="did you mean 'lifetimes'"):
        catalog_function("lifetime")


def test_rules_change_a_policy():
    made = policy_at({"policy": remedies.get("linux-7.2"), "policy.pid_filter": False})
    assert policy.get("linux-7.2").pid_filter
    assert not made.pid_filter
    assert policy_at({"policy": remedies.get("linux-7.2")}) is policy.get("linux-7.2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scan_delay", "did you mean 'scan_delay_ms'"),
        ("vma.b.size_mb", "unknown name in the field vma.b.size_mb: 'b'"),
        ("vma.a.size", "did you mean 'size_mb'"),
        ("vma.a", "must be 'vma.NAME.FIELD'"),
        ("vmas.a.size_mb", "did you mean 'vma'"),
        ("policy.pid_filtr", "did you mean 'pid_filter'"),
        ("machine.speed", "unknown field of machine"),
    ],
)
def test_a_field_that_does_not_exist_is_one_line(name, message):
    with pytest.raises(InputError) as caught:
        declaration(FILE, name)
    assert message in str(caught.value)


def test_a_remedy_stands_on_any_policy():
    made = policy_at({"policy": remedies.get("linux-6.1"), "remedy": "mbind"})
    assert made == remedies.get("linux-6.1+mbind")
    assert policy_at({"policy": remedies.get("linux-6.1"), "remedy": "none"}) is policy.get(
        "linux-6.1"
    )
    both = {"policy": remedies.get("linux-6.1+late-notifier"), "remedy": "mbind"}
    assert policy_at(both) == remedies.get("linux-6.1+late-notifier+mbind")


def test_a_rule_that_a_remedy_decides_is_not_changed_again():
    values = {"policy": policy.get("linux-7.2"), "remedy": "mbind", "policy.bound": False}
    with pytest.raises(ClashError, match=r"policy\.bound: remedy mbind decides it too"):
        policy_at(values)
    with pytest.raises(ClashError):
        policy_at({"policy": remedies.get("linux-7.2+mbind"), "policy.bound": False})
    assert not policy_at({**values, "remedy": "none"}).bound


GIVEN = {"scan_delay_ms": 70, "vma_lifetime_ms": 9, "pin_fraction": 0.5}


@pytest.mark.parametrize(
    ("base", "values"),
    [
        (FILE, {"scan_delay_ms": 1, "tunables.scan_delay_ms": 2}),
        (FILE, {"vma.*.size_mb": 64, "vma.a.size_mb": 32}),
        (FILE, {"vma.a.size_mb": 64, "vma.0.size_mb": 32}),
        (FILE, {"duration_ms": 7000, "workload.duration_ms": 7000}),
        (FILE, {"task.*.access.0.lo": 0.0, "task.t0.access.*.lo": 0.0}),
        (FILE, {"hint_fault_ns": 1.0, "machine.speed.hint_fault_ns": 1.0}),
        (lifetimes, {**GIVEN, "tunables.scan_delay_ms": 7}),
        (lifetimes, {**GIVEN, "churn.*.gap_ms": 7.0, "churn.short_lived1.gap_ms": 8.0}),
    ],
)
def test_two_names_for_one_field_are_refused(base, values):
    with pytest.raises(ClashError, match=r"^sweep: .* and .* are one field") as caught:
        start_at(base, {"policy": "linux-6.1", **values})
    assert list(values)[-1] in str(caught.value)


def test_names_of_fields_side_by_side_are_no_clash():
    gaps = {"churn.short_lived0.gap_ms": 7.0, "churn.short_lived1.gap_ms": 8.0}
    made = start_at(lifetimes, {**GIVEN, **gaps}).workload
    assert [c.gap_ms for c in made.churns] == [7.0, 8.0]


def test_what_a_function_needs_and_nobody_gives():
    with pytest.raises(InputError, match="missing a required argument: 'vma_lifetime_ms'"):
        check_complete(lifetimes, ["scan_delay_ms", "pin_fraction"])
    check_complete(lifetimes, list(GIVEN))
    check_complete(FILE, [])
    check_complete(lambda **given: None, [])


def test_a_start_keeps_its_setup_and_seed_where_a_field_changes():
    place = default_setup(FILE)
    found = start_at(Start(workload=FILE, setup=place, seed=4), {"scan_size_mb": 32})
    assert (found.setup, found.seed) == (place, 4)
    assert found.workload.tunables.scan_size_mb == 32


def test_values_are_as_their_fields_take_them():
    assert checked(FILE, "scan_size_mb", np.array([32.0, 64.0]), "x") == (32, 64)
    assert [type(v) for v in checked(FILE, "scan_size_mb", [32.0], "x")] == [int]
    assert [type(v) for v in checked(FILE, "duration_ms", np.arange(2), "x")] == [int, int]
    with pytest.raises(InputError, match=r"x = 32\.5: must be a whole number"):
        checked(FILE, "scan_size_mb", [32.5], "x")


def test_hints_that_cannot_be_checked_are_any():
    def base(*, a: "Literal['x']" = "x", b: Literal["x"] = "x", c: int | None = None, d=1):
        return FILE

    assert arguments(base) == {"a": Any, "b": Any, "c": int | None, "d": Any}
    assert declaration(base, "c") == (int | None, {})
    assert checked(base, "a", [1, "y", None], "a") == (1, "y", None)
