"""Every module is reached by the tests of its own folder: no module lives by a notebook only."""

import ast
from pathlib import Path

import pytest

from numalab import versions

ROOT = Path(__file__).parents[1]
MODULES = [
    path.relative_to(ROOT / "numalab")
    for path in sorted(ROOT.glob("numalab/**/*.py"))
    if path.name not in ("__init__.py", "__main__.py")
]


def _imported_by(folder):
    """Names of modules of numalab that the tests in a folder import, and of what they take."""
    nodes = [node for path in folder.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    names = {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    names |= {str(node.module) for node in froms}
    return {name.removeprefix("numalab.") for name in names if name.startswith("numalab.")}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_test_of_its_own_folder_reaches_it(module):
    names = _imported_by(ROOT / "tests" / module.parent)
    assert ROOT / "numalab" / module in versions.sources(*names)
