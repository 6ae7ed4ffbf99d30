"""What every scenario gives."""

from collections.abc import Iterator, Sequence
from typing import Protocol


class Stream(Protocol):
    """A planned stream. What happened in it is known once its events were read."""

    @property
    def tenants(self) -> Sequence[object]:
        """One entry per tenant, or per account."""
        ...

    def events(self) -> Iterator[dict[str, object]]: ...
    def labels(self) -> Iterator[dict[str, object]]: ...
    def scenario(self) -> dict[str, object]: ...
