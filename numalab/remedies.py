"""What was proposed, or can be done today, for memory that is scanned but cannot migrate.

A remedy is a few rules on top of any policy; :func:`with_remedy` puts it there. Whether it
could be built turns on one rule of the kernel: mmu_notifier_invalidate_range_start() may
sleep, a pin can only be read reliably under the page-table lock, and under that lock nothing
may sleep (Alexandru Elisei, YuEMkKY2RU/2KiZW@monolith.localdoman, July 2022).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from numalab import policy
from numalab.fields import InputError, unknown_name
from numalab.policy import Policy, with_rules
from numalab.releases import of_release, unknown_version

SEED_THREAD = 'the thread of "sched/numa: Enhance vma scanning logic", January 2023'


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A change that spares memory, with where it comes from and what stands in its way."""

    name: str
    about: str
    source: str
    needs: str
    """What the kernel, or the user, would have to have."""
    built: str
    """Whether it was built, and why not."""
    available: bool
    """Whether a kernel of :mod:`numalab.policy`, or user space on one, can do it today."""
    sleepable: str
    """What the sleepable-context rule says to it."""
    rules: tuple[tuple[str, Any], ...]


_REMEDIES = (
    Remedy(
        name="pinned-pte-filter",
        about="pinned pages are not marked, in all maps and sizes; the range is notified before",
        source='series "always skip dma pinned folio in prot_numa_skip()", 2025',
        needs="a test of each folio under the page-table lock",
        built="yes, step by step: private 4 KiB pages in 6.1, all folios in 7.2",
        available=True,
        sleepable="allows it: nothing is notified under the lock",
        rules=(("pinned_filter", "all"),),
    ),
    Remedy(
        name="pinned-per-page-notifier",
        about="each page that is marked is notified by itself, pinned ones never",
        source=f"Bharata B Rao, 18 January 2023, {SEED_THREAD}",
        needs="a notifier call between the test of a page and its change, both under the lock",
        built="no: never merged",
        available=False,
        sleepable="forbids it: the call would have to be made under the page-table lock",
        rules=(("pinned_filter", "all"), ("notifier", "each-folio")),
    ),
    Remedy(
        name="late-notifier",
        about="the rest of the range is notified once, when the first entry really changes",
        source="Sean Christopherson, August 2023, in the thread of Yan Zhao's RFC",
        needs="a start call that does not block, and subscribers that can live with it",
        built="no: withdrawn by its author, other secondary MMUs sleep",
        available=False,
        sleepable="forbids it, unless every subscriber learns not to sleep",
        rules=(("notifier", "late"),),
    ),
    Remedy(
        name="pinned-vma-mark",
        about="a VMA found pinned (9 folios of 10) is left out of scans for a minute",
        source=f"idea in {SEED_THREAD}",
        needs="a count of pinned folios in each walk and a field in vma_numab_state",
        built="no: nobody posted it",
        available=False,
        sleepable="allows it: the walk is over when the VMA is judged",
        rules=(("pinned_vma_mark", True),),
    ),
    Remedy(
        name="numa-range-flag",
        about="the subscriber knows that it is NUMA balancing, and keeps pinned pages mapped",
        source="Yan Zhao, RFC v1, 20230808071329.19995-1-yan.y.zhao@intel.com",
        needs="MMU_NOTIFIER_RANGE_NUMA, and a test of each page in KVM's handler",
        built="no: rejected as a one-off that loses batching",
        available=False,
        sleepable="allows it: the range is notified as today",
        rules=(("pinned_filter", "all"), ("numa_range_flag", True)),
    ),
    Remedy(
        name="process-opt-out",
        about="NUMA balancing is off for processes with a guest or a GPU",
        source="Gang Li, PR_NUMA_BALANCING v5, October 2022",
        needs="a prctl and a field in mm_struct",
        built="no: not merged, as of 7.2",
        available=False,
        sleepable="has nothing to say: nothing is scanned",
        rules=(("process_opt_out", True),),
    ),
    Remedy(
        name="mbind",
        about="memory of guests and GPUs is bound to its node: unsuitable for scans",
        source="Sean Christopherson, 2022 and 2023",
        needs="user space that calls mbind(MPOL_BIND) without MPOL_F_NUMA_BALANCING",
        built="works today, in every kernel here",
        available=True,
        sleepable="has nothing to say: the VMA is not walked",
        rules=(("bound", True),),
    ),
    Remedy(
        name="one-node-cpuset",
        about="processes with a guest or a GPU are in a cpuset with one memory node",
        source="Libo Chen, sched/numa: skip one-node cpusets, 2025",
        needs="user space with cpusets, and a kernel that looks at them (about 6.16)",
        built="merged; without effect on older kernels",
        available=True,
        sleepable="has nothing to say: nothing is scanned",
        rules=(("confined", True),),
    ),
)
REMEDIES = {remedy.name: remedy for remedy in _REMEDIES}


def with_remedy(base: Policy, name: str) -> Policy:
    """Return a policy with a remedy on top, named ``BASE+REMEDY``.

    Raises
    ------
    InputError
        Naming the nearest remedy that exists.
    """
    if name not in REMEDIES:
        raise unknown_name("remedy", name, list(REMEDIES))
    return with_rules(base, f"{base.name}+{name}", **dict(REMEDIES[name].rules))


def bare(name: str, field: str) -> Policy:
    """Return a policy by name as it is without remedies: for where remedies are put on it.

    Raises
    ------
    InputError
        Naming the field, if the name holds a remedy; else as :func:`get`.
    """
    base, plus, _ = name.partition("+")
    if plus:
        raise InputError(f"{field} = {name}: must be a kernel without a remedy, such as {base}")
    return get(name)


def _parts(name: str) -> list[str]:
    """Split a name into policy and remedies; Debian's releases hold a plus of their own."""
    return re.sub(r"^((?:linux-)?[\d.]+)\+deb\d[^+]*", r"\1", name).split("+")


def get(name: str) -> Policy:
    """Return a policy by name, with its remedies: ``linux-7.2`` or ``linux-7.2+mbind``.

    A full release, ``linux-6.12.117`` or ``6.12.117+deb13-cloud-amd64``, is one too: see
    :func:`numalab.releases.of_release`.

    Raises
    ------
    InputError
        Naming the nearest policy or remedy that exists; for a kernel version, the policy whose
        scan rules it has.
    """
    base, *remedies = _parts(name)
    release = re.fullmatch(r"(?:linux-)?(\d+\.\d+\.\d+)", base)
    if base not in policy.POLICIES and not release and (unknown := unknown_version(base)):
        raise unknown
    found = of_release(release[1]) if release else policy.get(base)
    for remedy in remedies:
        found = with_remedy(found, remedy)
    return found


def without_each(name: str) -> dict[str, Policy]:
    """Return, for each remedy of a name, the policy without that one: to see what it does."""
    base, *remedies = _parts(name)
    rest = {one: [other for other in remedies if other != one] for one in remedies}
    return {one: get("+".join([base, *others])) for one, others in rest.items()}
