"""How far a sweep is, how fast it goes and how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_S = 10.0
"""Between two lines, where there is no terminal."""


@contextmanager
def shown(total: int, say: Callable[[str], None]) -> Iterator[Callable[[int], None]]:
    """Show the progress of ``total`` runs; yields a function that takes runs just done.

    A bar on a terminal, else a line every ten seconds.
    """
    if sys.stderr.isatty():
        with _bar(total) as advance:
            yield advance
    else:
        yield _lines(total, say)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining

    rate = TextColumn("{task.fields[rate]:.0f} runs/s")
    columns = (BarColumn(), MofNCompleteColumn(), rate, Elapsed(), TextColumn("left"), Remaining())
    begin = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("runs", total=total, rate=0.0)

        def advance(runs: int) -> None:
            done = bar.tasks[0].completed + runs
            bar.update(task, advance=runs, rate=done / max(time.monotonic() - begin, 1e-9))

        yield advance


def _lines(total: int, say: Callable[[str], None]) -> Callable[[int], None]:
    begin = last = time.monotonic()
    done = 0

    def advance(runs: int) -> None:
        nonlocal done, last
        done += runs
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            rate = done / (now - begin)
            say(f"{done} of {total} runs, {rate:.0f} runs/s, {(total - done) / rate:.0f} s left")

    return advance
