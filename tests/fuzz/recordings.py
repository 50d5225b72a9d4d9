"""Recordings edited at random: whatever is edited, reading ends in a result or in one line.

Each input is a recording of data/ with one to four edits of its manifest, workload, calibration and
logs, and checksums made right again. ``python -m tests.fuzz.recordings --minutes N`` looks for one
that is neither read nor refused in one line, takes longer than LIMIT_S or more than LIMIT_MB.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from numalab import captures, engine
from numalab.fields import InputError
from tests.captures.edited import MANIFEST, log_of, replace_file, replace_log, replace_workload

DATA = Path(__file__).parents[2] / "data"
SOURCES = tuple(
    DATA / name
    for name in (
        "captures/remote-single/6.12",
        "captures/two-processes/6.1",
        "captures/churn-short/7.2",
        "guests/guest-half-thp-anon/7.2",
        "drawn/foreign/drawn-1/6.12",
    )
)
LIMIT_S = 5.0
LIMIT_MB = 500
"""More than the process had before the first input."""
NUMBERS = (
    "0", "-1", "1", "nan", "inf", "1e308", "true", "0x7fffffffffffffff", "ffffffffffffffff",
    "9223372036854775808", "4294967296", "1000000000", "9" * 400, "9" * 5000,
    "[1]", "{}", '"x"', "",
)  # fmt: skip
TEXTS = (
    "", "\n", " ", "=", ".", "[", "]", "{", "@section 1 x\n", "@done\n", "\x00", "\x1b[2J", "\xff",
    "é", "[" * 500, "a." * 500, " " * 5000, "0x1 -- 0x2", "N0=9", "../x", "end", "start",
)  # fmt: skip
WHERE = st.floats(0, 1, exclude_max=True)
FILES = ("manifest", "workload", "calibration", "log", "log", "log")
EDITS = st.tuples(
    st.sampled_from(FILES),
    st.sampled_from(("number", "text", "cut", "line out", "line twice", "lines swapped", "bytes")),
    WHERE,
    WHERE,
    st.integers(0, 17),
)
INPUTS = st.tuples(st.sampled_from(SOURCES), st.lists(EDITS, min_size=1, max_size=4))


def _edited(text: str, how: str, at: float, further: float, which: int) -> str:
    """Edit a text at a place: a number of it, a line, or anything."""
    i, j = int(at * len(text)), int(further * len(text))
    if how == "number":
        found = list(re.finditer(r"(?<![\w.])(?:0x)?[0-9a-f]*\d[0-9a-f.]*", text))
        if found:
            one = found[int(at * len(found))]
            return text[: one.start()] + NUMBERS[which] + text[one.end() :]
    if how == "text":
        return text[:i] + TEXTS[which] + text[i:]
    if how == "cut":
        return text[: min(i, j)] + text[max(i, j) :]
    if how == "bytes":
        return text[:i] + chr(32 + int(further * 96)) + text[i + 1 :]
    lines = text.splitlines(keepends=True) or [""]
    i, j = int(at * len(lines)), int(further * len(lines))
    if how == "line out":
        del lines[i]
    elif how == "line twice":
        lines.insert(j, lines[i])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return "".join(lines)


def _edited_log(text: str, *edit: object) -> str:
    """Edit a section of a log, whose length is right again after it; or the frame of it all."""
    heads = list(re.finditer(r"@section (\d+) ([^\n]+)\n", text))
    k = int(edit[2] * 1e6) % (len(heads) + 1)
    if k == len(heads):
        return _edited(text, *edit)
    end = heads[k].end() + int(heads[k][1])
    body = _edited(text[heads[k].end() : end], *edit)
    head = f"@section {len(body)} {heads[k][2]}\n"
    return text[: heads[k].start()] + head + body + text[end:]


def edit(folder: Path, edits: list[tuple[str, str, float, float, int]]) -> None:
    """Edit a recording; the manifest last, so that the checksums in it are right before."""
    for file, *how in sorted(edits, key=lambda one: one[0] == "manifest"):
        if file == "log":
            try:
                text = _edited_log(log_of(folder), *how)
            except EOFError:
                continue
            replace_log(folder, text.encode("latin-1", "replace").decode("latin-1"))
        elif file == "workload":
            replace_workload(folder, _edited((folder / "workload.toml").read_text(), *how))
        elif file == "calibration":
            text = _edited((folder / "calibration.json").read_text(), *how)
            replace_file(folder, "calibration.json", text.encode())
        else:
            path = folder / MANIFEST
            path.write_text(_edited(path.read_text(), *how))


def _check(recording: captures.Recording, simulates: bool) -> None:
    """Look for nonsense in what was read, and let the model start from it."""
    ds = recording.dataset()
    assert ds.sizes["replicate"] == recording.runs
    for name, da in ds.data_vars.items():
        values = da.values[np.isfinite(da.values)]
        assert values.size == 0 or values.min() >= -1, name
    assert int(ds.sizes["node"]) == recording.workload.machine.nodes
    for run in range(recording.runs):
        start = recording.start(run, seed=1)
        if simulates and run == 0:
            engine.simulate(start.workload, recording.policy, seed=1, setup=start.setup)


def attempt(folder: Path, simulates: bool = False) -> str:
    """Read all of a recording; return "read", or the message without its numbers and names."""
    try:
        recording = captures.open_recording(folder)
        _ = (recording.name, recording.label, recording.policy)
        _check(recording, simulates)
    except InputError as error:
        line = str(error)
        assert line, "an empty message"
        assert line.isprintable(), line
        assert len(line) < 2000, line
        assert str(folder) in line or "kernel release" in line or "speed" in line, line
        return re.sub(r"[-+.\d]+|'[^']*'|\"[^\"]*\"|\S*/\S*", "_", line)[:60]
    return "read"


@contextmanager
def limits(seconds: float = LIMIT_S, megabytes: int = LIMIT_MB):
    """Fail an input that takes too long, or after which the process has become too large.

    The time is that of the CPU: the clock also counts what runs beside.
    """

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s of CPU time")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    old = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < megabytes, f"{grown} MB more"


def try_one(source: Path, edits: list, root: Path, simulates: bool = False) -> str:
    """Edit a copy of a recording below ``root`` and read it within the limits."""
    folder = root / "edited"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    edit(folder, edits)
    with limits():
        return attempt(folder, simulates)


def main() -> None:
    """Try inputs for a time; keep what is found, and end with status 1 then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    root = Path(tempfile.mkdtemp(prefix="fuzz-recordings-"))
    print(f"recordings: seed {args.seed}, the input at work is in {root / 'edited'}", flush=True)
    for source in SOURCES:  # compiles the engine
        _check(captures.open_recording(source), simulates=True)
    end, found, kinds = time.monotonic() + 60 * args.minutes, 0, Counter[str]()

    def run(one: tuple[Path, list]) -> None:
        if time.monotonic() < end:
            simulates = all(file in ("log", "manifest") for file, *_ in one[1])
            kinds[try_one(*one, root, simulates)] += 1

    part = 0
    while time.monotonic() < end:
        part += 1
        search = settings(
            max_examples=2000, deadline=None, database=None, derandomize=False,
            phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        try:
            seed(args.seed + part)(search(given(INPUTS)(run)))()
        except Exception as error:
            found += 1
            kept = root / f"found-{found}"
            if (root / "edited").exists():
                shutil.copytree(root / "edited", kept, dirs_exist_ok=True)
            print(f"recordings: found {type(error).__name__}: {error}: {kept}", flush=True)
            print("\n".join(getattr(error, "__notes__", [])), flush=True)
    print(f"recordings: {kinds.total()} inputs, {kinds['read']} read, {len(kinds)} kinds of end")
    print(f"recordings: {found} findings" + (f" in {root}" if found else ""))
    if not found:
        shutil.rmtree(root)
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
