"""Real boots: a workload on each kernel, a panic, a guest that never ends."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from numalab import dataset
from numalab.machine import Machine
from numalab.record import guest
from numalab.record.initramfs import RecordError, compiled, initramfs, modules_of
from numalab.record.program import program
from numalab.record.recorder import record
from numalab.workload import Access, Task, Vma, Workload
from numalab.workload_file import load

pytestmark = pytest.mark.kernel

SHORT = Path(__file__).parents[1] / "data" / "captures" / "short" / "6.12" / "workload.toml"
MACHINE = Machine(nodes=2, cpus_per_node=1, memory_mb=256)


def _images() -> list[Path]:
    folder = os.environ.get("NUMALAB_KERNELS", "")
    return (
        sorted(p for p in Path(folder).glob("*/vmlinuz-*") if p.suffix != ".package")
        if folder
        else []
    )


@pytest.fixture(scope="module")
def kernel() -> Path:
    for name in ("gcc", guest.QEMU):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    if not _images():
        pytest.skip("NUMALAB_KERNELS names no folder made by .ci/fetch-kernels")
    return _images()[0]


@pytest.mark.parametrize("generation", ["6.1", "6.12", "7.2"])
def test_a_workload_runs_and_comes_home(kernel: Path, generation: str, tmp_path: Path) -> None:
    images = [path for path in _images() if path.parent.name == generation]
    if not images:
        pytest.skip(f"no image of {generation} in NUMALAB_KERNELS")
    workload = load(SHORT)
    ds = record(workload, images[0], seed=3)
    dataset.check_invariants(ds)
    assert int(ds.numa_pte_updates[0, -1]) > 0
    assert int(ds.pages_on_node.sel(vma="a").sum()) == 4096
    assert dataset.provenance(ds)["lost_events"] == 0


GUEST = Workload(
    name="guest",
    duration_ms=6000,
    machine=Machine(nodes=2, cpus_per_node=1, memory_mb=512),
    vmas=(Vma(name="ram", size_mb=64, pinned_fraction=1, subscriber="kvm"),),
    tasks=(
        Task(name="v0", cpu=0, access=(Access(vma="ram"),)),
        Task(name="v1", cpu=1, access=(Access(vma="ram", pattern="rand", write=False),)),
    ),
)


@pytest.mark.parametrize("generation", ["6.1", "6.12", "7.2"])
def test_a_pinned_guest_is_notified_of_every_chunk_and_nothing_changes(
    kernel: Path, generation: str
) -> None:
    images = [path for path in _images() if path.parent.name == generation]
    if not images or not modules_of(images[0]):
        pytest.skip(f"no image of {generation} with modules in NUMALAB_KERNELS")
    ds = record(GUEST, images[0]).isel(replicate=0)
    assert dataset.provenance(ds)["lost_events"] == 0
    assert bool((ds.touches >= 2 * 16384).all())
    mine = np.flatnonzero(ds.chunk_vma.values == 0)
    assert len(mine)
    assert not ds.chunk_updated.values[mine].any()
    whys = ds.notify_why.values
    for chunk in mine:
        sent = ds.isel(notify=ds.notify_chunk.values == chunk)
        assert set(sent.notify_why.values) == {dataset.WHYS.index("scan")}
        assert set(sent.notify_vma.values) == {0}
        # 6.1 sends one for each 1 GiB region: two where the memory lies across a boundary.
        assert sent.sizes["notify"] in ((1, 2) if generation == "6.1" else (1,))
        assert int(sent.notify_start[0]) == int(ds.chunk_start[chunk])
        ends = (sent.notify_start + sent.notify_pages).values
        assert ends[:-1].tolist() == sent.notify_start.values[1:].tolist()
        assert ends[-1] == int(ds.chunk_start[chunk] + ds.chunk_pages[chunk])
    ram = ds.sel(vma="ram")
    assert not (whys[ds.notify_vma.values == 0] != dataset.WHYS.index("scan")).any()
    assert int(ram.notifier_pages.sum()) == int(ram.notifier_wasted_pages) == 16384 * len(mine)
    assert int(ram.refaults) > 16384


def test_a_guest_needs_a_kernel_with_kvm(kernel: Path, tmp_path: Path) -> None:
    alone = tmp_path / kernel.name
    alone.write_bytes(kernel.read_bytes())
    with pytest.raises(RecordError, match=r"the kernel has no KVM .*put irqbypass\.ko") as caught:
        record(GUEST, alone)
    assert "\n" not in str(caught.value)


def test_modules_of_another_kernel_are_named(kernel: Path, tmp_path: Path) -> None:
    alone = tmp_path / kernel.name
    alone.write_bytes(kernel.read_bytes())
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "kvm.ko").write_bytes(b"no module")
    with pytest.raises(RecordError, match=r"kvm\.ko cannot be loaded: .*of this kernel"):
        record(GUEST, alone)


def test_a_panic_is_told_in_its_own_words(kernel: Path) -> None:
    with pytest.raises(RecordError, match=r"did not reach its init: .*[Pp]anic") as caught:
        guest.boot(MACHINE, kernel, b"", limit_s=60)
    assert "\n" not in str(caught.value)


def test_a_guest_that_never_ends_is_stopped(kernel: Path) -> None:
    endless = Workload(name="w", duration_ms=86_400_000, machine=MACHINE, tasks=(Task(name="t"),))
    image = initramfs(compiled(), program(endless))
    with pytest.raises(RecordError, match="broke off: no end after 25 s"):
        guest.boot(MACHINE, kernel, image, limit_s=25)


def test_what_the_guest_cannot_do_is_told(kernel: Path) -> None:
    image = initramfs(compiled(), "write /proc/sys/no/such 1\n")
    with pytest.raises(RecordError, match=r"the guest says: /proc/sys/no/such"):
        guest.boot(MACHINE, kernel, image, limit_s=60)
