"""Boots that fail: refused, repeated or stopped, and described in one line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from numalab.machine import Machine
from numalab.record import guest
from numalab.record.initramfs import RecordError, compiled, initramfs, modules_of
from numalab.record.program import program
from tests.record.kernels import MACHINE, WORKLOADS, image_of

WHOLE = guest.FIRST_LINE + guest.LAST_LINE


@pytest.mark.parametrize("content", [b"", b"\x7fELF" + b"\0" * 1024, b"x" * 0x210])
def test_a_file_that_is_no_kernel(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="not an x86 kernel image"):
        guest.check_kernel(path)


def test_a_folder_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        guest.check_kernel(tmp_path)


def _boot(image: Path, **limits: float) -> guest.Boot:
    return guest.boot(Machine(), image, b"", **({"limit_s": 30.0} | limits), accel="tcg")


def _guests(monkeypatch: pytest.MonkeyPatch, *texts: str, stopped: str = "") -> None:
    following = iter(texts)
    monkeypatch.setattr(guest, "_once", lambda *_: (next(following), "Kernel panic: int3", stopped))
    monkeypatch.setattr(guest, "command", lambda *_: ["true"])


def test_a_guest_that_breaks_off_is_booted_again(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    _guests(monkeypatch, "", guest.FIRST_LINE + "@section 9 x\n", WHOLE)
    found = _boot(image)
    assert (found.text, found.failed) == (WHOLE, 2)
    _guests(monkeypatch, *[guest.FIRST_LINE] * guest.BOOTS)
    with pytest.raises(RecordError, match=r"the guest broke off: Kernel panic: int3; record it"):
        _boot(image)


def test_a_guest_is_booted_again_if_it_says_so(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    odd = guest.FIRST_LINE + "@error vma m: a vCPU left its loop; record it again\n"
    _guests(monkeypatch, odd, odd, WHOLE)
    assert _boot(image).failed == 2
    _guests(monkeypatch, *[odd] * guest.BOOTS)
    with pytest.raises(RecordError, match="the guest says: vma m: a vCPU left its loop"):
        _boot(image)


def test_a_guest_is_not_booted_again_for_what_the_next_would_meet(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    _guests(monkeypatch, guest.FIRST_LINE + "@error no room\n")
    with pytest.raises(RecordError, match="the guest says: no room"):
        _boot(image)
    _guests(monkeypatch, guest.FIRST_LINE, stopped="no end after 1 s")
    with pytest.raises(RecordError, match="broke off: no end after 1 s"):
        _boot(image)


def _qemu(monkeypatch: pytest.MonkeyPatch, script: str) -> list[None]:
    """Put a shell script in the place of QEMU; return a list that grows with each boot."""
    boots: list[None] = []

    def command(*_: object) -> list[str]:
        boots.append(None)
        return ["sh", "-c", script]

    monkeypatch.setattr(guest, "command", command)
    return boots


def _ends(pid: int) -> bool:
    """Whether a process is gone, or goes within some seconds."""
    until = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_guest_that_never_ends_is_stopped_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, image: Path, tmp_path: Path
) -> None:
    note = tmp_path / "pids"
    start = f"echo $$ >{note}; sleep 99 & echo $! >>{note}"
    _qemu(monkeypatch, f"{start}; echo numalab-guest 1 >results; wait")
    with pytest.raises(RecordError, match="broke off: no end after 2 s"):
        _boot(image, limit_s=2)
    assert all(_ends(int(pid)) for pid in note.read_text().split())


def test_a_silent_guest_is_stopped_and_booted_again(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    boots = _qemu(monkeypatch, "exec sleep 99")
    with pytest.raises(RecordError, match="did not reach its init: no sign of life after 0 s"):
        _boot(image, boot_s=0.1)
    assert len(boots) == guest.BOOTS


def test_a_guest_is_stopped_when_the_recorder_is(
    monkeypatch: pytest.MonkeyPatch, image: Path, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    _qemu(monkeypatch, f"echo $$ >{note}; exec sleep 99")

    def interrupted(path: Path) -> str:
        while not note.exists() or not note.read_text().strip():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(guest, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _boot(image, boot_s=0)
    assert _ends(int(note.read_text()))


def test_what_qemu_says_when_it_fails(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    _qemu(monkeypatch, "echo first >&2; echo no such accelerator >&2; exit 1")
    with pytest.raises(RecordError, match=f"{guest.QEMU} failed: no such accelerator"):
        _boot(image)


def test_without_dev_kvm_the_guest_is_emulated(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert guest.accelerator(image) == guest.TCG


@pytest.fixture(scope="module")
def kernel() -> Path:
    return image_of("6.1")


@pytest.fixture
def without_modules(kernel: Path, tmp_path: Path) -> Path:
    """The same image in a folder of its own."""
    alone = tmp_path / kernel.name
    alone.write_bytes(kernel.read_bytes())
    return alone


def _fails(image: Path, archive: bytes, match: str) -> None:
    with pytest.raises(RecordError, match=match) as caught:
        guest.boot(MACHINE, image, archive, limit_s=60, accel=guest.TCG)
    assert "\n" not in str(caught.value)


def _guest_archive(image: Path) -> bytes:
    return initramfs(compiled(), program(WORKLOADS["guest"]), modules_of(image))


@pytest.mark.kernel
def test_a_panic_is_quoted(kernel: Path) -> None:
    _fails(kernel, b"", r"did not reach its init: .*[Pp]anic")


@pytest.mark.kernel
def test_what_the_guest_cannot_do_is_quoted(kernel: Path) -> None:
    archive = initramfs(compiled(), "write /proc/sys/no/such 1\n")
    _fails(kernel, archive, r"the guest says: /proc/sys/no/such")


@pytest.mark.kernel
def test_a_guest_needs_a_kernel_with_kvm(without_modules: Path) -> None:
    archive = _guest_archive(without_modules)
    _fails(without_modules, archive, r"the kernel has no KVM .*put irqbypass\.ko")


@pytest.mark.kernel
def test_modules_of_another_kernel_are_named(without_modules: Path) -> None:
    folder = without_modules.parent / "modules"
    folder.mkdir()
    (folder / "kvm.ko").write_bytes(b"no module")
    archive = _guest_archive(without_modules)
    _fails(without_modules, archive, r"kvm\.ko cannot be loaded: .*of this kernel")
