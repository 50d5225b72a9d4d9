"""Real boots: a workload on each kernel, a panic, a guest that never ends."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from numalab import dataset
from numalab.machine import Machine
from numalab.record import guest
from numalab.record.initramfs import RecordError, compiled, initramfs
from numalab.record.program import program
from numalab.record.recorder import record
from numalab.workload import Task, Workload
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
