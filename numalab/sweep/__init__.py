"""Many runs as one labelled Dataset: axes of values, measures of runs, a store of results."""

from numalab.sweep import design, sweep_file
from numalab.sweep.axes import Range
from numalab.sweep.execution import Execution
from numalab.sweep.grid import grid
from numalab.sweep.settings import catalog_function
from numalab.sweep.steady import start_and_steady
from numalab.sweep.trials import trial
from numalab.totals import totals

__all__ = [
    "Execution",
    "Range",
    "catalog_function",
    "design",
    "grid",
    "start_and_steady",
    "sweep_file",
    "totals",
    "trial",
]
