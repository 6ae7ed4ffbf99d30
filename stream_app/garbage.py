"""How Python looks for garbage where the core runs."""

import gc


def calm_garbage_collection() -> None:
    """Let Python look for cycles among young objects only.

    The core makes none. With 100,000 active tenants a collection stopped the loop of a worker for one to two seconds
    when collections were rare and large. A new object costs up to 3 us to look at: generation 1 comes to at most 8,000
    of them, and took 76 ms when it came to 30,000. Of a replay's time full collections were a twelfth.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 2, 1_000_000)
