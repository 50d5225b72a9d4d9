"""What a test can leave behind: processes, threads, clients of a dask cluster."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Set

import psutil

PATIENCE_S = 5.0
"""How long something may take to end once it has been told to."""
KEPT = ("multiprocessing.resource_tracker",)
"""Command lines of processes that Python keeps until its own end."""


def alive() -> frozenset[str]:
    """Describe each child process, non-daemon thread and dask client that is alive."""
    return frozenset((*_processes(), *_threads(), *_clients()))


def since(before: Set[str]) -> list[str]:
    """Name what is alive and was not before, once all has had the time to end."""
    until = time.monotonic() + PATIENCE_S
    while (left := alive() - before) and time.monotonic() < until:
        time.sleep(0.02)
    return sorted(left)


def _processes() -> list[str]:
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not any(name in line for name in KEPT):
                found.append(f"process {child.pid} ({line[:120]})")
        except psutil.NoSuchProcess:
            continue
    return found


def _threads() -> list[str]:
    return [
        f"thread {thread.ident} ({thread.name})"
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]


def _clients() -> list[str]:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return []
    return [
        f"dask client {client.id}"
        for client in list(distributed.Client._instances)
        if client.status != "closed"
    ]
