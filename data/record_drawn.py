"""Record workloads that were drawn at random: python data/record_drawn.py DIR 1 2 3 4.

Writes DIR/blind (the recorder's program) and DIR/foreign (foreign program, which has no churns).
Each kernel is calibrated before the first run of a batch and after the last one, on a host that
does nothing else. Both calibrations are kept in DIR/calibrations, and both together are the machine
of every recording of the batch. What is there already is kept: an interrupted batch is started
again with the same numbers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from numalab import workload_file
from numalab.catalog.drawn import MEMORY_MB, drawn
from numalab.machine import Machine, speed_of
from numalab.record.calibrate import calibrate, pooled
from numalab.record.manifest import RecordingWriter
from numalab.record.recorder import record

KERNELS = Path(".cache/kernels")
GENERATIONS = ("6.1", "6.12", "7.2")
FOLDERS = {"recorder": "blind", "foreign": "foreign"}
RUNS = 2


def image(generation: str) -> Path:
    """Return the image that ``make kernels`` fetched."""
    return next(p for p in (KERNELS / generation).glob("vmlinuz-*") if p.suffix != ".package")


def calibration(folder: Path, generation: str, name: str) -> dict[str, Any]:
    """Return a calibration of the machine; measured now if it is not there."""
    path = folder / "calibrations" / f"{generation}-{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found = calibrate(Machine(memory_mb=MEMORY_MB), image(generation))
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def main(root: Path, numbers: list[int]) -> None:
    """Record each workload on each kernel with both programs."""
    batch = f"{numbers[0]}-to-{numbers[-1]}"
    before = {g: calibration(root, g, f"{batch}-before") for g in GENERATIONS}
    speeds = {g: speed_of(found["speed"], found["assumed"]) for g, found in before.items()}
    for number in numbers:
        for generation in GENERATIONS:
            for program, folder in FOLDERS.items():
                source = workload_file.text(drawn(number, churns=program == "recorder")) + "\n"
                workload = workload_file.parse(source)
                record(
                    workload,
                    image(generation),
                    runs=RUNS,
                    seed=number,
                    speed=speeds[generation],
                    keep=root / folder / workload.name / generation,
                    source=source,
                    program=program,
                    progress=print,
                )
    for generation, earlier in before.items():
        both = pooled([earlier, calibration(root, generation, f"{batch}-after")])
        for number in numbers:
            for program, folder in FOLDERS.items():
                workload = drawn(number, churns=program == "recorder")
                keep = root / folder / workload.name / generation
                source = workload_file.text(workload) + "\n"
                found = workload_file.parse(source)
                RecordingWriter(keep, found, source, image(generation), program).add_calibration(
                    both
                )


if __name__ == "__main__":
    folder, *words = sys.argv[1:] or [""]
    if not words or not all(word.isdecimal() for word in words):
        sys.exit("usage: python data/record_drawn.py DIR NUMBER...")
    main(Path(folder), [int(word) for word in words])
