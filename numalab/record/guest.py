"""One boot of a kernel in QEMU: NUMA nodes, a watchdog, and the text that comes back.

The results leave through ``isa-debugcon`` (an I/O port that QEMU copies to a file), apart
from the console, so kernel messages cannot mix with data. Software emulation is the
default; KVM is used where a quick boot has shown that it works.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from numalab.machine import Machine
from numalab.record.initramfs import RecordError, compiled, initramfs, tool

log = logging.getLogger(__name__)

QEMU = "qemu-system-x86_64"
TCG = "tcg,thread=multi"
FIRST_LINE = "numalab-guest 1\n"
LAST_LINE = "@done\n"
BOOT_S = 40.0
"""A guest that has sent nothing after this time is stopped."""
BOOTS = 4
_PERMANENT = ("Unable to mount root", "No working init")
"""Panics that the next boot would meet again."""
_APPEND = "console=ttyS0 quiet panic=-1 tsc=reliable trace_clock=mono"


@dataclass(frozen=True, slots=True)
class Boot:
    """What a boot gave: the result text, the accelerator, and the boots that failed."""

    text: str
    accel: str
    failed: int


def check_kernel(path: Path) -> None:
    """Refuse a file that is not an x86 kernel image.

    Raises
    ------
    RecordError
        Naming the file and the remedy.
    """
    try:
        with path.open("rb") as file:
            head = file.read(0x210)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None
    if head[0x1FE:0x200] != b"\x55\xaa" or head[0x202:0x206] != b"HdrS":
        raise RecordError(
            f"{path}: not an x86 kernel image (bzImage); give arch/x86/boot/bzImage of a build "
            "or /boot/vmlinuz-*"
        )


def command(machine: Machine, kernel: Path, accel: str, folder: Path) -> list[str]:
    """Return the QEMU command line for a machine; initrd, console and results are in ``folder``."""
    cores = machine.cpus_per_node
    line = [tool(QEMU), "-accel", accel, "-cpu", "max" if "tcg" in accel else "host"]
    line += ["-smp", f"{machine.cpus},sockets={machine.nodes},cores={cores},threads=1"]
    line += ["-m", f"{machine.nodes * machine.memory_mb}M"]
    for node in range(machine.nodes):
        cpus = f"{node * cores}-{(node + 1) * cores - 1}"
        line += ["-object", f"memory-backend-ram,id=m{node},size={machine.memory_mb}M,prealloc=on"]
        line += ["-numa", f"node,nodeid={node},cpus={cpus},memdev=m{node}"]
    for a in range(machine.nodes):
        for b in range(machine.nodes):
            if a != b:
                line += ["-numa", f"dist,src={a},dst={b},val={machine.distance}"]
    line += ["-kernel", str(kernel.resolve()), "-initrd", str(folder / "initrd")]
    line += ["-append", _APPEND]
    line += ["-display", "none", "-monitor", "none", "-no-reboot", "-net", "none"]
    line += ["-serial", f"file:{folder / 'console'}"]
    line += ["-chardev", f"file,id=results,path={folder / 'results'}"]
    return [*line, "-device", "isa-debugcon,iobase=0xe9,chardev=results"]


@contextlib.contextmanager
def _running(line: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command and whatever it starts, no longer than the block lasts."""
    if setpriv := shutil.which("setpriv"):  # it dies with us, even if we are killed
        line = [setpriv, "--pdeathsig", "KILL", *line]
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            line,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(path: Path) -> str:
    return path.read_bytes().decode("latin-1") if path.exists() else ""


def _once(line: list[str], folder: Path, limit_s: float, boot_s: float) -> tuple[str, str, str]:
    """Run QEMU; return the results, the console, and why it was stopped ("" if it ended)."""
    results = folder / "results"
    begin = time.monotonic()
    stopped = ""
    with _running(line, folder) as process:
        while process.poll() is None and not stopped:
            spent = time.monotonic() - begin
            if spent > limit_s:
                stopped = f"no end after {limit_s:.0f} s"
            elif spent > boot_s and not _read(results):
                stopped = f"no sign of life after {boot_s:.0f} s"
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
    if process.returncode and not stopped:
        error = _read(folder / "stderr").strip().splitlines()
        raise RecordError(f"{QEMU} failed: {error[-1] if error else process.returncode}")
    return _read(results), _read(folder / "console"), stopped


def _last_message(console: str) -> str:
    clean = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|[^\n\x20-\x7e]", "", console)
    lines = [line.strip() for line in clean.splitlines() if line.strip()]
    panic = [line for line in lines if "panic" in line.lower()]
    return (panic or lines or ["the console is empty"])[0 if panic else -1][:160]


def boot(
    machine: Machine,
    kernel: Path,
    initrd: bytes,
    *,
    limit_s: float,
    accel: str | None = None,
    boot_s: float = BOOT_S,
) -> Boot:
    """Boot a kernel with an initramfs and return what its init reported.

    A guest that dies (the emulation does not always survive that a kernel patches its own
    code), or hangs before the first line of its init, is booted again, up to four times in
    all.

    Parameters
    ----------
    machine : Machine
        Nodes, CPUs, memory and distances of the guest.
    kernel : Path
        A bzImage.
    initrd : bytes
        The initramfs.
    limit_s : float [s]
        The watchdog: the guest is killed after this time.
    accel : str, optional
        QEMU accelerator; default: KVM where it works, else software emulation.
    boot_s : float [s]
        Time that a boot may take.

    Raises
    ------
    RecordError
        In one line, if no run came out of it.
    """
    check_kernel(kernel)
    accel = accel or accelerator(kernel)
    reason = ""
    reached = False
    for failed in range(BOOTS):
        with tempfile.TemporaryDirectory(prefix="numalab-") as scratch:
            folder = Path(scratch)
            (folder / "initrd").write_bytes(initrd)
            line = command(machine, kernel, accel, folder)
            text, console, stopped = _once(line, folder, limit_s, boot_s)
        reason = stopped or _last_message(console)
        if text.startswith(FIRST_LINE):
            if _is_complete(text, kernel, last=failed == BOOTS - 1):
                return Boot(text, accel, failed)
            reached = True
            if stopped:
                break
        log.warning("%s: boot %d of %d failed: %s", kernel.name, failed + 1, BOOTS, reason)
        if any(sign in reason for sign in _PERMANENT):
            break
    if reached:
        raise RecordError(f"{kernel.name}: the guest broke off: {reason}; record it again")
    raise RecordError(f"{kernel}: the guest did not reach its init: {reason}")


def _is_complete(text: str, kernel: Path, last: bool) -> bool:
    """Whether a guest reported all; raises what it could not do.

    An error that ends in "record it again" (emulated SVM fails now and then) is raised at the
    last boot only.
    """
    error = re.search(r"^@error (.*)$", text, re.MULTILINE)
    if error and (last or not error[1].endswith("record it again")):
        raise RecordError(f"{kernel.name}: the guest says: {error[1]}")
    return text.endswith(LAST_LINE)


@functools.cache
def accelerator(kernel: Path) -> str:
    """Return ``kvm`` if a short boot under KVM works here, else software emulation."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    machine = Machine(nodes=1, cpus_per_node=1, memory_mb=512)
    with tempfile.TemporaryDirectory(prefix="numalab-") as scratch:
        folder = Path(scratch)
        (folder / "initrd").write_bytes(initramfs(compiled(), ""))
        try:
            text, _, _ = _once(command(machine, kernel, "kvm", folder), folder, 10, 10)
        except RecordError as error:
            log.info("KVM does not work here: %s", error)
            return TCG
    return "kvm" if text.endswith(LAST_LINE) else TCG
