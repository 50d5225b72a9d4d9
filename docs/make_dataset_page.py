"""Write docs/dataset.md from the declarations of variables: python docs/make_dataset_page.py."""

from pathlib import Path

from numalab.schema import LABELS, SCHEMA
from numalab.totals import NAMES

HEAD = """# The Dataset

`simulate` and a recording return the same `xarray.Dataset`; of a recording, variables that its
kernel does not give are missing. This page is made from the declarations in
`numalab/schema.py` (`python docs/make_dataset_page.py`); a test holds the two together.

| variable | over | unit | meaning | in the kernel |
|---|---|---|---|---|
"""

TAIL = """
`vma` names the workload's VMAs and churns first, then those of the program (`image:...`). Tables
of events (`chunk`, `notify`) differ in length from run to run and are padded with -1.

## Totals of a sweep

{names}.

## A new counter

Declare it in `numalab/schema.py`, and count it where it happens: `stat.NAME += 1` for a counter
over `time`, `log.counts[vma.owner].NAME += 1` for one over `vma`.
"""


def page() -> str:
    """Return the text of docs/dataset.md."""
    rows = [
        f"| `{v.name}` | {', '.join(v.dims)} | {v.units} | {v.long_name} | {v.kernel} |\n"
        for v in SCHEMA.values()
    ]
    labels = [f"\n`{dim}`: {', '.join(of)}.\n" for dim, of in LABELS.items()]
    names = ",\n".join(f"`{name}`" for name in NAMES)
    return "".join([HEAD, *rows, *labels, TAIL.format(names=names)])


if __name__ == "__main__":
    Path(__file__).with_name("dataset.md").write_text(page(), encoding="utf-8")
