"""Named workloads, each with the behaviour it isolates."""
