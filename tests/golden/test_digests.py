"""Nothing that is computed changes unless a commit says so (``make golden``)."""

import json

import pytest

from tests.golden import digests

pytestmark = pytest.mark.slow
HELD = json.loads(digests.FILE.read_text(encoding="utf-8"))
CHANGED = "numbers changed: if that is meant, run 'make golden' and say why in the commit"


def test_every_input_has_its_digests():
    of = {"simulate": digests.workloads(), "sweep": digests.sweeps()}
    of["recording"] = digests.recordings()
    assert {kind: sorted(found) for kind, found in of.items()} == {
        kind: sorted(found) for kind, found in HELD.items()
    }


@pytest.mark.parametrize("name", HELD["simulate"])
def test_simulate_gives_the_same_bits(name):
    assert digests.of_simulate(digests.workloads()[name]) == HELD["simulate"][name], CHANGED


@pytest.mark.parametrize("name", HELD["sweep"])
def test_a_sweep_gives_the_same_bits(name):
    assert digests.of_sweep(digests.sweeps()[name]) == HELD["sweep"][name], CHANGED


@pytest.mark.parametrize("name", HELD["recording"])
def test_a_recording_and_its_comparison_give_the_same_bits(name):
    assert digests.of_recording(digests.recordings()[name]) == HELD["recording"][name], CHANGED
