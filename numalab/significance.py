"""Is a difference more than chance? Replicates are the units; several tests are corrected."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats as sp

from numalab.fields import InputError


def differs_from_zero(da: xr.DataArray) -> xr.DataArray:
    """Two-sided p values of a t test over ``replicate`` that the mean is zero.

    For paired differences this is the paired t test. Replicates that are all alike and
    not zero, a difference in which nothing is random, have p = 0; all zero have p = 1.

    Raises
    ------
    InputError
        With fewer than 3 replicates.
    """
    n = da.sizes["replicate"]
    if n < 3:
        raise InputError(f"replicates = {n}: a test needs at least 3")

    def p_value(values: np.ndarray) -> float:
        spread = float(np.ptp(values))
        if spread <= 1e-12 * max(1.0, float(np.abs(values).max())):
            return 1.0 if abs(float(values[0])) < 1e-12 else 0.0
        return float(sp.ttest_1samp(values, 0.0).pvalue)

    return xr.apply_ufunc(
        p_value, da.astype(np.float64), input_core_dims=[["replicate"]], vectorize=True
    )


def holm(p: xr.DataArray) -> xr.DataArray:
    """Return p values corrected by Holm's step-down method, over the whole array.

    Examples
    --------
    >>> holm(xr.DataArray([0.01, 0.04, 0.03], dims="test")).values.round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    flat = p.values.ravel()
    order = np.argsort(flat, kind="stable")
    stepped = flat[order] * (flat.size - np.arange(flat.size))
    corrected = np.empty_like(flat)
    corrected[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return p.copy(data=corrected.reshape(p.shape))
