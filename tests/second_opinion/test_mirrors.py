"""Each function of the engine that mirrors a kernel function has its second opinion."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "numalab" / "linux"
_BATCHES = "kernel.md says nothing of LRU batches"
EXCEPTIONS = {"folio_add_lru": _BATCHES, "lru_add_drain": _BATCHES}
"""Kernel function that has no second opinion, and why."""


def functions(folder, pattern="*.py"):
    """Yield every function below a folder, parsed and not imported."""
    for path in sorted(folder.glob(pattern)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def names_in(docstring):
    """Kernel functions that a docstring says it mirrors: all those in the sentence."""
    text = " ".join((docstring or "").split())
    return [
        name
        for sentence in re.findall(r"Mirrors (.*?)(?:\.\s|\.$|$)", text)
        for name in re.findall(r"(\w+)\(\)", sentence)
    ]


def mirrored():
    return {
        name: path.name
        for path, node in functions(ENGINE)
        for name in names_in(ast.get_docstring(node))
    }


def opinions():
    return {node.name for _, node in functions(HERE, "kernel_*.py")}


def test_the_engine_says_what_it_mirrors():
    assert {"task_numa_work", "vma_is_accessed", "task_numa_fault"} <= set(mirrored())
    assert len(mirrored()) > 20


def test_every_mirrored_function_has_a_second_opinion():
    missing = {name: where for name, where in mirrored().items() if name not in opinions()}
    assert set(missing) - set(EXCEPTIONS) == set()


def test_no_exception_is_stale_or_without_a_reason():
    assert all(reason.strip() for reason in EXCEPTIONS.values())
    assert set(EXCEPTIONS) <= set(mirrored())
    assert not set(EXCEPTIONS) & opinions()


def test_every_kernel_function_here_says_what_it_does():
    for path, node in functions(HERE, "kernel_*.py"):
        if not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_a_sentence_that_names_two_is_read_as_two():
    assert names_in("Do.\n\nMirrors a() and\nb(), mm/x.c (v6.1). Not c().") == ["a", "b"]
