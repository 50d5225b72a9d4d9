"""The guest's root: an uncompressed cpio archive with one static program and its text.

No shell and no disk: the files of ``init/``, compiled by the host's gcc, are ``/init``; those
of ``foreign/`` are ``/foreign`` where the workload is run by that program. Modules lie in
``/modules`` when the workload needs KVM.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from numalab import files
from numalab.fields import InputError

log = logging.getLogger(__name__)

_INIT = Path(__file__).parent / "init"
SOURCES = tuple(
    _INIT / f"{name}.c"
    for name in (
        *("workload", "foreign", "processes", "report", "sampling", "threads", "tasks"),
        *("touches", "mappings", "vmm", "trace", "program", "output"),
    )
)
"""The init's files; each calls only files that stand after it."""
FOREIGN_SOURCES = tuple(sorted((Path(__file__).parent / "foreign").glob("*.c")))
"""The files of the foreign program."""
_FLAGS = ("-O2", "-static", "-pthread")
_FOLDERS = ("dev", "proc", "sys", "tmp", "cgroup", "modules")
MODULES = ("irqbypass", "kvm", "kvm-amd")
"""KVM on the CPU that QEMU emulates, in the order of loading."""
PACKAGES = {
    "gcc": "gcc and libc6-dev (Debian), gcc and glibc-static (Fedora)",
    "qemu-system-x86_64": "qemu-system-x86 (Debian), qemu-system-x86-core (Fedora)",
}


class RecordError(InputError):
    """A recording that cannot be made, or went wrong: what happened and the remedy."""


def tool(name: str) -> str:
    """Return the path of a tool.

    Raises
    ------
    RecordError
        If it is not installed; names the package.
    """
    path = shutil.which(name)
    if path is None:
        raise RecordError(f"{name} is not installed: install {PACKAGES[name]}")
    return path


def compiled(cache: Path | None = None, sources: tuple[Path, ...] = SOURCES) -> bytes:
    """Return a static program, compiled once for each version of its source.

    Parameters
    ----------
    cache : Path, optional
        Folder to keep it in; default: numalab's in the user's cache.
    sources : tuple of Path
        Its files, all in one folder; default: those of the init.

    Raises
    ------
    RecordError
        Without gcc, or if it fails (static C library missing).
    """
    gcc = tool("gcc")
    text = b"".join(path.read_bytes() for path in sorted(sources[0].parent.iterdir()))
    key = hashlib.sha256(text + " ".join(_FLAGS).encode()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    target = (cache or root / "numalab") / f"workload-{key}"
    if target.is_file():
        return target.read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "init"
        command = [gcc, *_FLAGS, "-o", str(output), *map(str, sources), "-lm"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            line = next((x for x in result.stderr.splitlines() if "error" in x or "ld" in x), "")
            raise RecordError(
                f"gcc cannot build the guest's program: {line}; install {PACKAGES['gcc']}"
            )
        program = output.read_bytes()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, program)
    except (OSError, InputError) as error:
        log.debug("the compiled program is not kept: %s", error)
    return program


def _entry(
    number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % value for value in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def modules_of(kernel: Path) -> dict[str, bytes]:
    """Return the KVM modules in ``modules/`` beside an image; none if KVM is built in."""
    folder = kernel.parent / "modules"
    files = {name: folder / f"{name}.ko" for name in MODULES}
    return {name: path.read_bytes() for name, path in files.items() if path.is_file()}


def initramfs(
    init: bytes, program: str, modules: Mapping[str, bytes] | None = None, *, foreign: bytes = b""
) -> bytes:
    """Pack ``/init``, ``/program``, ``/dev/console`` and mount points (cpio, newc).

    Parameters
    ----------
    init : bytes
        The static program.
    program : str
        What it reads.
    modules : mapping, optional
        Name to content of the kernel modules that it loads.
    foreign : bytes, optional
        ``/foreign``, another static program that it starts.

    Returns
    -------
    bytes
        The archive.
    """
    parts = [_entry(i, name, stat.S_IFDIR | 0o755) for i, name in enumerate(_FOLDERS, 1)]
    parts.append(_entry(10, "dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    parts.append(_entry(11, "init", stat.S_IFREG | 0o755, init))
    parts.append(_entry(12, "program", stat.S_IFREG | 0o644, program.encode()))
    if foreign:
        parts.append(_entry(13, "foreign", stat.S_IFREG | 0o755, foreign))
    for number, (name, module) in enumerate((modules or {}).items(), 14):
        parts.append(_entry(number, f"modules/{name}.ko", stat.S_IFREG | 0o644, module))
    parts.append(_entry(0, "TRAILER!!!", 0))
    return b"".join(parts)
