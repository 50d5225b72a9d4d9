"""Record a workload on a real kernel, in a QEMU guest with NUMA nodes."""
