"""Write docs/costs.md from the declarations in numalab.costs."""

from __future__ import annotations

from pathlib import Path

from numalab.costs import Costs, table

HEAD = """# What an event costs

Counts are simulated or recorded; time comes only from this table. Every time that a report
shows is a range: all costs low, typical, high. Each is measured somewhere, derived from a
measurement, or a guess, as its source says: low is the best machine published, typical a server
with two sockets, high one with eight. To replace one, give a number with its unit in the name
(`_ns`, `_us`, `_ms`), or a `Cost` [ns] with bounds and a source of its own:

```python
from numalab import sweep
from numalab.costs import Cost, Costs, time_of, with_costs
from numalab.interactive import simulate

totals = sweep.totals(simulate("data/workloads/thp.toml", "linux-6.12", replicates=3))
mine = with_costs(Costs(), refault_us=2.5, zap=Cost(low=30, typical=90, high=200, source="mine"))
time_of(totals, mine, vcpus=4)["scan"]  # ms; over replicate and bound (low, typical, high)
```

| cost | low .. typical .. high [us] | source |
|---|---|---|
"""
TAIL = """
Who pays: `scan` is the scanning task's time (entries, walk, notifier calls, zaps, the base of a
remote flush); `faults` that of tasks in hint faults and migrations; `guest` that of vCPUs
(entries filled again, interrupts that flush their TLBs); `caches` the time for which a round
of WBINVD or WBNOINVD stops each CPU in its scope (all CPUs up to 6.12, those that ran the
guest in 7.2); `gpu` that of queues that stand still.
"""


def page() -> str:
    """Return the text of the page."""
    rows = [
        f"| `{name}` | {values} | {source} |"
        for name, values, source in table(Costs()).itertuples()
    ]
    return HEAD + "\n".join(rows) + "\n" + TAIL


if __name__ == "__main__":
    (Path(__file__).parent / "costs.md").write_text(page(), encoding="utf-8")
