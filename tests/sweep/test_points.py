"""The points of a sweep: which there are, what each is known by, which are left out."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from numalab import workload_file
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import Start
from numalab.fields import InputError, declared
from numalab.model.default_start import default_setup
from numalab.policy import get
from numalab.sweep.axes import Range, read_axis
from numalab.sweep.design import sobol
from numalab.sweep.points import Sweep, holds, points_of

FIXED = {"vma_lifetime_ms": 100, "pin_fraction": 0.0}
DELAY = {"scan_delay_ms": [10, 20, 40]}
WORKLOAD = lifetimes(scan_delay_ms=100, vma_lifetime_ms=50, pin_fraction=0.5, duration_ms=500)


def _sweep(axes=DELAY, source=lifetimes, fields=None, **given):
    read = tuple(read_axis(source, k, v, (fields or {}).get(k, ())) for k, v in axes.items())
    fixed = {"fixed": FIXED} if source is lifetimes else {}
    return Sweep(source=source, axes=read, **{**fixed, **given})


def _key(workload=WORKLOAD, policy="linux-7.2", **given):
    (point,) = points_of(_sweep({}, source=workload, policy=policy, **given))
    return point.key


def test_the_last_axis_runs_fastest():
    found = points_of(_sweep({"policy": ["linux-6.1", "linux-7.2"], **DELAY}))
    at = [(p.policy.name, p.start.workload.tunables.scan_delay_ms) for p in found]
    assert at[2:4] == [("linux-6.1", 40), ("linux-7.2", 10)]
    assert len({p.key for p in found}) == 6


def test_a_key_changes_with_everything_that_changes_numbers(monkeypatch):
    policy = get("linux-7.2")
    place = default_setup(WORKLOAD)
    keys = {
        _key(),
        _key(seed=1),
        _key(policy="linux-6.1"),
        _key(policy=dataclasses.replace(policy, pid_filter=False)),
        _key(dataclasses.replace(WORKLOAD, duration_ms=600)),
        _key(Start(workload=WORKLOAD, setup=place)),
    }
    assert len(keys) == 6
    assert all(len(key) == 32 for key in keys)
    monkeypatch.setattr("numalab.sweep.points.model_version", lambda: "another")
    assert _key() not in keys


def test_what_no_number_follows_from_changes_no_key():
    policy = dataclasses.replace(get("linux-7.2"), name="same-rules", about="", source="")
    assert _key(policy=policy) == _key()
    other = dataclasses.replace(WORKLOAD, name="other", about="a typo less")
    assert _key(other) == _key()
    assert _key(Start(workload=WORKLOAD, seed=3), seed=8) == _key(seed=3)


def _as(kind, value):
    """A workload whose whole numbers in fields of numbers are all written one way."""
    if isinstance(value, tuple):
        return tuple(_as(kind, one) for one in value)
    if not dataclasses.is_dataclass(value):
        return value
    changed = {}
    for name, (hint, _) in declared(type(value)).items():
        one = _as(kind, getattr(value, name))
        changed[name] = kind(one) if hint is float and one == int(one) else one
    return dataclasses.replace(value, **changed)


@pytest.mark.parametrize("name", ["churn-long", "thp", "guest-half-thp-memfd"])
def test_a_number_is_one_number_however_it_is_written(name):
    w = workload_file.load(f"data/workloads/{name}.toml")
    ints, floats = _as(int, w), _as(float, w)
    assert (type(ints.duration_ms), type(floats.duration_ms)) == (int, float)
    assert ints.identity() != floats.identity()
    assert _key(ints) == _key(floats)
    assert _key(dataclasses.replace(floats, duration_ms=1500.5)) != _key(floats)


def test_a_design_beside_a_grid():
    ranges = {"scan_delay_ms": Range(lowest=100, highest=900, whole=True), "pin_fraction": (0, 1)}
    made = _sweep(
        {"policy": ["linux-6.1", "linux-7.2"], "point": sobol(ranges, 8)},
        fixed={"vma_lifetime_ms": 50}, drop=("scan_delay_ms > 500",),
    )  # fmt: skip
    found = points_of(made)
    delays = np.array(made.axes[1].coords["scan_delay_ms"])
    assert 0 < (delays > 500).sum() < 8
    assert [p.status == "dropped" for p in found] == [*(delays > 500)] * 2


def test_a_rule_drops_points_and_says_which():
    found = points_of(_sweep(drop=("scan_delay_ms > 15", "policy == 'none'")))
    assert [p.reason for p in found] == ["", "scan_delay_ms > 15", "scan_delay_ms > 15"]


def test_a_rule_may_name_axes_fields_and_what_an_axis_sets():
    axes = {**DELAY, "task.walker.access.0.lo": [0.0, 0.5]}
    found = points_of(_sweep(axes, drop=("task.walker.access.0.lo > 0.2",)))
    assert [p.status for p in found] == ["done", "dropped"] * 3
    fields = {"life": ("churn.short_lived0.gap_ms", "churn.short_lived1.gap_ms")}
    rule = "life > 5 and remedy == 'none' and churn.short_lived1.gap_ms == 6"
    fixed = {**FIXED, "scan_delay_ms": 1}
    found = points_of(_sweep({"life": [5, 6]}, fields=fields, fixed=fixed, drop=(rule,)))
    assert [c.gap_ms for c in found[0].start.workload.churns] == [5, 5]
    assert found[1].reason == rule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drop": ("scan_dely_ms > 1",)}, "did you mean 'scan_delay_ms'"),
        ({"fixed": {**FIXED, "scan_delay_ms": 1}}, "scan_delay_ms is given twice"),
        ({"fixed": {"scan_sze_mb": 1}}, "did you mean 'scan_size_mb'"),
        ({"fixed": {"pin_fraction": 0.0}}, "missing a required argument: 'vma_lifetime_ms'"),
        ({"replicates": 0}, "replicates = 0: must be at least 1"),
        ({"seed": -1}, "seed = -1: must be at least 0"),
        ({"policy": "linux-9"}, "policy: unknown policy 'linux-9'; did you mean"),
        ({"fixed": {**FIXED, "policy": "linux-9"}}, "policy: unknown policy 'linux-9'"),
        ({"fixed": {**FIXED, "remedy": "mbnd"}}, "unknown remedy 'mbnd'; did you mean 'mbind'"),
        ({"fixed": {**FIXED, "hz": 250.5}}, "hz = 250.5: must be a whole number"),
        ({"fixed": {**FIXED, "pin_fraction": True}}, "pin_fraction = True: must be a number"),
        ({"fixed": {**FIXED, "vma.old.kind": "annon"}}, "must be one of anon, shmem"),
        ({"fixed": {**FIXED, "policy.name": "x"}}, "unknown rule 'name'"),
        ({"axes": {"pages": [1]}}, "unknown field of a sweep 'pages'"),
        ({"axes": {"touches": [1]}, "source": lambda touches: None}, "holds something else of"),
        ({"replicates": 1_000_000, "axes": {"scan_delay_ms": range(12)}}, "at most 10000000 runs"),
        (
            {"axes": {"scan_delay_ms": range(1500), "scan_size_mb": range(2000)}},
            "sweep: 3000000 points: at most 1000000",
        ),
    ],
)
def test_a_bad_sweep_is_one_line(given, message):
    with pytest.raises(InputError) as caught:
        points_of(_sweep(**given))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bounds_fail_a_point_and_not_the_sweep():
    found = points_of(_sweep({**DELAY, "hz": [250, 251]}))
    assert [p.status for p in found] == ["done", "failed"] * 3
    assert "hz = 251" in found[1].reason


def test_two_names_for_one_field_refuse_the_sweep():
    axes = {**DELAY, "tunables.scan_delay_ms": [1, 2]}
    with pytest.raises(
        InputError, match=r"scan_delay_ms and tunables\.scan_delay_ms are one field"
    ):
        points_of(_sweep(axes, drop_invalid=True))
    fixed = {**FIXED, "policy.bound": False}
    both = {**DELAY, "remedy": ["none", "mbind"]}
    with pytest.raises(InputError, match="remedy mbind decides it too"):
        points_of(_sweep(both, fixed=fixed))
    points_of(_sweep(both, fixed=fixed, drop=("remedy == 'mbind'",)))


TABLE = pd.DataFrame(
    {
        "a": [1],
        "b": [2.5],
        "policy": ["linux-6.1"],
        "vma.old.size_mb": [64],
        "task.t0.access.0.lo": [0.25],
        "vma.*.thp": [True],
        "vma.old-1.size_mb": [3],
        "vma.old": [7],
        "size of it": [9],
    }
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("a > b", False),
        ("a < b", True),
        ("2 * a + 1 >= b and not a == b", True),
        ("a == 1 or policy == 'rfc-v1'", True),
        ("policy in ['rfc-v1', 'linux-6.1']", True),
        ("policy not in ('rfc-v1',)", True),
        ("0 < a < b", True),
        ("b < a < 3", False),
        ("vma.old.size_mb / 2 == 32", True),
        ("`vma.old.size_mb` / 2 == 32", True),
        ("-a < 0", True),
        ("task.t0.access.0.lo > 0.2", True),
        ("vma.*.thp and vma.*.thp == True", True),
        ("vma.old-1.size_mb + vma.old == 10", True),
        ("size of it == 9", True),
        ("policy == 'a' or policy == \"vma.old\"", False),
    ],
)
def test_a_rule_compares_values(rule, expected):
    assert holds(rule, TABLE).tolist() == [expected]


@pytest.mark.parametrize(
    "rule",
    [
        "__import__('os').system('true') == 0",
        "@__import__('os').system('true') == 0",
        "@pd.compat.os.system('true') == 0",
        "@a > 1",
        "a.__class__() == 1",
        "a.__class__ == 1",
        "open('x') == 1",
        "[x for x in 'ab'] == 1",
        "(lambda: 1)() == 1",
        "a ** 99999 > 1",
        "a[0] > 1",
        "f'{a}' == 'x'",
        "(a := 2) > 1",
        "a = 3",
        "a == 1\nb == 2",
        "a is b",
        "a",
        "a +",
        "",
        "(" * 400 + ")" * 400,
        "a > 1 " * 200,
        "task.t0.access.1.lo > 0.2",
        "a > policy",
        "'a' == 'a'",
        "policy * 1000000000000000 == 'x'",
        "'x' * 1000000000000000 == policy",
        "[a] * 1000000000000000 == 3",
        "policy + 'x' == 'y'",
        "1" * 400 + " / a > 1",
    ],
)
def test_what_is_not_a_comparison_is_refused_in_one_line(rule):
    with pytest.raises(InputError) as caught:
        holds(rule, TABLE)
    assert "drop = " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_message_shows_names_as_they_were_written():
    with pytest.raises(InputError, match=r"'vma\.old\(1\)' is not allowed"):
        holds("vma.old(1) > 3", TABLE)
    with pytest.raises(InputError, match=r"did you mean 'policy'\?"):
        holds("polcy == 'rfc-v1'", TABLE)
    with pytest.raises(InputError, match=r"'column_1'"):
        holds("column_1 > 3", TABLE)


def test_rules_that_cannot_act_make_no_point_of_their_own():
    axes = {"policy.pid_filter": [False, True], "policy.partial_vma": [False, True]}
    keys = [point.key for point in points_of(_sweep(axes, WORKLOAD))]
    assert (len(set(keys[:2])), len(set(keys[2:])), len(set(keys))) == (1, 2, 3)
