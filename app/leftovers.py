"""A call from a program leaves nothing behind.

Gradio takes every call without a session of its own for a new visitor: it keeps his state (0.3 MiB,
of the last visitors) and his messages, and so pushes out the state of pages that are still open.
"""

import asyncio
import re
from typing import Any

from app.guard import Message, Send

CALL = re.compile(r"/call/(?:.*/)?([0-9a-f]{32})/?$")
LOOK = 0.2  # seconds between two looks whether a call whose caller has left is over


class Leftovers:
    """ASGI middleware; `page` is the gr.Blocks that is called."""

    def __init__(self, app: Any, page: Any):
        self.app, self.page = app, page
        self._tidying: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            reads = scope["type"] == "http" and scope["method"] == "GET"
            if reads and (call := CALL.search(scope["path"])):
                task = asyncio.create_task(self._forget(call[1]))
                self._tidying.add(task)
                task.add_done_callback(self._tidying.discard)

    async def _forget(self, event: str) -> None:
        """Let go of what was kept for a call; its event stands for its session."""
        queue, holder = self.page._queue, self.page.state_holder
        while event in queue.event_ids_to_events:
            await asyncio.sleep(LOOK)
        for kept in (queue.pending_messages_per_session, queue.pending_event_ids_session):
            kept.pop(event, None)
        with holder.lock:
            holder.session_data.pop(event, None)
            holder.time_last_used.pop(event, None)
