"""Write docs/costs.md from the table in numalab/costs.toml."""

from __future__ import annotations

from pathlib import Path

from numalab import costs

HEAD = """# What an event costs

Counts are simulated or recorded. Time comes only from this table, `numalab/costs.toml`. Each
cost is a range and names its source, the machine and the year. It is measured, derived from a
measurement, or a guess. Low is the best machine published, typical a server with two sockets,
high one with eight. Each cost is drawn 2000 times, independently of the others: half of the
draws lie below typical. An interval of time holds 95 % of the draws, with the runs resampled.

| cost | low .. typical .. high [us] | event | source; host, year |
|---|---|---|---|
"""
TAIL = """
`range_wait` is a share. A vCPU that faults in a notified range waits for the rest of the walk:
once a range, not once a page. Up to 8 vCPUs that fault at once pay `refault` each, 32 or more
`refault_crowded`; between them the cost grows evenly with their number.

Times of different kinds are never added: `cpu` (scans, hint faults, migrations), `vcpu` (entries
filled again, interrupts, waits), `caches` (rounds of WBINVD or WBNOINVD; they stop all CPUs up to
6.12, those that ran the guest in 7.2) and `gpu` (queues that stand still).

```python
from numalab import sweep
from numalab.costs import drawn, read, time_of
from numalab.interactive import simulate

totals = sweep.totals(simulate("data/workloads/thp.toml", "linux-6.12", replicates=3))
time_of(totals, drawn(read()), vcpus=4)["cpu"]  # s; over replicate and draw
```

## Your own costs

`numalab report q03 --param costs=FILE` takes costs from a file. What it does not name stays as
published. A cost has the same keys as in `numalab/costs.toml`, in ns:

```toml
[refault]
low = 1100
typical = 1400
high = 2500
kind = "measured"
source = "dirty_log_perf_test -v 8, three runs"
host = "2 x EPYC 9654"
year = 2026
```

These commands measure most of them in minutes. They need root and the machine in question. They
were not run for this page: see first whether the symbols exist (`bpftrace -l`). A kprobe adds 0.1
to 0.3 us an event.

```
# pte_update: ns_upd / upd.  scan_page: ns_skip / skip
bpftrace -e 'kprobe:change_prot_numa { @s[tid] = nsecs; @p[tid] = (arg2 - arg1) / 4096 }
  kretprobe:change_prot_numa /@s[tid]/ {
    if (retval > 0) { @ns_upd += nsecs - @s[tid]; @upd += retval }
    else { @ns_skip += nsecs - @s[tid]; @skip += @p[tid] }
    delete(@s[tid]); delete(@p[tid]) }'

# hint_fault: key 0.  hint_fault + migrate_folio + copy_page: key 1.  Add 400 ns for the entry
bpftrace -e 'kprobe:handle_mm_fault { @s[tid] = nsecs } kprobe:task_numa_fault { @h[tid] = 1 }
  kprobe:migrate_misplaced_folio { @m[tid] = 1 }
  kretprobe:handle_mm_fault /@s[tid]/ { if (@h[tid]) { @ns[@m[tid]] = hist(nsecs - @s[tid]) }
    delete(@s[tid]); delete(@h[tid]); delete(@m[tid]) }'

# migrate_folio + copy_page: key 0.  ten times failed_pass: other keys.  From 6.10 on
bpftrace -e 'kprobe:migrate_misplaced_folio { @s[tid] = nsecs }
  kretprobe:migrate_misplaced_folio /@s[tid]/ {
    @[retval] = hist(nsecs - @s[tid]); delete(@s[tid]) }'

# notifier_call, remote_flush, cache_flush: the same with kvm_mmu_notifier_invalidate_range_start,
# flush_tlb_mm_range, sev_guest_memory_reclaimed.  eviction: kgd2kfd_quiesce_mm to its resume

# refault and refault_crowded, with as many vCPUs as your guest (tools/testing/selftests/kvm)
./dirty_log_perf_test -v 8
bpftrace -e 'tracepoint:kvm:kvm_page_fault { @s[tid] = nsecs }
  tracepoint:kvm:kvm_entry /@s[tid]/ { @ = hist(nsecs - @s[tid]); delete(@s[tid]) }'

# vcpu_interrupt (kvm-unit-tests).  remote_miss: remote less local (Intel's mlc)
./x86/run x86/vmexit.flat -smp 2 -append ipi
mlc --latency_matrix -r
```
"""


def page() -> str:
    """Return the text of the page."""
    rows = [
        f"| `{name}` | {values} | {event} | {source} |"
        for name, values, event, source in costs.table(costs.read()).itertuples()
    ]
    return HEAD + "\n".join(rows) + "\n" + TAIL


if __name__ == "__main__":
    (Path(__file__).parent / "costs.md").write_text(page(), encoding="utf-8")
