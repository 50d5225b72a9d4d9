"""``simulate``: a workload on the model of a kernel, the result as a Dataset."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from numalab import __version__
from numalab.dataset import COUNTERS, SECONDARY, make, make_runs
from numalab.fields import InputError, as_plain
from numalab.model.beforehand import run_before
from numalab.model.build import START_JIFFIES, START_NS, before_records, owners_of
from numalab.model.layout import Setup, default_setup
from numalab.model.lifetimes import table
from numalab.model.loop import run
from numalab.model.present import count_present
from numalab.model.world import MAX_CHUNKS, Assembly, assemble
from numalab.policy import Policy
from numalab.units import NSEC_PER_MSEC, tick_nsec
from numalab.workload import Workload

_FIRST_ROOM = 1 << 12
_MOST_ROOM = 1 << 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What a run begins with, but for its policy."""

    workload: Workload
    setup: Setup | None = None
    """Address space and clocks; None: the default layout."""
    seed: int | None = None
    """Root of the random streams of this start; None: the caller's."""


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
        The schema of :mod:`numalab.dataset` with dimension ``replicate`` in front.

    Raises
    ------
    InputError
        If the workload cannot be laid out, or needs more memory than the engine has.
    """
    if replicates < 1:
        raise InputError(f"replicates = {replicates}: must be at least 1")
    if seed < 0:
        raise InputError(f"seed = {seed}: must be at least 0")
    place = setup or default_setup(workload)

    def one(index: int) -> tuple[dict[str, Any], tuple[int, int]]:
        a, samples, seqs = run_one(workload, policy, place, seed, index, assemble)
        return _variables(workload, a, samples, seqs), _dropped(a)

    first = one(0)  # compiles, once, outside the pool
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        runs = [first, *pool.map(one, range(1, replicates))]
    attrs = _attrs(workload, policy, seed, 0)
    attrs["chunks_dropped"] = max(chunks for _, (chunks, _) in runs)
    attrs["notices_dropped"] = max(notices for _, (_, notices) in runs)
    return make_runs([variables for variables, _ in runs], _coords(workload), attrs)


def simulate_one(
    start: Start, policy: Policy, seed: int, index: int, made_by: Callable[..., Assembly] = assemble
) -> xr.Dataset:
    """Simulate replicate ``index`` of a start: a Dataset without the dimension ``replicate``.

    Its provenance says seed and number of the replicate, so that what was drawn before the
    run can be drawn again (:func:`first_draws`).

    Parameters
    ----------
    seed : int
        Root of the random streams, unless the start has its own.
    made_by : callable
        As of :func:`run_one`.

    Raises
    ------
    InputError
        As :func:`simulate`.
    """
    w, seed = start.workload, seed if start.seed is None else start.seed
    place = start.setup or default_setup(w)
    a, samples, seqs = run_one(w, policy, place, seed, index, made_by)
    attrs = _attrs(w, policy, seed, index)
    attrs["chunks_dropped"], attrs["notices_dropped"] = _dropped(a)
    return make(_variables(w, a, samples, seqs), _coords(w), attrs)


def _attrs(w: Workload, policy: Policy, seed: int, replicate: int) -> dict[str, Any]:
    """Say what a run follows from."""
    return {
        "source": "simulated",
        "kernel": policy.name,
        "numalab": __version__,
        "policy": as_plain(policy),
        "workload": as_plain(w),
        "workload_identity": w.identity(),
        "seed": seed,
        "replicate": replicate,
    }


def run_one(
    w: Workload,
    policy: Policy,
    setup: Setup,
    seed: int,
    index: int,
    made_by: Callable[..., Assembly],
) -> tuple[Assembly, np.ndarray, np.ndarray]:
    """Run one replicate; return its world at the end, the samples and ``numa_scan_seq``.

    Parameters
    ----------
    made_by : callable
        Builds the world, with the arguments of :func:`numalab.model.world.assemble`.

    Raises
    ------
    InputError
        If the run needs more page ranges than the engine has.
    """
    room = _FIRST_ROOM
    while True:
        try:
            return _once(w, policy, setup, seed, index, room, made_by)
        except MemoryError:
            room *= 8
            if room > _MOST_ROOM:
                raise InputError(
                    f'workload "{w.name}": more than {_MOST_ROOM} page ranges at once: '
                    "use fewer or smaller VMAs"
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


def _once(
    w: Workload,
    policy: Policy,
    setup: Setup,
    seed: int,
    index: int,
    room: int,
    made_by: Callable[..., Assembly],
) -> tuple[Assembly, np.ndarray, np.ndarray]:
    phase_ns, lifetimes, draws, rng = first_draws(w, seed, index)
    tick_ns = tick_nsec(w.machine.hz)
    a = made_by(w, policy, setup, room, draws)
    duration_ns = int(w.duration_ms * NSEC_PER_MSEC)
    sample_ns = int(w.sample_ms * NSEC_PER_MSEC)
    ticks = (duration_ns - phase_ns) // tick_ns
    samples = np.zeros((duration_ns // sample_ns + 1, len(COUNTERS)), np.int64)
    seqs = np.zeros((len(samples), len(w.process_names)), np.int64)
    run_before(
        a.world,
        a.access_ptr,
        before_records(w, setup),
        phase_ns,
        START_JIFFIES,
        START_NS,
        rng,
    )
    done = run(
        a.world, a.access_ptr, a.spins, a.churns, lifetimes, phase_ns, START_JIFFIES, START_NS,
        ticks, sample_ns, samples, seqs, np.zeros(w.machine.cpus, np.int64),
        np.zeros(w.machine.cpus), np.zeros(len(a.spins), np.int64), rng,
    )  # fmt: skip
    samples[done:], seqs[done:] = _final(a)
    return a, samples, seqs


def _final(a: Assembly) -> tuple[np.ndarray, np.ndarray]:
    stat = a.world.stat[0]
    return np.array([stat[name] for name in COUNTERS]), a.world.mms["numa_scan_seq"].copy()


def touches_of(a: Assembly) -> np.ndarray:
    """Touches of the workload's own memory; float64[n_task] [pages]."""
    accesses = a.world.accesses
    touches = np.zeros(len(a.world.tasks))
    own = accesses["image"] == 0
    np.add.at(touches, accesses["task"][own], accesses["touches"][own])
    return touches


