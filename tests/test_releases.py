"""Rules of a release: generations, series between them, and what stable series took over."""

import logging

import pytest

from numalab.fields import InputError
from numalab.policy import get
from numalab.releases import BACKPORTS, of_release, unknown_version


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("6.1.176", "linux-6.1"),
        ("6.1.0-50-cloud-amd64", "linux-6.1"),
        ("6.12.107+deb13-cloud-amd64", "linux-6.12"),
        ("6.8.0-31-generic", "linux-6.7"),
        ("7.2.13", "linux-7.2"),
        ("7.4.1", "linux-7.2"),
    ],
)
def test_a_release_has_the_rules_of_the_newest_version_before_it(release, name):
    assert of_release(release) is get(name)


@pytest.mark.parametrize(
    ("release", "base", "changed"),
    [
        ("6.3.2", "linux-6.1", {"resets_cpupid": True}),
        ("6.12.0", "linux-6.12", {"thread_count_rule": False}),
        ("6.12.117+deb13-cloud-amd64", "linux-6.12", {"shmem_task_policy": True}),
        ("7.2.0", "linux-7.2", {"shmem_task_policy": False}),
    ],
)
def test_stable_releases_differ_from_their_version(release, base, changed):
    """shared/today.md: 7.2.13 and 6.12.117 have the backport of d230991493b5."""
    found = of_release(release)
    assert found.name == "linux-" + ".".join(release.partition("+")[0].split(".")[:3])
    assert found.before == base
    assert found.rules() == get(base).rules() | changed


def test_of_a_release_that_nobody_looked_at_the_rule_is_taken_as_missing_and_said_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert of_release("6.12.110") is get("linux-6.12")
    assert caplog.messages == ["kernel 6.12.110: not seen, taken as shmem_task_policy missing"]


def test_6_6_took_over_the_rules_of_6_7_at_a_release_that_is_not_known(caplog):
    """kernel.md, head: stable 6.6 received the whole series and f22cde4371f3."""
    assert of_release("6.6.0").rules() == get("linux-6.4").rules() | {"eevdf": True}
    with caplog.at_level(logging.WARNING):
        found = of_release("6.6.50")
    assert found.rules() == get("linux-6.7").rules() | {"thread_count_rule": True}
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("kernel 6.6.50: not seen, taken as pid_reset_early there")


def test_6_6_gave_up_a_rule_at_a_release_that_is_known():
    """eebb3dabbb5c, in 6.7 and in stable 6.6.15."""
    releases = {"6.1.192": True, "6.5.3": True, "6.6.14": True, "6.6.15": False, "6.8.0": False}
    assert {r: of_release(r).migration_drains for r in releases} == releases


def test_every_backport_names_a_rule_and_a_range():
    rules = get("linux-7.2").rules()
    for one in BACKPORTS:
        assert one.rule in rules
        assert one.has is None or one.lacks < one.has
        assert len(one.source) in (12, 26)


@pytest.mark.parametrize(
    ("release", "message"),
    [("next", "must begin with a version"), ("5.15.0", "knows no rules before 6.1")],
)
def test_what_is_no_known_release_is_refused(release, message):
    with pytest.raises(InputError, match=message):
        of_release(release)


@pytest.mark.parametrize(
    ("version", "policy"),
    [
        ("5.15", "linux-6.1"),
        ("5.14.0-427.el9", "linux-6.1"),
        ("linux-6.5", "linux-6.4"),
        ("6.6", "linux-6.4"),
        ("v6.8", "linux-6.7"),
        ("6.8.0-31-generic", "linux-6.7"),
        ("6.11", "linux-6.7"),
        ("6.14", "linux-6.12"),
        ("6.18", "linux-6.12"),
        ("6.19", "linux-7.2"),
        ("7.4", "linux-7.2"),
    ],
)
def test_a_version_that_is_no_policy_names_the_one_whose_rules_it_has(version, policy):
    """Rules: kernel.md's commit map; pinned folios are skipped from 6.19 on (today.md)."""
    said = str(unknown_version(version))
    assert f"has the scan rules of {policy!r}" in said
    assert ("distributor" in said) is ("-" in version.removeprefix("linux-"))
    base = of_release(version.removeprefix("linux-").lstrip("v")) if version > "6.2" else None
    if base and policy != "linux-7.2":
        assert base.rules() == get(policy).rules() | {"eevdf": base.eevdf}
    assert unknown_version("rfc-v2") is None
