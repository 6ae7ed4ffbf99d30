"""The race: one job, many stream processors, the same broker and the same core (``python -m benchmarks.race``)."""
