"""Policies: every generation and proposal, what each changed, and rules one by one."""

import pytest

from numalab import policy
from numalab.catalog.lifetimes import lifetimes
from numalab.engine import simulate
from numalab.fields import InputError
from numalab.workload import Access, Churn, Task, Vma, Workload


def test_each_policy_says_what_it_is_and_where_it_is_from():
    for p in policy.POLICIES.values():
        assert p.about
        assert p.source
        assert p.before == "" if p.name == "linux-6.1" else p.before in policy.NAMES
        assert policy.changes(p) or p.name == "linux-6.1", f"{p.name} changes nothing"


def test_following_the_changes_leads_from_the_first_kernel_to_the_last():
    rules = policy.get("linux-6.1").rules()
    for name in ("gorman-prototype", "rfc-v2", "linux-6.4", "linux-6.7", "linux-6.12"):
        rules |= policy.changes(policy.get(name))
        assert rules == policy.get(name).rules()


def test_an_unknown_rule_or_policy_is_refused_with_its_neighbour():
    with pytest.raises(InputError, match="forced_scan"):
        policy.with_rules(policy.get("linux-6.4"), "mine", forced_scann=True)
    with pytest.raises(InputError, match=r"linux-6\.4"):
        policy.get("linux-6.44")
    with pytest.raises(
        InputError, match=r"unknown policy '6\.14'; the newest before it: 'linux-6\.12'"
    ):
        policy.get("6.14")
    with pytest.raises(InputError, match="pid_memory"):
        policy.with_rules(policy.get("linux-6.4"), "mine", pid_memory="clay")


def test_a_vma_first_reached_late_is_never_scanned_by_6_4_and_is_by_its_successors():
    """kernel.md 1.6: when the sequence is 2 or more it can get no first bit."""

    def born_late(p):
        w = Workload(
            name="late",
            duration_ms=40_000,
            vmas=(Vma(name="a", size_mb=4),),
            tasks=(
                Task(name="t", cpu=0, access=(Access(vma="a"),)),
            ),
            churns=(Churn(name="c", size_mb=4, lifetime_ms=9000, gap_ms=1, cpu=1),),
        )  # fmt: skip
        ds = simulate(w, policy.get(p), replicates=4)
        at = ds["chunk_ms"].values
        mine = ds["chunk_vma"].values == list(ds["vma"].values).index("c")
        return int((mine & (at > 18_000)).sum())

    assert born_late("linux-6.4") == 0
    assert born_late("linux-6.7") > 0
    assert born_late("gorman-prototype") > 0


def test_rfc_v1_stops_scanning_after_two_sequences_and_its_intention_does_not():
    """kernel.md 1.4: from seq 2 it denies everyone; V1's own counters fell by 99.999 %."""
    w = Workload(
        name="two",
        duration_ms=30_000,
        vmas=tuple(Vma(name=n, size_mb=16) for n in "ab"),
        tasks=tuple(Task(name=f"t{i}", cpu=i, access=(Access(vma=n),)) for i, n in enumerate("ab")),
    )
    late = {}
    for name in ("rfc-v1", "rfc-v1-as-intended", "linux-6.1"):
        ds = simulate(w, policy.get(name), replicates=4)
        updates = ds["numa_pte_updates"].mean("replicate")
        late[name] = float(updates[-1] - updates.sel(time=8000))
    assert late["rfc-v1"] == 0
    assert 0 < late["rfc-v1-as-intended"] <= late["linux-6.1"]


@pytest.mark.parametrize(
    ("name", "rules", "same"),
    [
        ("gorman-prototype", {"vma_scan_delay": False}, "linux-6.1"),
        ("linux-7.2", {"vma_scan_delay": True, "vma_delay_ms": 1000}, "linux-7.2"),
    ],
)
def test_the_wait_of_a_vma_is_a_rule_of_its_own(name, rules, same):
    """Without it the prototype is the kernel before it; of the knob's length it is the kernel's."""
    w = lifetimes(
        scan_delay_ms=1000, vma_lifetime_ms=8000, pin_fraction=0, walker_node=0, duration_ms=20_000
    )
    changed = policy.with_rules(policy.get(name), "changed", **rules)
    found, expected = (simulate(w, p, seed=2, replicates=3) for p in (changed, policy.get(same)))
    for counter in ("numa_pte_updates", "numa_hint_faults", "numa_pages_migrated"):
        assert found[counter].equals(expected[counter])
        assert (found[counter][:, -1] > 0).all()


@pytest.mark.parametrize("rule", policy.PID_RULES)
@pytest.mark.parametrize("base", ["linux-6.1", "linux-6.12"])
def test_rules_of_the_pid_filter_change_nothing_without_it(base, rule):
    without = policy.with_rules(policy.get(base), "without", pid_filter=False)
    value = without.rules()[rule]
    other = "one-window" if rule == "pid_memory" else not value
    changed = policy.with_rules(without, "without", **{rule: other})
    assert without.acting_rules() == changed.acting_rules()
    given = lifetimes(
        scan_delay_ms=100, vma_lifetime_ms=400, pin_fraction=0.3, churns=3, duration_ms=5000
    )
    runs = [simulate(given, one, seed=5, replicates=2) for one in (without, changed)]
    assert runs[0].drop_attrs().identical(runs[1].drop_attrs())


def test_with_the_pid_filter_its_rules_act():
    for name in ("linux-6.4", "linux-7.2"):
        assert policy.get(name).acting_rules() == policy.get(name).rules()


def test_a_base_of_patches_has_none_of_them():
    assert policy.lacking("linux-6.1", ["pid_filter"], "base") is policy.get("linux-6.1")
    assert policy.lacking("linux-6.4", ["forced_scan"], "base") is policy.get("linux-6.4")
    for name, rule, message in (
        ("linux-6.4", "pid_filter", r"^base = linux-6\.4: has pid_filter already: must be a"),
        ("linux-6.1", "pid_filtr", "unknown rule 'pid_filtr'; did you mean 'pid_filter'"),
        ("linux-6.1", "pid_memory", "^rule pid_memory: is a choice, and not on or off"),
    ):
        with pytest.raises(InputError, match=message):
            policy.lacking(name, [rule], "base")
