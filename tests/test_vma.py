"""The mapping and its subscriber: what contradicts itself is refused, what was stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from numalab import workload_file
from numalab.captures import find
from numalab.fields import InputError
from numalab.vma import SUBSCRIBERS, Vma
from numalab.workload import Access, Task, Workload

ROOT = Path(__file__).parents[1]
RECORDED = [
    recording
    for root in (ROOT / "data", ROOT / "tests" / "data")
    for recording in find(root / "captures")
]


def _task(name, *vmas):
    return Task(name=name, access=tuple(Access(vma=v) for v in vmas))


@pytest.mark.parametrize("guest", ["kvm", "sev"])
@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"count": 2}, r'vma "m": count = 2: subscriber = "\w+" .* must be 1'),
        ({"kind": "file_rw"}, r'vma "m": kind = "file_rw": subscriber = "\w+" needs kind anon or'),
        ({"kind": "hugetlb"}, r'kind = "hugetlb"'),
    ],
)
def test_what_cannot_be_the_memory_of_a_guest(guest, values, line):
    with pytest.raises(InputError, match=line) as caught:
        Vma(name="m", size_mb=2, subscriber=guest, **values)
    assert "\n" not in str(caught.value)


def test_a_device_may_map_what_a_guest_may_not():
    mapped = Vma(name="m", size_mb=2, subscriber="gpu", kind="file_rw", count=3)
    assert mapped.pages * mapped.count == 3 * 512


def test_an_unknown_subscriber_names_the_choices():
    with pytest.raises(InputError, match=r"subscriber = 'xen': .*none, kvm, sev"):
        Vma(name="m", size_mb=2, subscriber="xen")


@pytest.mark.parametrize("guest", ["kvm", "sev"])
@pytest.mark.parametrize("order", [("ram", "other"), ("other", "ram")])
def test_a_vcpu_touches_its_guest_only(guest, order):
    vmas = (
        Vma(name="ram", size_mb=2, subscriber=guest),
        Vma(name="other", size_mb=2),
    )
    line = r'task "t": touches vma "other": it is a vCPU of the guest whose memory is vma "ram"'
    with pytest.raises(InputError, match=line):
        Workload(name="w", vmas=vmas, tasks=(_task("t", *order),))
    each = Workload(name="w", vmas=vmas, tasks=(_task("t", "ram", "ram"), _task("u", "other")))
    assert [{a.vma for a in task.access} for task in each.tasks] == [{"ram"}, {"other"}]


def test_a_vcpu_belongs_to_one_guest():
    vmas = tuple(Vma(name=n, size_mb=2, subscriber="kvm") for n in ("ram", "more"))
    with pytest.raises(InputError, match='vCPU of the guest whose memory is vma "ram"'):
        Workload(name="w", vmas=vmas, tasks=(_task("t", "ram", "more"),))


def test_recordings_made_before_a_field_keep_their_identity():
    assert len(RECORDED) >= 45
    for recording in RECORDED:
        source = workload_file.load(recording.folder / "workload.toml")
        assert recording.manifest["identity"] == source.identity(), recording.label


def test_a_subscriber_is_part_of_the_identity():
    def identity(subscriber):
        vma = Vma(name="m", size_mb=2, subscriber=subscriber)
        return Workload(name="w", vmas=(vma,), tasks=(_task("t", "m"),)).identity()

    assert len({identity(s) for s in SUBSCRIBERS}) == len(SUBSCRIBERS)
