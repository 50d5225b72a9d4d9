"""What two results of a run differ in."""

from __future__ import annotations

from typing import Any

from numalab.model.layout import Setup
from numalab.policy import Policy
from numalab.workload import Workload
from tests.second_opinion.engine_side import engine
from tests.second_opinion.reference import bare_setup, engine_end_ns, phase_of, simulate

TOUCHES_LOST = 0.005
"""The engine loses what is left of a quarter tick whenever it does a tick in four parts."""


def both(
    w: Workload, policy: Policy, seed: int, setup: Setup | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a workload on the engine and on the second opinion."""
    setup = setup or bare_setup(w)
    phase = phase_of(w, seed)
    other = simulate(
        w, policy, phase_ns=phase, seed=seed, setup=setup, until_ns=engine_end_ns(w, phase)
    )
    return engine(w, policy, setup, seed)[0], other


def differences(w: Workload, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Name what differs, with both values; touches may differ a little."""
    found = {
        key: (one[key], other[key])
        for key in one
        if key not in ("chunks", "touches") and one[key] != other[key]
    }
    for task, n in one["touches"].items():
        if abs(n - other["touches"][task]) > 2 + TOUCHES_LOST * n:
            found["touches", task] = (n, other["touches"][task])
    for process in w.process_names:
        found.update(_chunks(w, process, one["chunks"], other["chunks"]))
    return found


def _chunks(w: Workload, process: str, one: list[dict], other: list[dict]) -> dict[Any, Any]:
    """Compare the chunks of a process; in which order two processes scan at a tick is chance."""
    names = {t.name for t in w.threads if t.process == process}
    mine, theirs = ([c for c in table if c["task"] in names] for table in (one, other))
    if len(mine) != len(theirs):
        return {("chunks", process): (len(mine), len(theirs))}
    for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        late = abs(a["ns"] - b["ns"])  # floats of milliseconds on one side
        if late > 2 or {**a, "ns": 0, "scan": 0} != {**b, "ns": 0, "scan": 0}:
            return {("chunk", process, i): (a, b)}
    return {}
