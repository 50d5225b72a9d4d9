"""Which rules a release of the kernel has: stable releases take rules from later versions."""

from __future__ import annotations

import logging
import re
from typing import NamedTuple

from numalab.fields import InputError
from numalab.policy import Policy, get, newest_before, with_rules

log = logging.getLogger(__name__)


class Backport(NamedTuple):
    """A rule that a stable series took over at a release between two that were looked at."""

    series: str
    lacks: int
    """Newest release of the series that was seen without the rule."""
    has: int | None
    """Oldest release that was seen with it; None: a later one, it is not known which."""
    rule: str
    source: str
    """Upstream commit."""
    there: bool = True
    """False: the series gave up the rule."""


_RULES_OF_6_7 = (
    "pid_reset_early", "seq_completed", "start_scan_seq", "partial_vma", "forced_scan",
)  # fmt: skip
BACKPORTS = (
    *(Backport("6.6", 0, None, rule, "9ae5c00ea2e6..84db47ca7146") for rule in _RULES_OF_6_7),
    Backport("6.6", 0, None, "thread_count_rule", "f22cde4371f3"),
    Backport("6.6", 14, 15, "migration_drains", "eebb3dabbb5c", there=False),
    Backport("6.12", 0, 107, "thread_count_rule", "f22cde4371f3"),
    Backport("6.12", 107, 117, "shmem_task_policy", "d230991493b5"),
    Backport("7.2", 0, 13, "shmem_task_policy", "d230991493b5"),
)
_FIRST_RESET = (6, 2)
"""From here on a write after a migration unsets last_cpupid (6a56ccbcf6c6)."""
_FIRST_EEVDF = (6, 6)
"""From here on tasks of one CPU take turns by EEVDF (147f3efaa241)."""
_NEAREST = (
    ((0, 0), "linux-6.1", "but page_count_rule, which came with 5.17"),
    ((5, 17), "linux-6.1", ""),
    ((6, 2), "linux-6.1", "and resets_cpupid"),
    ((6, 4), "linux-6.4", ""),
    ((6, 6), "linux-6.4", "6.6.y took over rules of 6.7: give the full release, such as 6.6.50"),
    ((6, 7), "linux-6.7", ""),
    ((6, 12), "linux-6.12", "6.12.0 has the rules of linux-6.7: give the full release"),
    ((6, 13), "linux-6.12", ""),
    ((6, 16), "linux-6.12", "and one_node_cpuset, from about 6.16 on"),
    ((6, 19), "linux-7.2", "but shmem_task_policy"),
    ((7, 2), "linux-7.2", "7.2.0 to 7.2.12 may lack shmem_task_policy: give the full release"),
    ((7, 3), "linux-7.2", "nothing newer was looked at"),
)
"""From which version on which policy has the scan rules, and what differs; a policy's own series
is known by its releases (:func:`of_release`)."""


def _nearest(major: int, minor: int) -> str:
    since = max(version for version, _, _ in _NEAREST if version <= (major, minor))
    policy, remark = next((policy, remark) for at, policy, remark in _NEAREST if at == since)
    return f"{policy!r}" + (f" ({remark})" if remark else "")


def unknown_version(name: str) -> InputError | None:
    """Return the error for a kernel version that is no policy: whose scan rules it has.

    Examples
    --------
    >>> print(unknown_version("6.14"))
    unknown policy '6.14'; kernel 6.14 has the scan rules of 'linux-6.12'
    """
    found = re.fullmatch(r"(?:linux-|v)?(\d+)\.(\d+)(\S*)", name)
    if not found:
        return None
    major, minor = int(found[1]), int(found[2])
    built = re.search(r"-(?!rc)", found[3])
    more = "; what its distributor added was not looked at" if built else ""
    return InputError(
        f"unknown policy {name!r}; kernel {major}.{minor} has the scan rules of "
        f"{_nearest(major, minor)}{more}"
    )


def of_release(release: str) -> Policy:
    """Return the rules of a release of the kernel.

    Parameters
    ----------
    release : str
        Such as ``6.12.107`` or ``6.12.117+deb13-cloud-amd64``. A policy names a version by the
        release that was read. Of a release between one that lacks a rule and one that has it the
        rule is taken as missing; a warning says what is guessed.

    Raises
    ------
    InputError
        If it does not begin with a version, or is older than the oldest that numalab knows.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if not found:
        raise InputError(f"kernel release {release!r}: must begin with a version, such as 6.12.107")
    major, minor, level = (int(part or 0) for part in found.groups())
    base = newest_before(major, minor)
    if base is None:
        raise InputError(
            f"kernel release {release!r}: numalab knows no rules before 6.1; nearest is "
            f"{_nearest(major, minor)}"
        )
    rules: dict[str, bool] = {}
    guessed: list[str] = []
    if (major, minor) >= _FIRST_RESET and not base.resets_cpupid:
        rules["resets_cpupid"] = True
    if (major, minor) >= _FIRST_EEVDF and not base.eevdf:
        rules["eevdf"] = True
    for one in (b for b in BACKPORTS if b.series == f"{major}.{minor}"):
        taken = level > one.lacks if one.has is None else level >= one.has
        rules[one.rule] = taken == one.there
        if one.lacks < level < (one.has or level + 1):
            guessed.append(f"{one.rule} {'there' if rules[one.rule] else 'missing'}")
    if guessed:
        log.warning("kernel %s: not seen, taken as %s", release, ", ".join(guessed))
    held = base.rules()
    changed = {name: value for name, value in rules.items() if held[name] != value}
    if not changed:
        return get(base.name)
    return with_rules(base, f"linux-{major}.{minor}.{level}", **changed)
