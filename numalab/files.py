"""Writing a file: all of it or nothing, and never half of it.

A full disk, a folder that cannot be written and Ctrl-C leave what was there before.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from numalab.fields import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    part = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        part.chmod(0o666 & ~_umask())
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Write a file through :func:`replacing`; text is UTF-8."""
    with replacing(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
