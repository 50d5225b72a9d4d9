"""What holds for every test: the same examples, a limit of time, nothing left behind.

A test that takes longer than its limit (``timeout`` in pyproject.toml, or its own
``@pytest.mark.timeout``) fails with the stack of every thread. One that cannot even be
interrupted, in compiled code or in a finalizer, ends its process ``GRACE_S`` later, stacks first.
"""

from __future__ import annotations

import faulthandler
import fcntl
import functools
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests import leftovers

settings.register_profile("numalab", derandomize=True, deadline=None)
settings.load_profile("numalab")

GRACE_S = 30.0
TOGETHER = ("kernel", "cluster")
"""Markers whose tests run one after another, so that they do not take each other's CPUs."""
FIRST = (*TOGETHER, "notebook", "statistical", "slow")
"""Markers of tests that start first, the longest before all others."""
STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real stderr: a process that is ended writes its stacks there."""
    config.stash[STDERR] = os.dup(2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    return next((i for i, name in enumerate(FIRST) if item.get_closest_marker(name)), len(FIRST))


class ByUnit(LoadScopeScheduling):
    """Hands out units of tests that share runs, each to one process, in the order of the tests.

    What ``--dist loadgroup`` of pytest-xdist 3.8 would do, were it not for pytest 9.2: there it
    groups nothing, without a word, and every test is a unit of its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit(self.config.rootpath, nodeid)


def unit(root: Path, nodeid: str) -> str:
    """Return what a test is run with: all tests of its file, or of all files that boot kernels.

    Notebooks take long and share nothing: each test of their files is by itself.
    """
    path = nodeid.partition("::")[0]
    marks = _marks(root / path)
    return nodeid if "notebook" in marks else next((m for m in TOGETHER if m in marks), path)


@functools.cache
def _marks(path: Path) -> frozenset[str]:
    return frozenset(re.findall(r"pytest\.mark\.(\w+)", path.read_text(encoding="utf-8")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByUnit:
    """Keep those tests together that share runs, whatever ``--dist`` says."""
    config.option.loadscopereorder = False
    return ByUnit(config, log)


@functools.cache
def _compile_once() -> None:
    """Compile the engine in one process of all, or wait for that; boots need no engine."""
    from numalab import engine, policy, workload

    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        task = workload.Task(name="t")
        engine.simulate(workload.Workload(name="w", tasks=(task,)), policy.get("linux-7.2"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process of a test that does not end when it is interrupted."""
    if hasattr(item.config, "workerinput") and not item.get_closest_marker("kernel"):
        _compile_once()
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else item.config.getini("timeout"))
    stderr = item.config.stash[STDERR]
    faulthandler.dump_traceback_later(limit + GRACE_S, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End a process in which a thread goes on after all tests."""
    faulthandler.dump_traceback_later(GRACE_S, exit=True, file=config.stash[STDERR])


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_interrupts() -> Iterator[None]:
    """Undo what a suite in the background of a shell inherits: an interrupt that is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test after which a process, a thread or a dask client of it is alive."""
    before = leftovers.alive()
    yield
    left = leftovers.since(before)
    assert not left, f"left behind: {', '.join(left)}"
