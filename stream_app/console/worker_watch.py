"""Asks the workers that the settings name whether they are ready."""

import asyncio
from contextlib import suppress

from aiohttp import ClientError, ClientSession, ClientTimeout

from stream_app.console.rendering import WorkerHealth

_ROUND_S = 5.0
#: A worker that has not answered by then has not answered.
_TIMEOUT = ClientTimeout(total=2.0)


class WorkerWatch:
    """What each of the workers at these addresses, with commas between, said last; nothing is kept of before."""

    def __init__(self, addresses: str) -> None:
        self._health = {
            address.strip().rstrip("/"): WorkerHealth(address.strip(), False, "not asked yet")
            for address in addresses.split(",")
            if address.strip()
        }
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask from now on."""
        if self._health:
            self._task = asyncio.create_task(self._ask_all())

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def health(self) -> list[WorkerHealth]:
        """As of the last round."""
        return list(self._health.values())

    async def _ask_all(self) -> None:
        async with ClientSession(timeout=_TIMEOUT) as session:
            while True:
                for address in self._health:
                    self._health[address] = await _ask(session, address)
                await asyncio.sleep(_ROUND_S)


async def _ask(session: ClientSession, address: str) -> WorkerHealth:
    name = address.removeprefix("http://").removeprefix("https://")
    try:
        async with session.get(f"{address}/ready") as answer:
            return WorkerHealth(name, answer.status == 200, "ready" if answer.status == 200 else "not ready")
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        return WorkerHealth(name, False, "no answer" if isinstance(error, TimeoutError) else "not reached")
