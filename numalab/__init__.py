"""numalab: what NUMA-balancing scans cost, on a model and on real kernels."""

from __future__ import annotations

__version__ = "0.1.0"
