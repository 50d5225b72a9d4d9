"""How many replicates would show a difference? Power of the paired t test.

In closed form: with mean difference ``d`` and spread ``s`` of the differences, t of ``n``
pairs is noncentral with parameter d / s * sqrt(n) (Cohen, Statistical Power Analysis, 1988,
section 2.3.5; scipy.stats.nct).
"""

from __future__ import annotations

import numpy as np
import scipy  # loads scipy.stats when it is first used
import xarray as xr

from numalab.fields import InputError
from numalab.stats.intervals import alike, check_finite, check_level, paired_difference

_MOST = 100_000


def power(effect: float, n: int, *, alpha: float = 0.05) -> float:
    """Probability that a two-sided paired t test of ``n`` pairs shows an effect.

    Parameters
    ----------
    effect : float
        Mean difference over the standard deviation of the differences.
    n : int
    alpha : float

    Examples
    --------
    >>> round(power(0.5, 34), 4)
    0.8078
    """
    check_level(alpha, "alpha")
    if n < 2:
        raise InputError(f"n = {n}: a paired test needs at least 2")
    if not np.isfinite(effect):
        raise InputError(f"effect = {effect:g} standard deviations: must be finite")
    df, nc = n - 1, abs(effect) * np.sqrt(n)
    t = scipy.stats.t.isf(alpha / 2, df)
    # nct.cdf loses the far tail on the other side to rounding, where it is below 1e-15 anyway
    other = float(scipy.stats.nct.cdf(-t, df, nc)) if nc < 8 else 0.0
    return float(scipy.stats.nct.sf(t, df, nc)) + other


def pairs_for(effect: float, *, wanted: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest pairs with which the test shows an effect with probability ``wanted``.

    Raises
    ------
    InputError
        If a probability is out of bounds, the effect is not finite, or more than 100 000
        pairs would be needed.

    Examples
    --------
    Cohen's large, medium and small effects:

    >>> [pairs_for(d) for d in (0.8, 0.5, 0.2)]
    [15, 34, 199]
    """
    check_level(alpha, "alpha")
    if not alpha < wanted < 1:
        raise InputError(f"power = {wanted:g}: must lie between alpha = {alpha:g} and 1")
    if effect == 0 or power(effect, _MOST, alpha=alpha) < wanted:
        raise InputError(
            f"effect = {effect:g} standard deviations: even {_MOST} pairs would not show it"
        )
    low, high = 1, 2
    while power(effect, high, alpha=alpha) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if power(effect, middle, alpha=alpha) < wanted:
            low = middle
        else:
            high = middle
    return high


def advice(
    a: xr.DataArray,
    base: xr.DataArray,
    *,
    change: float = 0.05,
    wanted: float = 0.8,
    alpha: float = 0.05,
    level: float = 0.95,
) -> xr.Dataset:
    """How many replicates would resolve a change of the mean against a base.

    Parameters
    ----------
    a, base : xarray.DataArray
        A pilot: the same ``replicate``; other dimensions are looked at one by one.
    change : float
        To resolve, as a share of the base's mean.
    wanted, alpha : float
        Probability to show it, and level of the paired t test.
    level : float
        Of the upper limit of the pilot's spread (chi square), for ``n_high``.

    Returns
    -------
    xarray.Dataset
        ``replicate`` disappears. ``n`` : int64, from the pilot's spread as it is; ``n_high``
        : int64, if the spread is as large as the pilot leaves open; ``spread`` : float64,
        standard deviation of the differences in the data's unit.

    Raises
    ------
    InputError
        If the replicates are no pairs, fewer than 3 or not finite, if nothing differs between
        the pairs, or the base's mean is zero: a share of it says nothing.
    """
    d = paired_difference(a, base).astype(np.float64)
    runs = d.sizes["replicate"]
    if runs < 3:
        raise InputError(f"replicates = {runs}: a spread needs at least 3")
    check_level(level)
    check_finite(a.values, base.values)
    if not 0 < change < np.inf:
        raise InputError(f"change = {change:g}: must be above 0 and finite")
    wide = np.sqrt((runs - 1) / scipy.stats.chi2.ppf(1 - level, runs - 1))

    def of(values: np.ndarray, mean: float) -> tuple[int, int, float]:
        if alike(values):
            raise InputError("the differences have no spread: one pair shows all there is")
        if mean == 0:
            raise InputError("the base's mean is 0: a share of it says nothing")
        spread = float(np.std(values, ddof=1))
        effect = change * abs(mean) / spread
        return (
            pairs_for(effect, wanted=wanted, alpha=alpha),
            pairs_for(effect / wide, wanted=wanted, alpha=alpha),
            spread,
        )

    n, high, spread = xr.apply_ufunc(
        of,
        d,
        base.astype(np.float64).mean("replicate"),
        input_core_dims=[["replicate"], []],
        output_core_dims=[[], [], []],
        vectorize=True,
    )
    found = xr.Dataset({"n": n, "n_high": high, "spread": spread})
    found.attrs = {"change": change, "power": wanted, "alpha": alpha, "pilot": runs}
    return found


def sentence(n: int, change: float) -> str:
    """Return the advice in words.

    Examples
    --------
    >>> sentence(12, 0.05)
    'n = 12 would resolve a 5 % difference'
    """
    return f"n = {n} would resolve a {100 * change:g} % difference"
