"""Write docs/workload.md from the declarations of the fields: python docs/make_workload_page.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from numalab.file_tables import ProcessTable, TaskTable
from numalab.machine import Machine, Speed
from numalab.tunables import Tunables
from numalab.workload import Access, Churn, Move, Vma, Workload

HEAD = """# The workload file

One TOML file describes a run. `numalab simulate` runs it on the model of a kernel,
`numalab record` on a real one. This page is made from the declarations in the code
(`python docs/make_workload_page.py`); a test holds the two together.

```toml
[workload]
name = "private-converge"
duration_ms = 12000

[machine]
nodes = 2
cpus_per_node = 1
memory_mb = 960

[[vma]]
name = "a"
size_mb = 96

[[task]]
name = "t0"
cpu = 1
[[task.access]]
vma = "a"
```

`numalab init NAME --template guest` writes a commented one to begin with; other templates are
`database`, `key-value`, `gpu` and `churn`. In Python:

```python
from numalab.interactive import load, replace, simulate

w = load("data/workloads/private-converge.toml")
w = replace(w, duration_ms=6000, vmas=[replace(vma, thp=True) for vma in w.vmas])
ds = simulate(w, "linux-7.2", replicates=2)
```

An unknown key (named with the table that it belongs to), a value of the wrong type or out of its
bounds, or two lines that contradict each other are refused in one line that names the key,
the value and the bound.
"""

TAIL = """
## Meaning of an access

A touch is one byte read or written in one 4 KiB page of the range `lo..hi` (fractions of all
`count` mappings, one after another). `walk` takes the pages in order and starts again, `rand`
draws them uniformly, `hot` sends `hot_share` of the touches to the first `hot_fraction` of the
range. With `pages_per_s = 0` a thread never sleeps; several flat-out accesses of a thread get
equal numbers of touches. A rated access touches in bursts, 10 ms apart; that of a `busy` task
touches when each touch is due, `1 / pages_per_s` after the one before, and the thread spins in
between. `foreign`, the other program of `record`, takes the touches of 2 ms together, not of 10.

## Formats

`format` says what a file that does not say it means. With 1, the first task of a process is its
main thread and a stack has 128 kB, as in the recorder's program. With 2, files are as most
programs are that use glibc: every process has one more thread, `PROCESS-main`, listed first, that
waits until the end (`main_thread = "waits"`), and stacks have 8192 kB. Either key of
`[[process]]` says otherwise for one process.

## The memory of a guest

`subscriber` says which secondary MMU maps a VMA. Memory of a guest (`kvm`, `sev`) is one
mapping, `anon` or `shmem`; a task that touches it is a vCPU of that guest and touches nothing
else. `record` runs `kvm` as a real guest: each task is a vCPU thread, its touches are those of
the guest's code (flat 32-bit mode, at most 3000 MB, `walk` or `rand`). The kernel needs KVM:
built in, or `irqbypass.ko`, `kvm.ko` and `kvm-amd.ko` in `modules/` beside the image, where
`.ci/fetch-kernels` lays them. Its notifications are those that KVM traces
(`kvm_unmap_hva_range`); `refaults` are the guest page faults that filled an entry (KVM's
`pf_fixed` in debugfs, first touches too). An emulated guest is slow: its touches say that it
ran, not how fast a guest is.

## What only one of the two machines can do

`record` needs at least two nodes with memory, and refuses a pinned `file_ro` and the
subscribers `sev` and `gpu`; what `record --program foreign` refuses is in
[recording.md](recording.md). Lifetimes of a churn: `fixed`; `exponential` (mean
`lifetime_ms`); `uniform` (mean times 1 -/+ `lifetime_shape`); `lognormal` (that mean, sigma
`lifetime_shape`); `pareto` (that mean, tail index `lifetime_shape`, more than 1).
"""

SECTIONS: list[tuple[str, type, str, set[str]]] = [
    (
        "[workload]",
        Workload,
        "One key more, `format`: 1 (default) or 2, see below.",
        {"machine", "tunables", "processes", "vmas", "tasks", "churns"},
    ),
    ("[machine]", Machine, "CPU i belongs to node i / cpus_per_node.", {"speed"}),
    ("[machine.speed]", Speed, "Measured by the recorder; defaults: published, or assumed.", set()),
    ("[tunables]", Tunables, "debugfs sched/numa_balancing/ and the sysctl.", set()),
    ("[[process]]", ProcessTable, "Only to change a default of a process.", set()),
    ("[[vma]]", Vma, "", set()),
    ("[[task]]", TaskTable, "", {"access", "move"}),
    ("[[task.access]]", Access, "", set()),
    ("[[task.move]]", Move, "For a task with a cpu; in the order of their times.", set()),
    ("[[churn]]", Churn, "A thread that maps, touches, unmaps, again and again.", set()),
]


STRICTER = {
    (Machine, "hz"): "100, 250, 300, 1000",
    (Access, "lo"): "0 .. below hi",
    (Access, "hi"): "above lo .. 1",
    (Access, "start_ms"): "0 .. below stop_ms",
    (Access, "stop_ms"): "above start_ms .. 1e+09",
    (Move, "at_ms"): "0 .. below duration_ms",
}
"""Bounds of keys that are checked by more than their declaration."""


def _bounds(cls: type, name: str, metadata: Any) -> str:
    if (cls, name) in STRICTER:
        return STRICTER[cls, name]
    if metadata["choices"]:
        return ", ".join(metadata["choices"])
    low, high = metadata["at_least"], metadata["at_most"]
    return "" if low is None and high is None else f"{_exact(low)} .. {_exact(high)}"


def _exact(bound: float) -> str:
    return f"{bound:g}" if float(f"{bound:g}") == bound else str(bound)


def _default(item: Any) -> str:
    if item.default is dataclasses.MISSING:
        return "required"
    if item.default in ((), ""):
        return "empty"
    return str(item.default).lower() if isinstance(item.default, bool) else f"{item.default}"


def _type(hint: Any) -> str:
    return str(getattr(hint, "__name__", hint)).replace("tuple", "list")


def page() -> str:
    """Return the text of docs/workload.md."""
    parts = [HEAD]
    for title, cls, note, left_out in SECTIONS:
        hints = get_type_hints(cls)
        parts.append(f"\n## `{title}`\n")
        if note:
            parts.append(note + "\n")
        parts.append(
            "| key | type | unit | default | bounds | meaning |\n|---|---|---|---|---|---|"
        )
        for item in dataclasses.fields(cls):
            if item.name in left_out:
                continue
            m = item.metadata
            row = (
                f"`{item.name}`", _type(hints[item.name]), m["unit"], _default(item),
                _bounds(cls, item.name, m), m["doc"],
            )  # fmt: skip
            parts.append("| " + " | ".join(row) + " |")
    return "\n".join(parts) + "\n" + TAIL


if __name__ == "__main__":
    Path(__file__).with_name("workload.md").write_text(page(), encoding="utf-8")
