"""``python -m numalab``."""

from __future__ import annotations

from numalab.cli import main

main()
