"""Many runs as one Dataset: designs, points, jobs, and the store that keeps results."""
