"""Statistics over replicates, by dimension name."""
