"""The machine: nodes, CPUs, distances, tick rate, and how fast it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from numalab.fields import InputError, field, late_field, validate
from numalab.units import NR_MAX_MIGRATE_PAGES_RETRY


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long one act takes on a machine: properties of the machine, not of the policy.

    The recorder measures these in a calibration step of its own and stores them in
    the recording. The defaults stand for a server with two sockets: typical published
    values (docs/costs.md; ``migrate_huge_ns``: move_pages() of one huge folio, Shivank Garg
    2025), and assumed ones where nothing is published (touches, first touches, calls, huge
    faults). A scan of 256 MB that marks all takes 10 ms; since scans pace themselves by their
    cost, this decides how many there are.
    """

    touch_walk_ns: float = field(
        2.0, unit="ns", at_least=0.01, at_most=1e9, doc="one touch of a page, pages in order"
    )
    touch_rand_ns: float = field(
        20.0, unit="ns", at_least=0.01, at_most=1e9, doc="one touch of a page drawn at random"
    )
    first_touch_ns: float = field(
        500.0, unit="ns", at_least=0, at_most=1e9, doc="first touch of a 4 KiB page"
    )
    first_touch_huge_ns: float = field(
        100_000.0, unit="ns", at_least=0, at_most=1e10, doc="first touch of a 2 MiB page"
    )
    hint_fault_ns: float = field(
        1500.0,
        once=1000.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="a hint fault that does not migrate",
    )
    migrate_page_ns: float = field(
        3900.0,
        once=3000.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="what a migrating 4 KiB hint fault adds",
    )
    hint_fault_huge_ns: float = field(
        1500.0, unit="ns", at_least=0, at_most=1e10, doc="a 2 MiB hint fault without migration"
    )
    migrate_huge_ns: float = field(
        260_000.0,
        once=200_000.0,
        unit="ns",
        at_least=0,
        at_most=1e10,
        doc="what a migrating 2 MiB fault adds",
    )
    failed_pass_ns: float = late_field(
        3300.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="one of the ten passes of a 4 KiB migration that fails (derived)",
    )
    failed_pass_huge_ns: float = late_field(
        3300.0,
        unit="ns",
        at_least=0,
        at_most=1e10,
        doc="one of the ten passes of a failing 2 MiB migration (derived; no init_on_alloc)",
    )
    scan_call_ns: float = field(
        2000.0, unit="ns", at_least=0, at_most=1e9, doc="one change_prot_numa() call"
    )
    scan_page_ns: float = field(
        20.0,
        once=5.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="looking at one present page table entry",
    )
    pte_update_ns: float = field(
        130.0, once=20.0, unit="ns", at_least=0, at_most=1e9, doc="what marking one entry adds"
    )
    scan_spread: float = field(
        0.1, at_least=0, at_most=2, doc="standard deviation of log(time of a scan)"
    )
    late_flush_share: float = late_field(
        0.0,
        at_least=0,
        at_most=1,
        doc="share of calls that wait long for another CPU's TLB flush",
    )
    late_flush_ns: float = late_field(
        0.0, unit="ns", at_least=0, at_most=1e10, doc="how long those wait"
    )
    first_scan_ns: float = late_field(
        0.0,
        unit="ns",
        at_least=0,
        at_most=1e10,
        doc="what the first scan after boot takes more",
    )
    vcpu_touch_walk_ns: float = late_field(
        2.0,
        unit="ns",
        at_least=0.01,
        at_most=1e9,
        doc="one touch by a vCPU of a page that its guest has mapped, in order (assumed)",
    )
    vcpu_touch_rand_ns: float = late_field(
        20.0,
        unit="ns",
        at_least=0.01,
        at_most=1e9,
        doc="one touch by a vCPU of a mapped page drawn at random (assumed)",
    )
    refault_ns: float = late_field(
        1300.0,
        once=3000.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="what a vCPU's touch of a zapped 4 KiB page takes more: exit, GUP, fill",
    )
    refault_huge_ns: float = late_field(
        1500.0,
        once=4000.0,
        unit="ns",
        at_least=0,
        at_most=1e10,
        doc="what a vCPU's touch of a zapped 2 MiB folio takes more",
    )
    zap_page_ns: float = late_field(
        60.0,
        once=40.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="what a notified range takes its sender for each 4 KiB entry zapped",
    )
    zap_huge_ns: float = late_field(
        60.0,
        once=50.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="what a notified range takes its sender for each 2 MiB entry zapped",
    )
    notify_ns: float = late_field(
        3300.0,
        once=2000.0,
        unit="ns",
        at_least=0,
        at_most=1e9,
        doc="what a notified range takes its sender besides: lock, walk, flush",
    )
    lost_share: float = field(
        0.0, at_least=0, at_most=0.9, doc="CPU time that a busy task loses to other work"
    )

    def __post_init__(self) -> None:
        validate(self)


_FAILED = {"failed_pass_ns": "migrate_page_ns", "failed_pass_huge_ns": "migrate_huge_ns"}


def speed_of(measured: Mapping[str, float], assumed: Collection[str] = ()) -> Speed:
    """Return the speed that a calibration measured.

    Where it did not measure failed migrations (``assumed``, or an old one), they are taken to be
    as long as successful ones.
    """
    measured = {n: v for n, v in measured.items() if n not in assumed or n not in _FAILED}
    as_moved = {
        name: measured[moved] / NR_MAX_MIGRATE_PAGES_RETRY
        for name, moved in _FAILED.items()
        if moved in measured
    }
    return Speed(**{**as_moved, **measured})


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Nodes, CPUs and memory; CPU ``i`` belongs to node ``i // cpus_per_node``."""

    nodes: int = field(2, at_least=1, at_most=64, doc="NUMA nodes with memory and CPUs")
    cpus_per_node: int = field(1, at_least=1, at_most=1024, doc="CPUs on each node")
    memory_mb: int = field(
        1024, unit="MB", at_least=128, at_most=1 << 36, doc="memory on each node"
    )
    distance: int = field(
        20, at_least=11, at_most=254, doc="SLIT distance between two nodes (10 within one)"
    )
    hz: int = field(250, unit="1/s", at_least=24, at_most=1000, doc="tick rate, CONFIG_HZ")
    speed: Speed = field(Speed(), doc="how fast the machine runs")

    def __post_init__(self) -> None:
        validate(self)
        if self.hz not in (100, 250, 300, 1000):
            raise InputError(f"machine: hz = {self.hz}: must be 100, 250, 300 or 1000")

    @property
    def cpus(self) -> int:
        """CPUs in the machine."""
        return self.nodes * self.cpus_per_node
