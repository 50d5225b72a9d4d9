"""``simulate``: a workload on the model of a kernel, the result as a Dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.dataset import make, make_runs
from numalab.fields import InputError
from numalab.linux.structs import START_NS
from numalab.model.accounts import check_time, time_spent
from numalab.model.default_start import default_setup
from numalab.model.initial import assemble
from numalab.model.inputs import alone_records, owners_of
from numalab.model.layout import Setup
from numalab.model.lifespans import table
from numalab.model.loop import run
from numalab.model.startup import count_resident, run_startup
from numalab.model.world import MAX_EVENTS, Samples, World
from numalab.plain import as_plain
from numalab.policy import Policy
from numalab.records import records
from numalab.schema import PER_VMA, vmstat
from numalab.units import NSEC_PER_MSEC, tick_nsec
from numalab.workload import Workload

MadeBy: TypeAlias = Callable[[Workload, Policy, Setup, int, np.random.Generator], World]
_FIRST_ROOM = 1 << 12
_MOST_ROOM = 1 << 24
_OF_TASKS = {
    "task_pages_migrated": "numa_pages_migrated",
    **{name: name for name in ("total_numa_faults", "numa_preferred_nid", "numa_scan_period")},
}
"""Variables of the schema, and the fields of a task's record that they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What a run begins with, but for its policy."""

    workload: Workload
    setup: Setup | None = None
    """Address space and clocks; None: the default layout."""
    seed: int | None = None
    """Root of the random streams of this start; None: the caller's."""

    def complete(self, seed: int) -> Start:
        """Return it with the default layout and this seed, where it has none of its own."""
        setup = self.setup or default_setup(self.workload)
        return replace(self, setup=setup, seed=seed if self.seed is None else self.seed)


class Finished(NamedTuple):
    """A run at its end."""

    world: World
    samples: np.ndarray
    """Counters at each time of the Dataset: records of :data:`numalab.schema.vmstat`."""
    seqs: np.ndarray
    """``numa_scan_seq`` at each time; int64[n_time, n_process]."""


def check_draws(replicates: int, seed: int) -> None:
    """Raise InputError unless a number of runs and a root of random streams can be used."""
    for name, value, lowest in (("replicates", replicates, 1), ("seed", seed, 0)):
        if value < lowest:
            raise InputError(f"{name} = {value}: must be at least {lowest}")


def simulate(
    workload: Workload,
    policy: Policy,
    *,
    seed: int = 0,
    replicates: int = 1,
    setup: Setup | None = None,
) -> xr.Dataset:
    """Run a workload on the model of a kernel.

    Parameters
    ----------
    workload : Workload
    policy : Policy
    seed : int
        Root of the random streams; replicate ``i`` uses ``SeedSequence(seed, (i,))``.
    replicates : int
        Independent runs.
    setup : Setup, optional
        Address space and clocks at the start, from a recording; else the default layout.

    Returns
    -------
    xarray.Dataset
        The schema of :mod:`numalab.schema` with dimension ``replicate`` in front.

    Raises
    ------
    InputError
        If the workload cannot be laid out, or needs more memory than the engine has.
    """
    check_draws(replicates, seed)
    start = Start(workload=workload, setup=setup).complete(seed)

    def one(index: int) -> tuple[dict[str, Any], tuple[int, int]]:
        done = run_one(start, policy, index)
        return _variables(workload, done), _dropped(done)

    first = one(0)  # compiles, once, outside the pool
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        runs = [first, *pool.map(one, range(1, replicates))]
    dropped = tuple(max(counts) for counts in zip(*(lost for _, lost in runs), strict=True))
    attrs = _attrs(start, policy, 0, dropped)
    return make_runs([variables for variables, _ in runs], _coords(workload), attrs)


def simulate_one(
    start: Start, policy: Policy, seed: int, index: int, made_by: MadeBy | None = None
) -> xr.Dataset:
    """Simulate replicate ``index`` of a start: a Dataset without the dimension ``replicate``.

    Its provenance holds seed and number of the replicate, so that what was drawn before the
    run can be drawn again (:func:`first_draws`).

    Parameters
    ----------
    seed : int
        Root of the random streams, unless the start has its own.
    made_by : callable, optional
        As of :func:`run_one`.

    Raises
    ------
    InputError
        As :func:`simulate`.
    """
    start = start.complete(seed)
    done = run_one(start, policy, index, made_by)
    attrs = _attrs(start, policy, index, _dropped(done))
    return make(_variables(start.workload, done), _coords(start.workload), attrs)


def _attrs(start: Start, policy: Policy, index: int, dropped: tuple[int, ...]) -> dict[str, Any]:
    """Return what a run follows from, and how many chunks and notices have no row."""
    return {
        "source": "simulated",
        "kernel": policy.name,
        "numalab": __version__,
        "policy": as_plain(policy),
        "workload": as_plain(start.workload),
        "workload_identity": start.workload.identity(),
        "seed": start.seed,
        "replicate": index,
        "chunks_dropped": dropped[0],
        "notices_dropped": dropped[1],
    }


