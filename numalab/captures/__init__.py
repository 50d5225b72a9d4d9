"""Recordings of real kernels: what a recording folder holds, each file read once."""

from numalab.captures.recording import Recording, find, open_recording

__all__ = ["Recording", "find", "open_recording"]
