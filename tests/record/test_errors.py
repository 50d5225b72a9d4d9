"""What cannot be recorded is refused in one line that names the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from numalab.machine import Machine
from numalab.record import guest, initramfs
from numalab.record.initramfs import RecordError
from numalab.record.recorder import record
from numalab.workload import Task, Workload

WORKLOAD = Workload(name="w", tasks=(Task(name="t"),))


def test_an_image_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"bzImage: cannot be read: No such file"):
        record(WORKLOAD, tmp_path / "bzImage")


@pytest.mark.parametrize("content", [b"", b"\x7fELF" + b"\0" * 1024, b"x" * 0x210])
def test_a_file_that_is_no_kernel(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(content)
    with pytest.raises(RecordError, match="not an x86 kernel image"):
        record(WORKLOAD, path)


def test_a_folder_is_no_kernel(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        guest.check_kernel(tmp_path)


@pytest.mark.parametrize("name", ["gcc", "qemu-system-x86_64"])
def test_a_missing_tool_names_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecordError, match=rf"{name} is not installed: install .*Debian.*Fedora"):
        initramfs.tool(name)


def test_no_compiler_and_no_cached_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecordError, match="gcc is not installed"):
        initramfs.compiled(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "bzImage"
    path.write_bytes(b"\0" * 0x1FE + b"\x55\xaa\0\0HdrS" + b"\0" * 64)
    return path


def _guests(monkeypatch: pytest.MonkeyPatch, *texts: str, stopped: str = "") -> None:
    told = iter(texts)
    monkeypatch.setattr(guest, "_once", lambda *_: (next(told), "Kernel panic: int3", stopped))
    monkeypatch.setattr(guest, "command", lambda *_: ["true"])


def test_a_guest_that_breaks_off_is_booted_again(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    whole = guest.FIRST_LINE + "@done\n"
    _guests(monkeypatch, "", guest.FIRST_LINE + "@section 9 x\n", whole)
    found = guest.boot(Machine(), image, b"", limit_s=1, accel="tcg")
    assert (found.text, found.failed) == (whole, 2)
    _guests(monkeypatch, *[guest.FIRST_LINE] * guest.BOOTS)
    with pytest.raises(RecordError, match=r"the guest broke off: Kernel panic: int3; record it"):
        guest.boot(Machine(), image, b"", limit_s=1, accel="tcg")


def test_a_guest_is_booted_again_if_it_says_so(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    whole = guest.FIRST_LINE + "@done\n"
    odd = guest.FIRST_LINE + "@error vma m: a vCPU left its loop; record it again\n"
    _guests(monkeypatch, odd, odd, whole)
    assert guest.boot(Machine(), image, b"", limit_s=1, accel="tcg").failed == 2
    _guests(monkeypatch, *[odd] * guest.BOOTS)
    with pytest.raises(RecordError, match="the guest says: vma m: a vCPU left its loop"):
        guest.boot(Machine(), image, b"", limit_s=1, accel="tcg")


def test_a_guest_is_not_booted_again_for_what_the_next_would_meet(
    monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    _guests(monkeypatch, guest.FIRST_LINE + "@error no room\n")
    with pytest.raises(RecordError, match="the guest says: no room"):
        guest.boot(Machine(), image, b"", limit_s=1, accel="tcg")
    _guests(monkeypatch, guest.FIRST_LINE, stopped="no end after 1 s")
    with pytest.raises(RecordError, match="broke off: no end after 1 s"):
        guest.boot(Machine(), image, b"", limit_s=1, accel="tcg")


def test_keep_needs_the_source(tmp_path: Path, image: Path) -> None:
    with pytest.raises(ValueError, match="source is missing"):
        record(WORKLOAD, image, keep=tmp_path / "kept")
    with pytest.raises(ValueError, match="runs = 0"):
        record(WORKLOAD, image, runs=0)
    assert not (tmp_path / "kept").exists()
