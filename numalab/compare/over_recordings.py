"""One table over many recordings."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import xarray as xr

from numalab import __version__
from numalab.captures import Recording
from numalab.compare.by_counter import counters
from numalab.compare.by_event import events
from numalab.fields import InputError

Comparison = Callable[[xr.Dataset, xr.Dataset], xr.Dataset]
"""From simulated and recorded runs of one workload to a Dataset of small arrays."""


def over(
    recordings: Sequence[Recording],
    by: Sequence[Comparison] = (counters, events),
    *,
    replicates: int = 200,
    seed: int = 1,
    default_start: bool = False,
) -> xr.Dataset:
    """Compare the model with recordings, each of which is simulated once.

    Parameters
    ----------
    recordings : sequence of Recording
        From :func:`numalab.captures.find`.
    by : sequence of callable
        Comparisons, of this package or a caller's own; their variables have different names.
    replicates : int
        Simulated runs of each recording.
    seed : int
        Root of the random streams.
    default_start : bool
        See :meth:`numalab.captures.Recording.simulate`.

    Returns
    -------
    xarray.Dataset
        The variables of all comparisons over ``cell``, with the coordinates ``workload`` and
        ``generation`` along it; NaN where a comparison gave none. ``attrs["provenance"]`` has the
        SHA-256 of the image of each recorded kernel.

    Raises
    ------
    InputError
        Without a recording; what a recording or a comparison raises.
    """
    if not recordings:
        raise InputError("no recordings to compare with")
    cells = []
    for recording in recordings:
        simulated = recording.simulate(replicates, seed, default_start=default_start)
        recorded = recording.dataset()
        cells.append(xr.merge([one(simulated, recorded) for one in by], combine_attrs="override"))
    table = xr.concat(cells, dim="cell", join="outer", data_vars="all")
    images = {one.label: one.manifest["image_sha256"] for one in recordings}
    origin = {"numalab": __version__, "replicates": replicates, "seed": seed, "recordings": images}
    origin |= {"default_start": default_start}
    return table.assign_coords(
        workload=("cell", [recording.name for recording in recordings]),
        generation=("cell", [recording.generation for recording in recordings]),
    ).assign_attrs(provenance=json.dumps(origin))
