"""The guest's root: tools that are missing, the compiled program, the archive around it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from numalab.record import initramfs
from numalab.record.initramfs import RecordError, modules_of


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


def _gcc(folder: Path, script: str) -> None:
    """Put a shell script in the place of gcc; its third argument but one is the output."""
    path = folder / "gcc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_program_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _gcc(tmp_path, f'echo >>{tmp_path}/calls; while [ "$1" != -o ]; do shift; done; echo it >"$2"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert initramfs.compiled(tmp_path / "cache") == b"it\n"
    assert initramfs.compiled(tmp_path / "cache") == b"it\n"
    assert (tmp_path / "calls").read_text() == "\n"
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_program_that_cannot_be_kept_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _gcc(tmp_path, 'while [ "$1" != -o ]; do shift; done; echo it >"$2"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "cache").write_text("a file, not a folder")
    assert initramfs.compiled(tmp_path / "cache") == b"it\n"


def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _gcc(tmp_path, "echo cannot find -lc: ld >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RecordError, match=r"cannot find -lc: ld; install gcc and libc6-dev"):
        initramfs.compiled(tmp_path / "cache")


def test_modules_lie_beside_the_image(tmp_path: Path) -> None:
    assert modules_of(tmp_path / "vmlinuz") == {}
    (tmp_path / "modules").mkdir()
    for name in ("kvm", "irqbypass", "else"):
        (tmp_path / "modules" / f"{name}.ko").write_bytes(name.encode())
    modules = modules_of(tmp_path / "vmlinuz")
    assert modules == {"irqbypass": b"irqbypass", "kvm": b"kvm"}
    assert b"modules/kvm.ko\0" in initramfs.initramfs(b"\x7fELF", "go\n", modules)


def test_the_archive_is_a_cpio_archive() -> None:
    archive = initramfs.initramfs(b"\x7fELF...", "go\n")
    assert archive.startswith(b"070701")
    assert b"TRAILER!!!" in archive
    assert len(archive) % 4 == 0
    if cpio := shutil.which("cpio"):
        result = subprocess.run([cpio, "-it"], input=archive, capture_output=True, check=True)
        names = result.stdout.decode().split()
        assert {"dev/console", "init", "program", "cgroup"} <= set(names)