def run_one(start: Start, policy: Policy, index: int, made_by: MadeBy | None = None) -> Finished:
    """Run replicate ``index`` of a complete start.

    Parameters
    ----------
    made_by : callable, optional
        Builds the world, with the arguments of :func:`numalab.model.initial.assemble`.

    Raises
    ------
    InputError
        If the run needs more page ranges than the engine has.
    RuntimeError
        If the times of a task do not add up: a fault of the model.
    """
    room = _FIRST_ROOM
    while True:
        try:
            return run_in_room(start, policy, index, room, made_by)
        except MemoryError:
            room *= 8
            if room > _MOST_ROOM:
                raise InputError(
                    f'workload "{start.workload.name}": more than {_MOST_ROOM} page ranges at '
                    "once: use fewer or smaller VMAs"
                ) from None


def first_draws(
    w: Workload, seed: int, index: int
) -> tuple[int, np.ndarray, np.random.Generator, np.random.Generator]:
    """Draw what a replicate fixes before it is laid out.

    Returns
    -------
    tuple
        Time of the first tick [ns]; lifetimes, int64[n_churn, n] [ns]; the stream that the
        layout draws from next; the stream of the run.
    """
    before, during = np.random.SeedSequence(seed, spawn_key=(index,)).spawn(2)
    draws = np.random.default_rng(before)
    phase_ns = int(draws.integers(1, tick_nsec(w.machine.hz)))
    return phase_ns, table(w, draws), draws, np.random.default_rng(during)


def run_in_room(
    start: Start, policy: Policy, index: int, room: int, made_by: MadeBy | None = None
) -> Finished:
    """Run a replicate with room for a number of page ranges; raises MemoryError beyond it."""
    w = start.workload
    phase_ns, lifetimes, draws, rng = first_draws(w, start.seed or 0, index)
    setup = start.setup or default_setup(w)
    world = (made_by or assemble)(w, policy, setup, room, draws)
    duration_ns = int(w.duration_ms * NSEC_PER_MSEC)
    sample_ns = int(w.sample_ms * NSEC_PER_MSEC)
    ticks = (duration_ns - phase_ns) // tick_nsec(w.machine.hz)
    taken = records(vmstat, duration_ns // sample_ns + 1)
    seqs = np.zeros((len(taken), len(w.process_names)), np.int64)
    samples = Samples(taken, seqs, sample_ns)
    run_startup(world, alone_records(w, setup), phase_ns, rng)
    before = time_spent(world)
    try:
        done = run(world, lifetimes, phase_ns, ticks, samples, rng)
        check_time(world, before, ticks)
    except RuntimeError as error:
        at_s = (world.clock[0].now_ns - START_NS) / 1e9
        raise RuntimeError(f'workload "{w.name}", {policy.name}, {at_s:.3f} s: {error}') from None
    taken[done:], seqs[done:] = world.stat[0], world.mms["numa_scan_seq"]
    return Finished(world, taken, seqs)


def touches_of(world: World) -> np.ndarray:
    """Touches of the workload's own memory; float64[n_task] [pages]."""
    own = world.accesses[world.accesses["image"] == 0]
    return np.bincount(own["task"], own["touches"], len(world.tasks))


def _dropped(done: Finished) -> tuple[int, int]:
    """Return how many chunks and notices of a run are not in its tables of them."""
    rows = done.world.log.rows[0]
    return max(0, int(rows.chunks) - MAX_EVENTS), max(0, int(rows.notices) - MAX_EVENTS)


def _coords(w: Workload) -> dict[str, Any]:
    samples = int(w.duration_ms * NSEC_PER_MSEC) // int(w.sample_ms * NSEC_PER_MSEC) + 1
    return {
        "time": np.arange(samples) * w.sample_ms,
        "process": list(w.process_names),
        "vma": owners_of(w),
        "task": [t.name for t in w.threads],
        "node": np.arange(w.machine.nodes),
    }


def _variables(w: Workload, done: Finished) -> dict[str, Any]:
    """Return what a run leaves, by name of the schema."""
    world, log = done.world, done.world.log
    found = {name: done.samples[name] for name in vmstat.names or ()}
    found |= {"numa_scan_seq": done.seqs, **{v.name: log.counts[v.name] for v in PER_VMA}}
    pages = np.zeros((len(log.counts), w.machine.nodes), np.int64)
    count_resident(world.pop, world.vmas["owner"], pages)
    tasks = {name: world.tasks[field] for name, field in _OF_TASKS.items()}
    runtime_ms = world.tasks["sum_exec_runtime"] / 1e6
    found |= {"pages_on_node": pages, **tasks}
    found |= {"sum_exec_runtime": runtime_ms, "touches": touches_of(world)}
    rows = log.rows[0]
    return {
        **found,
        **_events("chunk", log.chunks, rows.chunks),
        **_events("notify", log.notices, rows.notices),
    }


def _events(table: str, records: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return the first ``count`` records of a table of events, by name of the schema."""
    held = records[:count].copy()
    found = {f"{table}_{name}": held[name] for name in held.dtype.names or ()}
    return {f"{table}_ms": (found.pop(f"{table}_ns") - START_NS) / 1e6, **found}
