"""Which rules a release of the kernel has: stable releases take rules from later versions."""

from __future__ import annotations

import logging
import re
from typing import NamedTuple

from numalab.fields import InputError
from numalab.policy import Policy, get, newest_before, with_rules

log = logging.getLogger(__name__)


class Backport(NamedTuple):
    """A rule that a stable series got on the way; of the releases between, nobody looked."""

    series: str
    lacks: int
    """Newest release of the series that was seen without the rule."""
    has: int
    """Oldest release that was seen with it."""
    rule: str
    source: str
    """Upstream commit."""


BACKPORTS = (
    Backport("6.12", 0, 107, "thread_count_rule", "f22cde4371f3"),
    Backport("6.12", 107, 117, "shmem_task_policy", "d230991493b5"),
    Backport("7.2", 0, 13, "shmem_task_policy", "d230991493b5"),
)
_FIRST_RESET = (6, 2)
"""From here on a write after a migration unsets last_cpupid (6a56ccbcf6c6)."""


def of_release(release: str) -> Policy:
    """Return the rules of a release of the kernel.

    Parameters
    ----------
    release : str
        Such as ``6.12.107`` or ``6.12.117+deb13-cloud-amd64``. A policy names a version by the
        release that was read; of a release between one that lacks a rule and one that has it
        the rule is taken as missing, and a warning says so.

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
        raise InputError(f"kernel release {release!r}: numalab knows no rules before 6.1")
    rules: dict[str, bool] = {}
    if (major, minor) >= _FIRST_RESET and not base.resets_cpupid:
        rules["resets_cpupid"] = True
    for one in (b for b in BACKPORTS if b.series == f"{major}.{minor}"):
        if one.lacks < level < one.has:
            log.warning(
                "kernel %s: %s (%s) is missing in %s.%d and present in %s.%d; taken as missing",
                release, one.rule, one.source, one.series, one.lacks, one.series, one.has,
            )  # fmt: skip
        rules[one.rule] = level >= one.has
    held = base.rules()
    changed = {name: value for name, value in rules.items() if held[name] != value}
    if not changed:
        return get(base.name)
    return with_rules(base, f"linux-{major}.{minor}.{level}", **changed)
