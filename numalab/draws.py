"""Random draws inside the engine, from a numpy Generator that is passed in."""

from __future__ import annotations

import math

from numalab.jit import drawing


@drawing
def draw_binomial(rng, n, p):
    """Draw from the binomial distribution of ``n`` trials with probability ``p``."""
    return rng.binomial(n, p)


@drawing
def draw_below(rng, n):
    """Draw a whole number from 0 to ``n - 1``."""
    return min(int(rng.random() * n), n - 1)


@drawing
def draw_unit(rng):
    """Draw from [0, 1)."""
    return rng.random()


@drawing
def draw_lognormal(rng, sigma):
    """Draw a factor of median 1 whose logarithm has standard deviation ``sigma``."""
    return rng.lognormal(0.0, sigma)


@drawing
def draw_hypergeometric(rng, good, bad, sample):
    """Draw how many of ``sample`` items without replacement are good.

    Inversion from the mode outwards (numba has no Generator.hypergeometric): exact as long
    as the standard deviation is below 1000, a rounded normal beyond.
    """
    if good == 0 or sample == 0:
        return 0
    if bad == 0:
        return sample
    total = good + bad
    if sample == total:
        return good
    lowest = max(0, sample - bad)
    highest = min(good, sample)
    mean = sample * (good / total)
    sd = math.sqrt(mean * (bad / total) * ((total - sample) / (total - 1.0)))
    if sd > 1000.0:
        return min(max(round(rng.normal(mean, sd)), lowest), highest)
    mode = int((sample + 1.0) * (good + 1.0) / (total + 2.0))
    mode = min(max(mode, lowest), highest)
    lg = math.lgamma
    log_p = (
        lg(good + 1) - lg(mode + 1) - lg(good - mode + 1)
        + lg(bad + 1) - lg(sample - mode + 1) - lg(bad - sample + mode + 1)
        - lg(total + 1) + lg(sample + 1) + lg(total - sample + 1)
    )  # fmt: skip
    u = rng.random()
    p_up = p_down = math.exp(log_p)
    up = down = mode
    u -= p_up
    while u > 0:
        if up < highest:
            p_up *= (good - up) * (sample - up) / ((up + 1.0) * (bad - sample + up + 1.0))
            up += 1
            u -= p_up
            if u <= 0:
                return up
        if down > lowest:
            p_down *= down * (bad - sample + down) / ((good - down + 1.0) * (sample - down + 1.0))
            down -= 1
            u -= p_down
            if u <= 0:
                return down
        if up == highest and down == lowest:
            break
        if p_up < 1e-18 and p_down < 1e-18:
            break
    return mode
