"""mm/mprotect.c, mm/memory.c: marking entries, hint faults, migration."""

from __future__ import annotations

from tests.second_opinion import kernel_fault, kernel_policy, kernel_scan
from tests.second_opinion.objects import NUMA_NO_NODE, Mapped, Migration, Mm, Page, Sim, Thread

PMD_PAGES, PUD_PAGES, P4D_PAGES = 512, 512**2, 512**3
NR_MAX_MIGRATE_PAGES_RETRY = 10
TNF_MIGRATED, TNF_NO_GROUP, TNF_SHARED, TNF_FAULT_LOCAL, TNF_MIGRATE_FAIL = 1, 2, 4, 8, 16


def vma_migratable(vma: Mapped) -> bool:
    """Whether pages of the VMA may move at all: not VM_IO, not VM_PFNMAP."""
    return vma.kind != "vvar"


def _local_to_lone_thread(sim: Sim, p: Thread, vma: Mapped, page: Page) -> bool:
    """Whether moving the page could not help the only thread, which is on its node."""
    return vma.private and p.mm.mm_users == 1 and page.node == sim.node_of(p.cpu)


def change_pte_range(sim: Sim, p: Thread, vma: Mapped, page: Page) -> bool:
    """Whether a PTE is marked, before 7.2."""
    pinned = page.pinned and (vma.private or sim.policy.pinned_filter == "all")
    if page.cow_shared or pinned or page.dirty_file:
        return False
    return not _local_to_lone_thread(sim, p, vma, page)


def change_huge_pmd(sim: Sim, p: Thread, vma: Mapped, page: Page) -> bool:
    """Whether the PMD of a huge folio is marked: before 7.2, whatever the folio is."""
    if page.pinned and sim.policy.pinned_filter == "all":
        return False
    return not (sim.policy.single_thread_rule_thp and _local_to_lone_thread(sim, p, vma, page))


def folio_can_map_prot_numa(sim: Sim, p: Thread, vma: Mapped, page: Page) -> bool:
    """Whether an entry of either size is marked, in 7.2."""
    if page.cow_shared or page.pinned or page.dirty_file:
        return False
    return not _local_to_lone_thread(sim, p, vma, page)


def is_marked(sim: Sim, p: Thread, vma: Mapped, page: Page) -> bool:
    """Whether an entry is marked."""
    if not page.present or page.prot_none or not page.normal:
        return False
    if sim.policy.pinned_filter == "all" and sim.policy.single_thread_rule_thp:
        return folio_can_map_prot_numa(sim, p, vma, page)
    rule = change_huge_pmd if page.nr > 1 else change_pte_range
    return rule(sim, p, vma, page)


def change_prot_numa(
    sim: Sim, p: Thread, vma: Mapped, start: int, end: int
) -> tuple[int, int, int]:
    """Mark a range PROT_NONE; return pages marked, present entries seen, entries marked."""
    updated = looked = marked = 0
    index, stop = start - vma.vm_start, end - vma.vm_start
    while index < stop:
        page = vma.pages[index]
        index += page.nr
        looked += page.present
        if not is_marked(sim, p, vma, page):
            continue
        page.prot_none = True
        marked += 1
        updated += page.nr
        sim.count["numa_huge_pte_updates"] += page.nr > 1
    sim.count["numa_pte_updates"] += updated
    notify = change_pud_range if sim.policy.notifier_level == "pud" else change_pmd_range
    for first, last in notify(p.mm, start, end):
        sim.notifier_calls[vma.owner, "scan"] += 1
        sim.notifier_pages[vma.owner, "scan"] += last - first
    return updated, looked, marked


def _populated(mm: Mm, start: int, end: int) -> bool:
    """Whether any page of an address space is present between two addresses."""
    for vma in mm.vmas:
        if vma.pages and vma.vm_start < end and vma.vm_end > start:
            part = vma.pages[max(start - vma.vm_start, 0) : end - vma.vm_start]
            if any(page.present for page in part):
                return True
    return False


