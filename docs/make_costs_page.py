"""Write docs/costs.md from the declarations in numalab.costs."""

from __future__ import annotations

from pathlib import Path

from numalab.costs import Costs, table

HEAD = """# What an event costs

Counts are simulated or recorded; time comes only from this table. Every time that a report
shows is a range: all costs low, typical, high. Each is measured somewhere, derived from a
measurement, or a guess, as its source says: low is the best machine published, typical a server
with two sockets, high one with eight. Replace one in a notebook with
`with_costs(Costs(), refault=2500)`, or with a `Cost` that has bounds and a source of its own.

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
