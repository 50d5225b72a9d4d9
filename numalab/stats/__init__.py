"""Statistics over replicates, by dimension name, and how they are written.

summary(ds)                          mean, low, high of every variable
describe(da, "ms")                   '12.3 ms [11.9, 12.8]'
paired(da, "policy", "linux-6.1")    differences with interval, p and Holm's p
bootstrap(function, a, b)            interval of any function of means
resample(ds), over_draws(ds)         runs drawn anew beside drawn costs; intervals over both
crossing(da, "pin_fraction")         where a mean difference changes its sign
describe_crossing(found)             '0.31 [0.28, not up to 0.9]'
break_even(saved, lost)              rate up to which more is saved than lost
variance_shares(da, axes)            what each axis of a grid decides
sobol_indices(design, da)            what each parameter of a design decides
again(headline, duration, n, seed)   a headline for twice the duration, another seed, half of n
changes(found, "s")                  what was found where it does not hold
clear(differences, duration, n, ...) what is beyond chance and holds
"""

from numalab.stats.crossings import Crossing, break_even, crossing, describe_crossing
from numalab.stats.formatting import (
    describe,
    format_interval,
    format_number,
    format_proportion,
    format_range,
    format_summary,
)
from numalab.stats.intervals import (
    bootstrap,
    fewest_runs,
    identical,
    mean_interval,
    prediction_interval,
    proportion_interval,
    summary,
)
from numalab.stats.resampling import over_draws, resample
from numalab.stats.sensitivity import (
    sobol_indices,
    variance_shares,
)
from numalab.stats.significance import holm, p_value, paired
from numalab.stats.stability import VARIATIONS, again, changes, clear, holds