def change_pmd_range(mm: Mm, start: int, end: int) -> list[tuple[int, int]]:
    """Ranges notified before 6.12: in each 1 GiB, from the first 2 MiB with anything in them."""
    found = []
    while start < end:
        stop = min(end, (start // PUD_PAGES + 1) * PUD_PAGES)
        pmd = start // PMD_PAGES * PMD_PAGES
        while pmd < stop and not _populated(mm, pmd, pmd + PMD_PAGES):
            pmd += PMD_PAGES
        if pmd < stop:
            found.append((max(start, pmd), stop))
        start = stop
    return found


def change_pud_range(mm: Mm, start: int, end: int) -> list[tuple[int, int]]:
    """Ranges notified since 6.12: in each 512 GiB, from the first 1 GiB with anything in it."""
    found = []
    while start < end:
        stop = min(end, (start // P4D_PAGES + 1) * P4D_PAGES)
        pud = start // PUD_PAGES * PUD_PAGES
        while pud < stop and not _populated(mm, pud, pud + PUD_PAGES):
            pud += PUD_PAGES
        if pud < stop:
            found.append((max(start, pud), stop))
        start = stop
    return found


def vma_set_access_pid_bit(sim: Sim, p: Thread, vma: Mapped, huge: bool) -> None:
    """Remember that a task faulted in the VMA."""
    if sim.policy.pid_memory.startswith("four-slots"):
        if not huge:  # RFC v1 forgot do_huge_pmd_numa_page()
            _fill_slot(sim, p, vma)
    elif vma.numab_state is not None:
        vma.numab_state.pids_active[1] |= 1 << kernel_scan.pid_bit(sim.policy, p.pid)


def _fill_slot(sim: Sim, p: Thread, vma: Mapped) -> None:
    """RFC v1: put a new pid into the next of four slots, a byte each."""
    pid = p.pid & 0xFF
    if pid in vma.accessing_pids:
        return
    if sim.policy.pid_memory == "four-slots":
        slot = vma.next_pid_slot
        vma.next_pid_slot = (slot + 1) % 4
    else:
        slot = vma.next_pid_slot + 1
        vma.next_pid_slot = slot % 4
    if slot < 4:  # a shift by 32 bits is lost
        vma.accessing_pids[slot] = pid


def migrate_misplaced_folio_prepare(sim: Sim, page: Page, nid: int) -> bool:
    """Isolate a folio; false, and nobody tries to move it, if that is done or the node is full."""
    return sim.free[nid] >= page.nr and not page.isolated


def migrate_misplaced_folio(sim: Sim, page: Page, nid: int) -> bool:
    """Move an isolated folio; false if it is pinned."""
    once = not page.pinned or (sim.policy.unmap_once and page.vma.kind != "anon")
    tries = 1 if once else NR_MAX_MIGRATE_PAGES_RETRY
    sim.notifier_calls[page.vma.owner, "migrate"] += tries
    sim.notifier_pages[page.vma.owner, "migrate"] += tries * page.nr
    if page.pinned:
        sim.count["pgmigrate_fail"] += page.nr
        return False
    sim.free[page.node] += page.nr
    sim.free[nid] -= page.nr
    page.node = nid
    sim.count["numa_pages_migrated"] += page.nr
    sim.count["pgmigrate_success"] += page.nr
    return True


def numa_migrate_check(sim: Sim, p: Thread, page: Page) -> tuple[int, int, int]:
    """Count a hint fault; return the target node, the flags and the last cpupid."""
    flags = 0
    vma_set_access_pid_bit(sim, p, page.vma, page.nr > 1)
    sim.count["numa_hint_faults"] += 1
    if page.node == sim.node_of(p.cpu):
        sim.count["numa_hint_faults_local"] += 1
        flags |= TNF_FAULT_LOCAL
    last_cpupid = page.last_cpupid
    return kernel_policy.mpol_misplaced(sim, p, page), flags, last_cpupid


def _comes_back_read_only(sim: Sim, page: Page) -> bool:
    """Whether the entry of a folio that was isolated lacks the write bit.

    6a56ccbcf6c6 (6.2) no longer keeps that bit; fidelity.md 1.1. Other entries are made writable
    again by the hint fault (can_change_pte_writable()), also one that was read-only before.
    """
    return sim.policy.resets_cpupid and page.nr == 1 and page.vma.private_anonymous


def do_wp_page(page: Page) -> None:
    """Take the write fault on a read-only entry: the page is this process's own, so reuse it."""
    wp_page_reuse(page)


def wp_page_reuse(page: Page) -> None:
    """Make an entry writable and forget who touched the page (mm/memory.c; fidelity.md 1.1)."""
    page.read_only = False
    page.last_cpupid = -1


def do_numa_page(sim: Sim, p: Thread, page: Page) -> float:
    """Take a hint fault on a folio of any size; return how long it took [ns]."""
    speed = sim.w.machine.speed
    huge = page.nr > 1
    took = speed.hint_fault_huge_ns if huge else speed.hint_fault_ns
    target, flags, last_cpupid = numa_migrate_check(sim, p, page)
    isolated, source = False, page.node
    if target != NUMA_NO_NODE:
        isolated = migrate_misplaced_folio_prepare(sim, page, target)
        moved = isolated and migrate_misplaced_folio(sim, page, target)
        if moved:
            took += speed.migrate_huge_ns if huge else speed.migrate_page_ns
        elif isolated:
            took += NR_MAX_MIGRATE_PAGES_RETRY * (
                speed.failed_pass_huge_ns if huge else speed.failed_pass_ns
            )
        flags |= TNF_MIGRATED if moved else TNF_MIGRATE_FAIL
    page.prot_none = False
    page.read_only = isolated and _comes_back_read_only(sim, page)
    kernel_fault.task_numa_fault(sim, p, last_cpupid, page.node, page.nr, flags)
    if huge and flags & TNF_MIGRATED:
        p.moving = Migration(page, source, target)
    return took


def leave_isolated(sim: Sim, p: Thread, beyond_ns: float) -> None:
    """End a part of a tick: what a fault moves that is not over stays mapped until unmapped.

    A folio is isolated, another one allocated and zeroed, and then it is unmapped: the time of
    a failed pass after the fault began to move it.
    """
    speed, moving = sim.w.machine.speed, p.moving
    if moving is None or moving.page.isolated:
        return
    moving.left_ns = beyond_ns - max(speed.migrate_huge_ns - speed.failed_pass_huge_ns, 0.0)
    if moving.left_ns > 0:
        moving.page.node, moving.page.prot_none = moving.src_nid, True
        moving.page.isolated = True
    else:
        p.moving = None


def go_on_moving(p: Thread, time_ns: float) -> None:
    """Give a thread time for the migration that it left; unmapped, nobody finds it marked."""
    moving = p.moving
    if moving is None:
        return
    moving.left_ns -= time_ns
    if moving.left_ns <= 0:
        moving.page.node = moving.dst_nid
        moving.page.prot_none = moving.page.isolated = False
        p.moving = None


def do_huge_pmd_numa_page(sim: Sim, p: Thread, page: Page) -> float:
    """Take a hint fault on a PMD: the same steps with 512 pages."""
    assert page.nr == 512
    return do_numa_page(sim, p, page)


def populate(sim: Sim, page: Page, node: int) -> None:
    """Give an absent folio memory on a node, or on the emptiest one if that is full."""
    page.node = node if sim.free[node] >= page.nr else sim.free.index(max(sim.free))
    page.present = True
    page.prot_none = page.read_only = False
    page.last_cpupid = -1
    sim.free[page.node] -= page.nr


def pages_of(vma: Mapped, thp: bool) -> list[Page]:
    """Make the folios of a VMA, absent, one list entry for each 4 KiB page."""
    number = vma.vm_end - vma.vm_start
    if not thp:
        return [Page(vma=vma) for _ in range(number)]
    folios = [Page(vma=vma, nr=512) for _ in range(number // 512)]
    return [folio for folio in folios for _ in range(512)]
