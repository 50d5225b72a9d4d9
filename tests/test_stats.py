import numpy as np
import pytest
import xarray as xr

from numalab import compare, mail, stats, tables
from numalab.dataset import COUNTERS, IMAGE_VMAS, concat, make
from numalab.fields import InputError


def _runs(values):
    return xr.DataArray(
        np.array(values), dims="replicate", coords={"replicate": range(len(values))}
    )


def _dataset(final, scans=3, seq=2):
    ends = {c: [0, final] for c in COUNTERS}
    chunk = {f"chunk_{n}": range(scans) for n in ("ms", "scan", "task", "vma", "start")}
    return make(
        {
            **ends,
            "numa_scan_seq": [[0], [seq]],
            **chunk,
            "chunk_pages": [512] * scans,
            "chunk_updated": [1] * scans,
        },
        {
            "time": [0, 1000],
            "process": ["main"],
            "vma": ["a", *IMAGE_VMAS],
            "task": ["t"],
            "node": [0, 1],
        },
        {"source": "simulated", "kernel": "linux-6.1"},
    )


def test_prediction_interval_is_the_quantiles_of_the_runs():
    low, high = stats.prediction_interval(_runs(np.arange(1001)))
    assert (float(low), float(high)) == pytest.approx((25, 975))


def test_prediction_interval_of_too_few_runs_is_refused():
    with pytest.raises(InputError, match="needs at least 40"):
        stats.prediction_interval(_runs(np.arange(39)))
    stats.prediction_interval(_runs(np.arange(40)))


def test_bootstrap_interval_of_constant_runs_has_no_width():
    low, high = stats.bootstrap_interval(_runs([5] * 8))
    assert (float(low), float(high)) == (5, 5)


def test_bootstrap_interval_holds_the_mean_and_keeps_other_dimensions():
    rng = np.random.default_rng(1)
    da = xr.DataArray(rng.normal(10, 1, (2, 30)), dims=("policy", "replicate"))
    found = stats.bootstrap_interval(da)
    assert found.dims == ("policy", "bound")
    mean = da.mean("replicate")
    assert bool((found.sel(bound="low") < mean).all() and (mean < found.sel(bound="high")).all())


def test_paired_difference_refuses_other_replicates():
    with pytest.raises(InputError, match="cannot be paired"):
        stats.paired_difference(_runs([1, 2]), _runs([1, 2, 3]))
    assert stats.paired_difference(_runs([3, 5]), _runs([1, 2])).values.tolist() == [2, 3]


def test_autonuma_cost_gives_the_published_rows():
    rows = [(97494921, 98707853, 7552783, 494365.23), (401910, 112231, 111429, 566.09)]
    rows += [(354977260, 354078577, 284339, 1772883.13), (1239, 1061, 275, 5.32)]
    for updates, faults, migrated, cost in rows:
        ds = xr.Dataset(
            {
                "numa_pte_updates": updates,
                "numa_hint_faults": faults,
                "numa_pages_migrated": migrated,
            }
        )
        assert round(float(stats.autonuma_cost(ds)), 2) == cost


def test_compare_says_inside_and_outside():
    sim = concat([_dataset(v) for v in range(100, 160)])
    inside = compare.compare(sim, concat([_dataset(120), _dataset(140)]))
    outside = compare.compare(sim, concat([_dataset(300), _dataset(310)]))
    name = "numa_pte_updates"
    assert bool(inside["inside"].sel(counter=name))
    assert int(inside["runs_inside"].sel(counter=name)) == 2
    assert not bool(outside["inside"].sel(counter=name))
    assert float(outside["log2_ratio"].sel(counter=name)) == pytest.approx(np.log2(129.5 / 305))
    assert float(inside["recorded_median"].sel(counter="scans")) == 3
    assert "OUT" in tables.agreement(outside)


def test_compare_ignores_the_padding_of_chunk_tables():
    runs = concat([_dataset(1, scans=2), _dataset(1, scans=5)])
    assert compare.final(runs, "scans").values.tolist() == [2, 5]


def test_table_wider_than_a_mail_is_refused():
    with pytest.raises(InputError, match="at most 75"):
        tables.plain(["a" * 40, "b" * 40], [["1", "2"]])


def _body(**other):
    words = {
        "source": "simulated",
        "question": "does it scan?",
        "machine": "2 nodes",
        "tables": ["a  b"],
        "answer": "yes",
        "reproduce": "make report",
    }
    return mail.compose(**(words | other))


def test_mail_begins_with_its_source_and_ends_with_how_to_repeat_it():
    body = _body()
    assert body.startswith("simulated: does it scan?")
    assert body.splitlines()[-1] == "reproduce: make report"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"source": "measured"}, "must begin"),
        ({"answer": "5 µs"}, "ASCII"),
        ({"tables": ["x" * 76]}, "76 columns"),
        ({"tables": ["a\tb"]}, "ASCII"),
    ],
)
def test_mail_that_a_list_would_refuse_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        _body(**other)


def test_message_is_plain_text_and_a_reply():
    text = str(mail.message(_body(), subject="numa", in_reply_to="<a@b>"))
    assert "In-Reply-To: <a@b>" in text
    assert 'Content-Type: text/plain; charset="us-ascii"' in text
    with pytest.raises(InputError, match="message id"):
        mail.message(_body(), subject="numa", in_reply_to="nobody")
