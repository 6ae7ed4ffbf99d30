"""How the worker does in operation: throughput, latency, stalls, recovery, memory, takeovers, and where time goes."""
