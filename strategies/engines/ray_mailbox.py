"""Where trials on Ray report, and where they learn that they are to end: an actor of Ray, beside the search. It imports nothing heavy."""

from __future__ import annotations

import asyncio
from typing import Any

News = tuple[int, int, str, Any]  # of which attempt, its number there, what it is, and its value


class Mailbox:
    """Keeps what attempts tell until the search takes it."""

    def __init__(self) -> None:
        self._news: list[News] = []
        self._stopped: set[int] = set()
        self._arrived = asyncio.Event()

    async def tell(self, ticket: int, number: int, kind: str, value: Any) -> bool:
        """Keep news of the attempt ``ticket``; return whether it is to end."""
        if ticket in self._stopped:
            return True
        self._news.append((ticket, number, kind, value))
        self._arrived.set()
        return False

    async def take(self) -> list[News]:
        """Wait until there is news, and return all of it, in its order."""
        await self._arrived.wait()
        self._arrived.clear()
        news, self._news = self._news, []
        return news

    async def stop(self, ticket: int) -> None:
        """Let the attempt ``ticket`` end when it next tells something."""
        self._stopped.add(ticket)
