"""A notebook run in a process of its own, under a watchdog: it ends when its parent does."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

LIMIT_S = 1800.0
_PATIENCE_S = 20.0
"""How long a process may take to end, with the kernel of its notebook, once it was told to."""


def run(notebook: Path, folder: Path, values: dict[str, Any], root: Path) -> str:
    """Run a notebook into a folder; return why it failed, or "".

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, when the process has ended.
    """
    context = mp.get_context("spawn")
    end, other = context.Pipe(duplex=False)
    given = (str(notebook), str(folder), values, str(root), other)
    process = context.Process(target=_execute, args=given)
    try:
        with _no_ctrl_c():
            process.start()
        other.close()
        if end.poll(LIMIT_S):
            return str(end.recv())
        process.terminate()
        return f"no end after {LIMIT_S:.0f} s"
    except EOFError:
        return "the notebook's process was killed"
    except BaseException:
        if process.pid is not None:
            process.terminate()
        raise
    finally:
        end.close()
        if process.pid is not None:
            process.join(_PATIENCE_S)
        if process.is_alive():
            process.kill()
            process.join()


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach: only its parent is to say what that did."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _execute(notebook: str, folder: str, values: dict[str, Any], root: str, out: Any) -> None:
    """Run one notebook in this process, and send how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(root)
    import papermill

    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        papermill.execute_notebook(
            notebook,
            f"{folder}/executed.ipynb",
            parameters=values,
            kernel_name="python3",
            progress_bar=False,
            request_save_on_cell_execute=False,
            cwd=root,
        )
        out.send("")
    except BaseException as error:
        name = getattr(error, "ename", type(error).__name__)
        lines = str(getattr(error, "evalue", "") or error).strip().splitlines()
        out.send(f"{name}: {lines[-1] if lines else ''}")


def _end_with_parent() -> None:
    """End this process as if it was told to, once its parent is gone; the kernel ends with it."""
    parent = mp.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
