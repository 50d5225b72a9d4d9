"""Replicates that also draw what a user does not choose: pids, and the moment of an event.

In the model little is random when every thread is bound and busy: runs with the same pids and the
same moment of the event would repeat each other. So a trial draws both, as they would fall on a
real machine. Trials are an axis of a sweep (:func:`numalab.sweep.grid`); every policy sees the
same draws, which makes pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from numalab.engine import Start
from numalab.model.default_start import default_setup
from numalab.workload import Workload

Shape = Callable[[int, float, float], Workload]
"""A workload of a number of threads, the moment of its event [ms] and its length [ms]."""
_PIDS = (300, 30_000)


def trial(
    workload: Shape, tasks: int, event_ms: float, after_ms: float, root_seed: int, trial: int
) -> Start:
    """Draw a trial of a workload with an event.

    Parameters
    ----------
    workload : Shape
        A function of :mod:`numalab.catalog.threads`, for example.
    tasks : int
    event_ms : float [ms]
        The event falls between this and 4/3 of it, uniformly.
    after_ms : float [ms]
        How long the run goes on after the event.
    root_seed, trial : int
        The draw depends on these two and on nothing else.

    Returns
    -------
    Start
        With a layout whose pids are drawn, and a seed.

    Examples
    --------
    >>> from numalab.catalog.threads import exchanged
    >>> one, other = (trial(exchanged, 2, 3000, 5000, 1, i) for i in (0, 1))
    >>> one.seed == other.seed, one.setup.processes[0].pids == other.setup.processes[0].pids
    (False, False)
    """
    stream, draws = np.random.SeedSequence(root_seed, spawn_key=(trial,)).spawn(2)
    rng = np.random.default_rng(draws)
    event = float(rng.uniform(event_ms, event_ms * 4 / 3))
    first_pid = int(rng.integers(*_PIDS))
    made = workload(tasks, event, event + after_ms)
    layout = default_setup(made)
    shift = first_pid - layout.processes[0].pids[0]
    processes = tuple(
        replace(p, pids=tuple(pid + shift for pid in p.pids)) for p in layout.processes
    )
    return Start(
        workload=made,
        setup=replace(layout, processes=processes),
        seed=int(stream.generate_state(1)[0]),
    )
