"""Writing a file: all of it or nothing, and never half of it.

A full disk, a folder that cannot be written and Ctrl-C leave what was there before.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from numalab.fields import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = r"\.[0-9a-f]{16}\.part"
"""How the name of a half-written file ends, as a regular expression; it begins with a dot."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside ``path`` to write to, which becomes ``path`` when all is written.

    Parameters
    ----------
    path : Path
        The file to write or to replace. Its folder must exist.

    Yields
    ------
    Path
        An empty file in the same folder. After an error it is removed, and ``path`` is as before.

    Raises
    ------
    InputError
        The file cannot be written: no space, no permission, no such folder.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        try:
            # the rights of any new file; what the umask is could only be had by changing it
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write(path: Path, content: bytes | memoryview | str) -> None:
    """Write a file through :func:`replacing`; text is UTF-8."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def check_writable(folder: Path) -> None:
    """Make a folder if it is not there, and see whether a file can be made in it.

    Raises
    ------
    InputError
        One line: the folder, and why not.
    """
    probe = folder / f".{secrets.token_hex(8)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
