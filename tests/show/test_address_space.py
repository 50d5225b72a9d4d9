"""Mappings lie where they are, to scale; any number of them can be named."""

import dataclasses
import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from numalab import workload_file
from numalab.catalog.guests import guest
from numalab.machine import Machine
from numalab.show import address_map, address_space
from numalab.workload import Access, Task, Vma, Workload

PATTERN = "data/workloads/{}.toml"


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _workload(*vmas):
    task = Task(name="t", access=(Access(vma=vmas[0].name),))
    return Workload(name="w", machine=Machine(memory_mb=8192), vmas=vmas, tasks=(task,))


def test_bands_are_to_scale_and_do_not_overlap():
    laid = address_map.lay_out(workload_file.load(PATTERN.format("cold")))
    sizes = {band.name: band.high - band.low for band in laid.bands}
    assert [sizes[name] for name in ("hot0", "hot1", "cold")] == pytest.approx([4096, 4096, 98304])
    ends = [(band.low, band.high) for band in laid.bands]
    assert all(below[1] < above[0] for above, below in itertools.pairwise(ends))
    assert (ends[-1][0], laid.height) == (0, ends[0][1])


def test_each_process_has_its_own_mappings_and_ends_with_its_program():
    laid = address_map.lay_out(workload_file.load(PATTERN.format("two-processes")))
    found = [(band.process, band.name) for band in laid.bands]
    assert found == [("local", "a"), ("local", ""), ("remote", "b"), ("remote", "")]
    assert [band.process for band in laid.of("image:heap")] == ["local", "remote"]


def test_free_address_space_is_known():
    """Two guard pages between neighbours; nearly all of 128 TB between mappings and program."""
    laid = address_map.lay_out(workload_file.load(PATTERN.format("cold")))
    assert [band.gap_pages for band in laid.bands[:3]] == [0, 2, 2]
    assert address_map.size_text(laid.bands[-1].gap_pages) == "127 TB"


def test_the_first_pages_of_copies_lie_in_the_upper_one():
    laid = address_map.lay_out(_workload(Vma(name="m", size_mb=1, count=3)))
    band = laid.bands[0]
    low, high = band.place(np.array([0, 10, 256, 512]), np.array([256, 5, 256, 1]))
    assert low - band.low == pytest.approx([512, 522, 256, 0])
    assert high - low == pytest.approx([256, 5, 256, 1])


@pytest.mark.parametrize(
    ("lo", "hi", "parts"),
    [
        (0.0, 1.0, [(0, 1024)]),
        (0.0, 0.5, [(512, 1024)]),
        (0.125, 0.2, [(896, 972.8)]),
        (0.125, 0.875, [(896, 1024), (256, 768), (0, 128)]),
    ],
)
def test_a_range_over_copies_is_where_its_pages_are(lo, hi, parts):
    band = address_map.lay_out(_workload(Vma(name="m", size_mb=1, count=4))).bands[0]
    found = [(low - band.low, high - band.low) for low, high in band.parts(lo, hi)]
    assert found == [pytest.approx(part) for part in parts]
    assert sum(high - low for low, high in found) == pytest.approx((hi - lo) * 1024)


def test_equal_neighbours_share_a_label_and_the_smallest_of_many():
    equal = [Vma(name=f"m{i}", size_mb=4) for i in range(100)]
    groups = address_map.grouped(address_map.lay_out(_workload(*equal)))
    assert [address_map.name(group) for group in groups] == ["m0...m99 (100)", "program"]
    assert address_map.words(groups[0]) == "m0 ... m99: 100 x 4 MB anon"
    others = [Vma(name=f"m{i}", size_mb=i + 1) for i in range(100)]
    groups = address_map.grouped(address_map.lay_out(_workload(*others)))
    assert len(groups) == address_map.MOST
    assert sum(len(group) for group in groups) == 101
    assert address_map.words(groups[0]).startswith("m0 ... m")
    assert "mappings of 1 MB to" in address_map.words(groups[0])


def test_labels_say_what_a_mapping_is():
    laid = address_map.lay_out(workload_file.load(PATTERN.format("pinned-half")))
    words = [address_map.words(group) for group in address_map.grouped(laid)]
    assert words[0] == "a: 96 MB anon, 50 % pinned"
    assert words[1] == "b: 96 MB anon, 50 % pinned, scattered"
    laid = address_map.lay_out(workload_file.load(PATTERN.format("churn-short")))
    words = [address_map.words(group) for group in address_map.grouped(laid)]
    assert words[1] == "young: 16 MB comes and goes, 300 ms"


def _texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_picture_names_mappings_and_threads_that_do_the_same_once():
    texts = _texts(address_space.draw(guest(memory_mb=64, vcpus=64, pin_fraction=0.5, thp=True)))
    assert "ram: 64 MB anon thp, of kvm, 50 % pinned" in texts
    assert {"vcpu0 ... vcpu62 (32)", "vcpu1 ... vcpu63 (32)"} <= set(texts)


def test_threads_beyond_the_last_column_share_it():
    vmas = [Vma(name=f"m{i}", size_mb=4) for i in range(40)]
    tasks = [Task(name=f"t{v.name}", access=(Access(vma=v.name),)) for v in vmas]
    workload = Workload(name="w", vmas=tuple(vmas), tasks=tuple(tasks))
    assert "tm15 ... tm39 (25)" in _texts(address_space.draw(workload))


def test_pins_and_nodes_are_explained_only_where_there_are_any():
    pinned = workload_file.load(PATTERN.format("pinned-half"))
    free = tuple(dataclasses.replace(vma, pinned_fraction=0.0) for vma in pinned.vmas)
    for workload, expected in ((pinned, True), (dataclasses.replace(pinned, vmas=free), False)):
        legend = address_space.draw(workload).legends[0]
        words = [text.get_text() for text in legend.get_texts()]
        assert ("pinned" in words, words[:2]) == (expected, ["node 0", "node 1"])


def test_labels_lie_apart_and_within_the_picture():
    many = [Vma(name=f"m{i}", size_mb=1 + 3 * (i % 2)) for i in range(40)]
    ax = address_space.draw(_workload(*many, Vma(name="huge", size_mb=4000))).axes[0]
    at = sorted(text.get_position()[1] for text in ax.texts if ": " in text.get_text())
    assert len(at) == address_map.MOST
    assert at[0] >= 0
    assert min(b - a for a, b in itertools.pairwise(at)) > ax.get_ylim()[1] / 40


def test_a_sentence_says_what_is_drawn():
    text = address_space.summary(workload_file.load(PATTERN.format("remote-single")))
    assert text.startswith("Address space of remote-single: ")
    assert "stacks, guards" in text
