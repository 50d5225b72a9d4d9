"""How papermill runs a notebook for the report: by sockets of its own, with bounded outputs.

It is imported only by the process that runs the notebook.
"""

from __future__ import annotations

from typing import Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from numalab.report.cleaned import MOST_CELL

__all__ = ["DeadKernelError", "execute"]

_LONGEST_SOCKET = 80
"""Letters of a folder in which a Unix socket can lie."""
_STARTS_S = 120
_MOST_PICTURE = 3_000_000


class _Client(PapermillNotebookClient):
    """Takes no more of a cell's output than a page can show: the rest is counted only."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.taken: dict[int, int] = {}
        self.cut: dict[int, int] = {}

    def output(self, outs: Any, msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
        content = msg["content"]
        texts = [content, *([content["data"]] if isinstance(content.get("data"), dict) else [])]
        for texts_by_key in texts:
            for key, text in texts_by_key.items():
                if isinstance(text, str):
                    texts_by_key[key] = self._bounded(text, key, cell_index)
        if msg["msg_type"] == "error":
            lines = content["traceback"]
            content["traceback"] = [self._bounded("\n".join(lines), "traceback", cell_index)]
        if msg["msg_type"] == "stream" and not content["text"]:
            return None
        return super().output(outs, msg, display_id, cell_index)

    def _bounded(self, text: str, key: str, cell: int) -> str:
        most = _MOST_PICTURE if key.startswith("image/") else 2 * MOST_CELL
        kept = text[: max(0, most - self.taken.get(cell, 0))]
        if not key.startswith("image/"):
            self.taken[cell] = self.taken.get(cell, 0) + len(kept)
        if lost := len(text) - len(kept):
            self.cut[cell] = self.cut.get(cell, 0) + lost
        return kept

    def say_what_was_cut(self) -> None:
        for index, count in self.cut.items():
            text = f"\n[{count} characters more were cut: too long for a page]\n"
            said = nbformat.v4.new_output("stream", name="stdout", text=text)
            self.nb.cells[index].outputs.append(said)


class _Engine(NBClientEngine):
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **named: Any) -> Any:
        """Keep the notebook of a killed kernel too: papermill writes none."""
        client = _Client(
            nb_man, kernel_name=kernel_name, startup_timeout=_STARTS_S, timeout=None,
            kernel_manager_class=named["manager"], resources={"metadata": {"path": named["root"]}},
        )  # fmt: skip
        try:
            return client.execute()
        finally:
            client.say_what_was_cut()
            nbformat.write(nb_man.nb, named["kept"])


def execute(notebook: str, folder: str, values: dict[str, Any], root: str, sockets: str) -> None:
    """Run a notebook; leave it, as far as it came, in ``executed.ipynb`` of a folder.

    Parameters
    ----------
    notebook, folder : str
    values : dict
        Its parameters.
    root : str
        Folder in which it runs.
    sockets : str
        An empty folder. Kernels that start at once can take each other's ports; not sockets.

    Raises
    ------
    DeadKernelError
        If the kernel was killed.
    PapermillExecutionError
        If a cell raised.
    """
    manager = type("Manager", (AsyncKernelManager,), {})
    if len(sockets) <= _LONGEST_SOCKET:
        manager = type("Manager", (AsyncKernelManager,), {"transport": "ipc", "ip": f"{sockets}/k"})
    path = f"{folder}/executed.ipynb"
    papermill_engines.register("report", _Engine)
    papermill.execute_notebook(
        _unformatted(notebook), _unformatted(path), parameters=values, kernel_name="python3",
        engine_name="report", progress_bar=False, request_save_on_cell_execute=False,
        manager=manager, kept=path, root=root,
    )  # fmt: skip


def _unformatted(path: str) -> str:
    """Return a path for papermill, which puts parameters in where there are braces."""
    return path.replace("{", "{{").replace("}", "}}")
