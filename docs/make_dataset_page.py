"""Write docs/dataset.md from the declarations of variables: python docs/make_dataset_page.py."""

from pathlib import Path

from numalab.schema import LABELS, SCHEMA
from numalab.totals import NAMES

HEAD = """# The Dataset

`simulate` and a recording return the same `xarray.Dataset`; of a recording, variables that its
kernel does not give are missing. This page is made from the declarations in
`numalab/schema.py` (`python docs/make_dataset_page.py`); a test holds the two together.

```python
from numalab import dataset, measures
from numalab.interactive import simulate

ds = simulate("data/workloads/private-converge.toml", "linux-6.12", replicates=4)
ds["numa_pte_updates"].isel(time=-1)  # a value a run, at the end
ds["skips"].sel(vma="a", reason="pid_inactive").mean("replicate")
ds["numa_hint_faults"].attrs["long_name"]  # what it is; "units" and "kernel" as well
dataset.provenance(ds)["policy"]["pid_filter"]  # what the runs follow from
measures.each_run(ds, measures.scans, measures.walked)["walked_mb"]
```

`numalab simulate --out FILE.nc` writes it, `numalab.dataset.load` reads it, and
`numalab simulate --json` prints its sums with their units.

Counters over `time` are cumulative, as those of `/proc/vmstat`, and hold all processes and the
program's own pages. The last column says where the kernel counts the same: `ours` is counted by
the model only, and missing in a recording.

| variable | over | unit | meaning | in the kernel |
|---|---|---|---|---|
"""

TAIL = """
`vma` names the workload's VMAs and churns first, then those of the program (`image:...`). Tables
of events (`chunk`, `notify`) differ in length from run to run and are padded with -1.

## What `numalab simulate` prints

The text has medians, least and most over the runs; `--json` has the values of each run
(`quantities`, `counters`, `skips`, `tasks`), with units, and the policy.
`numalab/report/answers.py` makes them from the variables above:

| name | unit | from |
|---|---|---|
| `scans` | 1 | numbers in `chunk_scan`: scans that walked something |
| `scan_ms_median`, `scan_ms_95`, `scan_ms_max` | ms | time of a scan, see below |
| `passes` | 1 | `numa_scan_seq`, all processes |
| `walked_mb` | MB | `scan_pages`, the program's own VMAs too |
| `marked_mb` | MB | `numa_pte_updates` |
| `walked_in_vain_mb` | MB | `chunk_pages` where `chunk_updated` is 0 |
| `notified_by_scans_mb` | MB | `notifier_pages` of VMAs with a `subscriber` |
| `notified_by_migrations_mb` | MB | the same, by migrations |
| `hint_faults_local` | 1 | `numa_hint_faults_local` |
| `hint_faults_remote` | 1 | the rest of `numa_hint_faults` |
| `evictions` | 1 | evictions of a GPU's queues, see below |
| `evictions_notified` | 1 | `evictions`: every notification |

A scan takes from its first `chunk_ms` to its last, and for the last chunk what `[machine.speed]`
says; `scan_spread` is not in it. A notification evicts nothing while the queues are out, for 7.5 ms
([costs](costs.md)). Those of migrations are known by the sample only, so `evictions` is the most
that there can be.

## Totals of a sweep

{names}.

## A new counter

Declare it in `numalab/schema.py`, and count it where it happens: `stat.NAME += 1` for a counter
over `time`, `log.counts[vma.owner].NAME += 1` for one over `vma`.
"""


def _whose(kernel: str) -> str:
    return "ours" if kernel.startswith("none") else kernel


def page() -> str:
    """Return the text of docs/dataset.md."""
    rows = [
        f"| `{v.name}` | {', '.join(v.dims)} | {v.units} | {v.long_name} | {_whose(v.kernel)} |\n"
        for v in SCHEMA.values()
    ]
    labels = [f"\n`{dim}`: {', '.join(of)}.\n" for dim, of in LABELS.items()]
    names = ",\n".join(f"`{name}`" for name in NAMES)
    return "".join([HEAD, *rows, *labels, TAIL.format(names=names)])


if __name__ == "__main__":
    Path(__file__).with_name("dataset.md").write_text(page(), encoding="utf-8")
