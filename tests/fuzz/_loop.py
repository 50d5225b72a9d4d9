"""What fuzz targets share: a loop over seeds, limits of time and memory, edits of a text."""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable

from numalab.fields import InputError

LIMIT_S = 5.0
"""CPU time of an input."""
LIMIT_MB = 500
"""Memory, more than before the first input."""
LONGEST_LINE = 1000
VALUES = (
    "0", "-1", "1e308", "nan", "inf", "9223372036854775808", "9" * 400, "9" * 5000, "true", '""',
    '"x"', "[]", "[1]", "{}", "[" * 400 + "]" * 400, '"\\u0000"', '"../x.toml"', "1979-05-27",
    "{ lowest = 0, highest = 1, num = 2 }", '"' + "é" * 300 + '"', "0x10", "0.1", "64", "1000000",
)  # fmt: skip


def edited(rng: random.Random, text: str) -> str:
    """Return a text after a few edits of its values, words and lines."""
    for _ in range(rng.randrange(1, 5)):
        lines = text.splitlines()
        at = rng.randrange(len(lines) or 1)
        kind = rng.randrange(7)
        if kind < 3 and lines:
            lines[at] = re.sub(r"=.*", lambda _: f"= {rng.choice(VALUES)}", lines[at])
        elif kind == 3:
            del lines[at : at + rng.randrange(3)]
        elif kind == 4:
            lines[at:at] = lines[at : at + rng.randrange(1, 4)] * rng.choice((1, 1, 2, 100))
        elif kind == 5:
            rng.shuffle(lines)
        text = "\n".join(lines)
        if kind == 6:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + chr(rng.randrange(0x300)) * rng.randrange(3) + text[at + 1 :]
    return text


def refusal(error: InputError) -> str:
    """Check that what refuses an input is one line, not long."""
    line = str(error)
    assert line.isprintable(), f"not one line: {line!r}"
    assert len(line) <= LONGEST_LINE, f"{len(line)} characters: {line[:100]}"
    return "refused"


def limited(one: Callable[[random.Random], str], number: str) -> str:
    """Run the input of a number; it ends in time and in memory, or raises."""
    begin, before = time.process_time(), _memory_mb()
    outcome = one(random.Random(number))
    took, more = time.process_time() - begin, _memory_mb() - before
    assert took <= LIMIT_S, f"{took:.1f} s"
    assert more <= LIMIT_MB, f"{more:.0f} MB"
    return outcome


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(one: Callable[[random.Random], str]) -> None:
    """Look for an input that is neither read nor refused, for some minutes; status 1 at one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    end, outcomes = time.monotonic() + 60 * given.minutes, Counter[str]()
    name = one.__module__ if one.__module__ != "__main__" else sys.argv[0]
    while time.monotonic() < end:
        number = f"{given.seed}-{outcomes.total()}"
        try:
            outcomes[limited(one, number)] += 1
        except BaseException:
            print(f"{name}: input {number}", flush=True)
            raise
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{name}: {outcomes.total()} inputs, no finding: {counts}")
