"""Hypothesis draws the same examples in every run: a failure can be repeated."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("numalab", derandomize=True, deadline=None)
settings.load_profile("numalab")