def _pages_on_node(w: Workload, a: Assembly) -> np.ndarray:
    """Count present pages by owner and node; int64[n_vma, n_node] [pages]."""
    pages = np.zeros((len(owners_of(w)), w.machine.nodes), np.int64)
    count_present(a.world.pop, a.world.vmas["owner"], pages)
    return pages


def _dropped(a: Assembly) -> tuple[int, int]:
    """Return how many chunks and notices of a run are not in its tables of them."""
    rows = a.world.log.rows
    return max(0, int(rows[0]) - MAX_CHUNKS), max(0, int(rows[1]) - MAX_CHUNKS)


def _coords(w: Workload) -> dict[str, Any]:
    samples = int(w.duration_ms * NSEC_PER_MSEC) // int(w.sample_ms * NSEC_PER_MSEC) + 1
    return {
        "time": np.arange(samples) * w.sample_ms,
        "process": list(w.process_names),
        "vma": owners_of(w),
        "task": [t.name for t in w.threads],
        "node": np.arange(w.machine.nodes),
    }


def _variables(w: Workload, a: Assembly, samples: np.ndarray, seqs: np.ndarray) -> dict[str, Any]:
    """Return what a run leaves, by name of the schema."""
    world, log = a.world, a.world.log
    chunks = log.chunks[: min(int(log.rows[0]), MAX_CHUNKS)].copy()
    notices = log.notices[: min(int(log.rows[1]), MAX_CHUNKS)].copy()
    return {
        **{name: samples[:, i] for i, name in enumerate(COUNTERS)},
        "numa_scan_seq": seqs,
        "scan_calls": log.scan_calls,
        "scan_pages": log.scan_pages,
        "notifier_calls": log.notifier_calls,
        "notifier_pages": log.notifier_pages,
        "notifier_wasted_pages": log.notifier_wasted_pages,
        **{name: log.secondary[:, i] for i, name in enumerate(SECONDARY)},
        "skips": log.skips,
        "pages_on_node": _pages_on_node(w, a),
        "sum_exec_runtime": world.tasks["sum_exec_runtime"] / 1e6,
        "touches": touches_of(a),
        "total_numa_faults": world.tasks["total_numa_faults"],
        "numa_preferred_nid": world.tasks["numa_preferred_nid"],
        "numa_scan_period": world.tasks["numa_scan_period"],
        "chunk_ms": (chunks[:, 0] - START_NS) / 1e6,
        "chunk_scan": chunks[:, 1],
        "chunk_task": chunks[:, 2],
        "chunk_vma": chunks[:, 3],
        "chunk_start": chunks[:, 4],
        "chunk_pages": chunks[:, 5],
        "chunk_updated": chunks[:, 6],
        "notify_ms": (notices[:, 0] - START_NS) / 1e6,
        "notify_task": notices[:, 1],
        "notify_vma": notices[:, 2],
        "notify_start": notices[:, 3],
        "notify_pages": notices[:, 4],
        "notify_why": notices[:, 5],
        "notify_chunk": notices[:, 6],
        "notify_zapped": notices[:, 7],
    }
