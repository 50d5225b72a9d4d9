"""Hold the model against all recordings of q01: python data/model_error.py > data/model_error.csv

Run it anew when the model has changed: its version is the first line.
"""

from __future__ import annotations

import sys

from numalab import compare
from numalab.captures import find
from numalab.compare import envelope
from numalab.versions import model_version

REPLICATES = 40
"""What an interval needs; only medians are taken."""


def main() -> None:
    """Write the rows of all three sets to standard output."""
    print(f"# model {model_version()}; {REPLICATES} simulated runs of each recording")
    print("# log2_ratio: log2 of simulated median over recorded mean; none if only one is 0")
    for i, folder in enumerate(envelope.FOLDERS[:-1]):
        made = find(folder)
        foreign = made[0].program == "foreign"
        table = compare.over(made, [compare.counters], replicates=REPLICATES, default_start=foreign)
        rows = envelope.errors(table, folder.rpartition("/")[2])
        rows.to_csv(sys.stdout, index=False, header=i == 0, lineterminator="\n")


if __name__ == "__main__":
    main()
