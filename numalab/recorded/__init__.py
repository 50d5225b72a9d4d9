"""Recordings of real kernels in: run logs, traces, and how a recorded run began."""
