import numpy as np
import pytest
import xarray as xr

from numalab.fields import InputError
from numalab.stats import sensitivity

CUBE = dict.fromkeys(("a", "b", "c"), (-np.pi, np.pi))


def ishigami(a, b, c):
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def test_sobol_indices_of_the_ishigami_function_are_the_known_ones():
    """S1 = 0.3139, 0.4424, 0 and ST = 0.5576, 0.4424, 0.2437 (Saltelli et al. 2008, 4.5)."""
    design = sensitivity.sobol_design(CUBE, n=2048, seed=0)
    found = sensitivity.sobol(sensitivity.evaluate(design, ishigami))
    assert dict(found.sizes) == {"parameter": 3}
    np.testing.assert_allclose(found["S1"], [0.3139, 0.4424, 0], atol=0.03)
    np.testing.assert_allclose(found["ST"], [0.5576, 0.4424, 0.2437], atol=0.03)
    assert bool((found["S1_conf"] > 0).all() and (found["S1_conf"] < 0.1).all())


def test_morris_of_a_linear_function_gives_its_slopes_and_no_spread():
    """The effect is over the scaled range: slope times length."""
    ranges = {"a": (0, 1), "b": (0, 10), "c": (5, 6)}
    design = sensitivity.morris_design(ranges, trajectories=8, seed=1)
    found = sensitivity.morris(sensitivity.evaluate(design, lambda a, b, c: 2 * a - 3 * b))
    np.testing.assert_allclose(found["mu"], [2, -30, 0], atol=1e-9)
    np.testing.assert_allclose(found["mu_star"], [2, 30, 0], atol=1e-9)
    np.testing.assert_allclose(found["sigma"], 0, atol=1e-9)


def test_morris_sees_an_interaction_as_spread():
    design = sensitivity.morris_design({"a": (0, 1), "b": (0, 1), "c": (0, 1)}, trajectories=30)
    found = sensitivity.morris(sensitivity.evaluate(design, lambda a, b, c: a * b + c))
    assert float(found["sigma"].sel(parameter="c")) < 1e-9
    assert float(found["sigma"].sel(parameter=["a", "b"]).min()) > 0.1


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("method", ["sobol", "morris"])
def test_a_seed_fixes_design_and_intervals_zero_too(method, seed):
    def once(seed):
        design = getattr(sensitivity, f"{method}_design")(CUBE, seed=seed)
        return getattr(sensitivity, method)(sensitivity.evaluate(design, ishigami))

    xr.testing.assert_identical(once(seed), once(seed))
    assert not once(seed).equals(once(seed + 1))


def test_points_lie_within_their_ranges():
    for make in (sensitivity.sobol_design, sensitivity.morris_design):
        design = make({"a": (2, 3), "b": (-1, 5)})
        assert 2 <= float(design["a"].min()) < float(design["a"].max()) <= 3
        assert -1 <= float(design["b"].min()) < float(design["b"].max()) <= 5


def test_designs_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="power of 2"):
        sensitivity.sobol_design(CUBE, n=100)
    with pytest.raises(InputError, match="n = 8: must be a power of 2, and at least 16"):
        sensitivity.sobol_design(CUBE, n=8)
    with pytest.raises(InputError, match="trajectories = 7: must be at least 8"):
        sensitivity.morris_design(CUBE, trajectories=7)
    with pytest.raises(InputError, match=r"a = 1 \.\. 1: must be finite and rising"):
        sensitivity.sobol_design({"a": (1, 1)})
    with pytest.raises(InputError, match="no parameters"):
        sensitivity.morris_design({})
    with pytest.raises(InputError, match="levels = 3"):
        sensitivity.morris_design(CUBE, levels=3)


def test_the_fewest_points_have_intervals_that_mostly_hold():
    """The additive a + 2 b: S1 = 0.2, 0.8; of exp(a) + ab, mu_star of b is 0.5.

    Of 8 base samples 17 % of the intervals miss, of 2 trajectories 55 %.
    """
    square = {"a": (0, 1), "b": (0, 1)}
    missed = []
    for seed in range(60):
        design = sensitivity.sobol_design(square, n=sensitivity.FEWEST_SAMPLES, seed=seed)
        one = sensitivity.sobol(sensitivity.evaluate(design, lambda a, b: a + 2 * b))
        missed.append(np.abs(one["S1"].values - [0.2, 0.8]) > one["S1_conf"].values)
    assert np.mean(missed) < 0.1
    missed = []
    for seed in range(60):
        least = sensitivity.FEWEST_TRAJECTORIES
        design = sensitivity.morris_design(square, trajectories=least, seed=seed)
        one = sensitivity.morris(sensitivity.evaluate(design, lambda a, b: np.exp(a) + a * b))
        missed.append(abs(one["mu_star"].values[1] - 0.5) > one["mu_star_conf"].values[1])
    assert np.mean(missed) < 0.2


def test_results_that_say_nothing_are_refused():
    design = sensitivity.sobol_design(CUBE, n=16)
    with pytest.raises(InputError, match="evaluate the points first"):
        sensitivity.sobol(design)
    with pytest.raises(InputError, match="alike at all points"):
        sensitivity.sobol(sensitivity.evaluate(design, lambda a, b, c: 5))
    done = sensitivity.evaluate(design, ishigami)
    with pytest.raises(InputError, match="needs all of them"):
        sensitivity.sobol(done.isel(point=slice(0, -1)))
    with pytest.raises(InputError, match="1 points are missing"):
        sensitivity.sobol(done.assign(y=done["y"].where(done["point"] != 3)))
    with pytest.raises(InputError, match="not made by morris_design"):
        sensitivity.morris(done)
