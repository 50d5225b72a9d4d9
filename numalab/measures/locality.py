"""Where pages lie, and where they are used from."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr

from numalab.engine import first_draws
from numalab.fields import InputError
from numalab.measures.run import own_vmas, provenance_of, require, workload_of
from numalab.measures.scans import Found
from numalab.units import NSEC_PER_MSEC
from numalab.vma import Vma
from numalab.workload import Churn, Workload


def _users(w: Workload, name: str) -> list[tuple[int, tuple[float, float], float]]:
    """Who touches a mapping: (node, part of it, when that ends [ms]) of each thread."""
    found = [(c.cpu, (0.0, 1.0), w.duration_ms) for c in w.churns if c.name == name]
    for task in w.tasks:
        found += [(task.cpu, (a.lo, a.hi), a.stop_ms) for a in task.access if a.vma == name]
    if any(cpu < 0 for cpu, _, _ in found):
        raise InputError(f'"{name}": a user of it is bound to no CPU: its node is not known')
    return [(cpu // w.machine.cpus_per_node, part, end) for cpu, part, end in found]


def users_by_node(w: Workload, name: str) -> np.ndarray:
    """Share of a mapping's last users that run on each node; float64[n_node].

    The last users are the threads whose access to it ends last.
    """
    users = _users(w, name)
    last = max(end for _, _, end in users)
    nodes = [node for node, _, end in users if end == last]
    return np.bincount(nodes, minlength=w.machine.nodes) / len(nodes)


def _local(w: Workload, name: str, share: np.ndarray) -> float:
    """Share of the touches of a mapping that are local if ``share`` of its pages is on a node."""
    users = _users(w, name)
    last = max(end for _, _, end in users)
    parts = sorted({part for _, part, end in users if end == last})
    wanted = users_by_node(w, name)
    if len(parts) == 1 or np.count_nonzero(wanted) == 1:
        return float(share @ wanted)
    if any(one[1] > other[0] for one, other in itertools.pairwise(parts)):
        raise InputError(f'"{name}": threads of several nodes use parts that overlap')
    return float(np.minimum(share, wanted).sum())


def remote_share(run: xr.Dataset, *, prefix: str = "") -> Found:
    """Share of the touches that go to another node at the end of a run.

    Mappings count by their size. Each of their last users counts the same, and touches all pages
    equally often. Where users have parts of their own, pages count as moved to their users.
    Mappings that nobody uses or that hold no page are left out.

    Parameters
    ----------
    prefix : str
        Only own mappings whose names begin so.

    Returns
    -------
    dict
        ``remote_share`` [1]; NaN if no mapping is left.

    Raises
    ------
    InputError
        For users that are bound to no CPU, or share parts of a mapping that are not equal.
    """
    require(run, "pages_on_node")
    w = workload_of(run)
    pages = dict(zip(run["vma"].values, run["pages_on_node"].values, strict=True))
    sizes = {v.name: v.pages * v.count for v in w.vmas} | {c.name: c.pages for c in w.churns}
    local, total = 0.0, 0
    for name in own_vmas(run, prefix):
        if pages[name].sum() and _users(w, name):
            local += sizes[name] * _local(w, name, pages[name] / pages[name].sum())
            total += sizes[name]
    return {"remote_share": 1 - local / total if total else np.nan}


def remote_s(run: xr.Dataset) -> Found:
    """Time that the pages of mappings spend on the wrong node, averaged over the pages.

    The mappings are those that are filled on a node of which no user runs. What migrates
    brings their pages home: so mappings must have users of one node only, and one that comes
    and goes (a churn) must be the only one that is filled elsewhere.

    Returns
    -------
    dict
        ``remote_s`` [s]: at most the length of the run; 0 if no mapping is filled elsewhere.

    Raises
    ------
    InputError
        If the counter of migrations does not say whose pages moved; if samples are too far
        apart for a mapping that comes and goes; if a recording would have to say when it came.
    """
    require(run, "numa_pages_migrated")
    w = workload_of(run)
    mappings: tuple[Vma | Churn, ...] = (*w.vmas, *w.churns)
    elsewhere = [one for one in mappings if _filled_elsewhere(w, one)]
    if not elsewhere:
        return {"remote_s": 0.0}
    short_lived = [one for one in elsewhere if isinstance(one, Churn)]
    if short_lived and len(elsewhere) > 1:
        names = ", ".join(one.name for one in elsewhere)
        raise InputError(f"{names}: one counter does not say whose pages migrated")
    time, moved = run["time"].values, run["numa_pages_migrated"].values
    if short_lived:
        born, dead = _lives(run, w, short_lived[0])
        pages = short_lived[0].pages
    else:
        born, dead = np.zeros(1), np.full(1, np.inf)
        pages = sum(round(v.pages * v.count * v.populated) for v in w.vmas if v in elsewhere)
    share = _remote_over_time(moved, time, (born, dead), pages)
    return {"remote_s": share * w.duration_ms / 1000}


def moving(run: xr.Dataset) -> Found:
    """For how long a process is as remote as at its start, if from then on it is as at its end.

    Returns
    -------
    dict
        ``moving_s`` [s]: the whole run, if nothing migrates.
    """
    require(run, "numa_pages_migrated")
    moved = run["numa_pages_migrated"].values
    left = 1 - moved / max(1, moved[-1])
    return {"moving_s": float((left * np.diff(run["time"].values, prepend=0.0)).sum() / 1000)}


def _filled_elsewhere(w: Workload, one: Vma | Churn) -> bool:
    """Whether a mapping is filled on another node than that of its users."""
    nodes = {node for node, _, _ in _users(w, one.name)}
    if len(nodes) > 1 or (nodes and getattr(one, "policy", "") == "interleave"):
        raise InputError(f'"{one.name}" is used from, or spread over, several nodes')
    return bool(nodes) and one.first_touch_node >= 0 and one.first_touch_node not in nodes


def _lives(run: xr.Dataset, w: Workload, churn: Churn) -> tuple[np.ndarray, np.ndarray]:
    """When the mappings of a churn come and go in a simulated run [ms]: float64[n_life] each."""
    origin = provenance_of(run)
    if origin["source"] != "simulated":
        raise InputError(f'"{churn.name}": a recording does not say when its mappings came')
    most = max(churn.lifetime_ms / 5, 1000 / w.machine.hz)
    if w.sample_ms > most:
        raise InputError(
            f'sample_ms = {w.sample_ms:g} ms: must be at most {most:g} ms for "{churn.name}"'
        )
    replicate = int(run["replicate"]) if "replicate" in run.coords else origin["replicate"]
    row = [c.name for c in w.churns].index(churn.name)
    lives = first_draws(w, origin["seed"], replicate)[1][row] / NSEC_PER_MSEC
    lives = np.tile(lives, int(w.duration_ms / (lives + churn.gap_ms).sum()) + 1)
    born = np.concatenate([[0.0], (lives + churn.gap_ms).cumsum()[:-1]])
    alive = born < w.duration_ms
    return born[alive], (born + lives)[alive]


def _remote_over_time(
    moved: np.ndarray, time_ms: np.ndarray, lives: tuple[np.ndarray, np.ndarray], pages: int
) -> float:
    """Mean share of a mapping's pages that lie on the wrong node, over a run.

    Parameters
    ----------
    moved : int64[n_sample] [pages]
        Pages brought home so far, of whichever mapping lived at the time. What moved before the
        first sample of a life counts as moved before it.
    time_ms : float64[n_sample] [ms]
    lives : tuple of float64[n_life] [ms]
        When each mapping came and went; between two of them none is remote.
    pages : int
        Of a mapping, all of them on the wrong node when it comes.
    """
    born, dead = lives
    life = np.searchsorted(born, time_ms, side="right") - 1
    first = np.searchsorted(time_ms, born, side="left").clip(max=len(moved) - 1)
    home = (moved - moved[first][life]).clip(0, pages) / pages
    return float(np.where(time_ms < dead[life], 1 - home, 0.0)[:-1].mean())
