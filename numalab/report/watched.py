"""A notebook run in a process of its own, under a watchdog: it ends when its parent does."""

from __future__ import annotations

import multiprocessing as mp
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from numalab.report.cleaned import line

LIMIT_S = 1800.0
_PATIENCE_S = 20.0
"""How long a process may take to end, with the kernel of its notebook, once it was told to."""
_LOOK_S = 0.2
_KERNEL_DIED = "the notebook's kernel was killed: is there too little memory?"


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How a notebook ended."""

    reason: str
    """Why it failed, in one line; empty: it did not."""
    peak_mb: int = 0
    """Memory that its kernel took at most; 0: not known."""


class StoppedError(Exception):
    """The run was given up because the report is to end."""


def run(
    notebook: Path, folder: Path, values: dict[str, Any], root: Path, stop: threading.Event
) -> End:
    """Run a notebook into a folder.

    Raises
    ------
    StoppedError
        After ``stop`` was set, when the process has ended.
    """
    context = mp.get_context("spawn")
    end, other = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="numalab-") as sockets:
        given = (str(notebook), str(folder), values, str(root), sockets, other)
        process = context.Process(target=_execute, args=given)
        try:
            with _no_ctrl_c():
                process.start()
            other.close()
            return _wait(process, end, stop)
        finally:
            end.close()
            if process.pid is not None:
                process.terminate()
                process.join(_PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()


def _wait(process: Any, end: Any, stop: threading.Event) -> End:
    """Wait for a process to say how it ended, to be killed, to take too long, or for a stop."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        if stop.is_set():
            raise StoppedError
        if not wait([end, process.sentinel], timeout=_LOOK_S):
            continue
        try:
            reason, peak_mb = end.recv()
        except EOFError:
            return End(reason="the notebook's process was killed")
        process.join(_PATIENCE_S)
        return End(reason=line(reason), peak_mb=peak_mb)
    return End(reason=f"no end after {LIMIT_S:.0f} s")


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach: only its parent is to say what that did."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _execute(
    notebook: str, folder: str, values: dict[str, Any], root: str, sockets: str, out: Any
) -> None:
    """Run one notebook in this process, and send how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(root)
    from numalab.report import kernel

    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        kernel.execute(notebook, folder, values, root, sockets)
        reason = ""
    except kernel.DeadKernelError:
        reason = _KERNEL_DIED
    except BaseException as error:
        name = getattr(error, "ename", type(error).__name__)
        lines = str(getattr(error, "evalue", "") or error).strip().splitlines()
        reason = f"{name}: {lines[-1][:1000] if lines else ''}"
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    out.send((reason, peak_kb // 1024))


def _end_with_parent() -> None:
    """End this process as if it was told to, once its parent is gone; the kernel ends with it."""
    parent = mp.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
