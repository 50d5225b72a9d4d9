"""How numbers with intervals are written: ASCII, as many digits as the interval bears."""

from __future__ import annotations

import math
from collections.abc import Sequence

import xarray as xr

from numalab.stats.intervals import count_runs, identical, proportion_interval, summary

_LETTERS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def _scale(largest: float) -> tuple[float, str]:
    return next(((limit, c) for limit, c in _LETTERS if limit <= largest < math.inf), (1.0, ""))


def format_number(value: float, *, sign: bool = False) -> str:
    """Write a number with three digits, whole from 100 to a million, then with a letter.

    >>> [format_number(x) for x in (0.0, 0.3141, 12.0, 12.345, 1234.5, 531_000, 1_234_567)]
    ['0', '0.314', '12', '12.3', '1234', '531000', '1.23M']
    """
    limit, letter = _scale(abs(value))
    plus = "+" if sign and value > 0 else ""
    whole = not letter and 100 <= abs(value) < math.inf
    return f"{plus}{value:.0f}" if whole else f"{plus}{value / limit:.3g}{letter}"


def format_interval(
    mean: float, low: float, high: float, unit: str = "", *, sign: bool = False
) -> str:
    """Write a mean with its interval, which decides how many digits are written: four at most.

    Parameters
    ----------
    unit : str
        In which the numbers are: shares in per cent are multiplied by the caller.
    sign : bool
        Write a plus before what is above zero: a difference.

    Examples
    --------
    >>> format_interval(12.345, 11.9, 12.8), format_interval(1.2345e6, 1.1e6, 1.4e6, "pages")
    ('12.3 [11.9, 12.8]', '1.23M pages [1.10M, 1.40M]')
    >>> format_interval(3.07, 2.2, 3.9, "ms", sign=True), format_interval(7, 7, 7, "ms")
    ('+3.1 ms [+2.2, +3.9]', '7 ms [identical]')
    """
    unit = f" {unit}" if unit else ""
    if low == high:
        return f"{format_number(mean, sign=sign)}{unit} [identical]"
    largest = max(abs(x) for x in (mean, low, high))
    limit, letter = _scale(largest)
    digits = _decimals(min(abs(mean - x) or math.inf for x in (low, high)) / limit)
    if math.isfinite(largest):
        digits = min(digits, max(0, 3 - math.floor(math.log10(largest / limit))))

    def one(value: float) -> str:
        text = f"{value / limit:.{digits}f}"
        text = text.removeprefix("-") if float(text) == 0 else text
        return f"{'+' if sign and float(text) > 0 else ''}{text}{letter}"

    return f"{one(mean)}{unit} [{one(low)}, {one(high)}]"


def _decimals(half_width: float) -> int:
    """Places of two digits of a half width that begins below 3.55, else of one (as the PDG)."""
    if not 0 < half_width < math.inf:
        return 2
    exponent = math.floor(math.log10(half_width))
    return max(0, (half_width / 10.0**exponent < 3.55) - exponent)


def format_summary(found: xr.DataArray, unit: str = "", *, sign: bool = False) -> xr.DataArray:
    """Write each cell of a summary (with ``.to_pandas()``, a table); ``statistic`` disappears."""
    return xr.apply_ufunc(
        lambda x: format_interval(float(x[0]), float(x[1]), float(x[2]), unit, sign=sign),
        found,
        input_core_dims=[["statistic"]],
        vectorize=True,
        output_dtypes=[object],
    )


def format_range(values: Sequence[float]) -> str:
    """Write a range of numbers, briefly.

    Examples
    --------
    >>> format_range([0.414, 123.4, 83000])
    '0.41..123..83k'
    """
    return "..".join(_short(v / 1000) + "k" if v >= 1000 else _short(v) for v in values)


def _short(value: float) -> str:
    if value < 0.005:
        return "0"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def format_proportion(successes: int, n: int, level: float = 0.95) -> str:
    """Write a share of trials with its exact interval.

    >>> format_proportion(20, 20), format_proportion(3, 40)
    ('20 of 20 (100 % [83, 100])', '3 of 40 (8 % [2, 20])')
    """
    low, high = proportion_interval(successes, n, level)
    return f"{successes} of {n} ({100 * successes / n:.0f} % [{100 * low:.0f}, {100 * high:.0f}])"


def describe(
    da: xr.DataArray, unit: str = "", *, dim: str = "replicate", level: float = 0.95
) -> str:
    """Write the mean over ``dim``, the only dimension, with its interval; truth as a share.

    >>> describe(xr.DataArray([1.0, 2.0, 3.0], dims="replicate"), "s")
    '2.0 s [-0.5, 4.5]'
    >>> describe(xr.DataArray([7, 7, 7], dims="replicate"), "s")
    '7 s (identical in all 3 runs)'
    >>> describe(xr.DataArray([True] * 20, dims="replicate"))
    '20 of 20 (100 % [83, 100])'
    """
    n = count_runs(da, dim)
    if da.dtype == bool:
        return format_proportion(int(da.sum()), n, level)
    mean, low, high = (float(x) for x in summary(da, dim, level))
    if identical(da.values):
        return f"{format_number(mean)}{f' {unit}' if unit else ''} (identical in all {n} runs)"
    return format_interval(mean, low, high, unit)
