"""The servers of one sampler: whom to ask, which are silent, which are back.

Everything runs on an event loop in a thread of its own, so that a request to a server that went
silent can be given up at once and asked of another.
"""

import asyncio
import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import httpx

from common.errors import UserError
from sampling.adapter_door import TOKEN
from sampling.remote import Adapter, Server, ServerGone
from sampling.server import ServerProcess

PULSE = 1.0  # seconds between two looks at a server's health
FAREWELL = 5.0  # seconds that taking leave of the servers may take

T = TypeVar("T")


class Servers:
    """Answers from whichever server is there, each with the present adapter."""

    def __init__(
        self,
        model: str,
        urls: Sequence[str],
        *,
        process: ServerProcess | None = None,
        restarts: int = 0,
        uploads: bool = True,
        concurrency: int = 64,
        timeout: float = 600.0,
        patience: float = 30.0,
    ):
        """`process`: our own server, which may be restarted `restarts` times. `uploads`: send
        adapters over HTTP to servers that take them. `timeout` is for one request, `patience` for
        a sign of life from one of several servers, both in seconds."""
        token = os.environ.get(TOKEN)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=5.0),
            limits=httpx.Limits(max_connections=None),
            headers={"authorization": f"Bearer {token}"} if token else {},
        )
        self._model, self._process, self._restarts = model, process, restarts
        uploads = uploads and process is None
        self._all = [self._server(url, uploads) for url in urls]
        self._patience = patience
        self._places = asyncio.Semaphore(concurrency)
        self._recovering = asyncio.Lock()
        self._watches: list[asyncio.Task[None]] = []
        self._watched_by = 0
        self._adapter: Adapter | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _server(self, url: str, uploads: bool) -> Server:
        return Server(url, self._client, model=self._model, uploads=uploads, process=self._process)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` on the loop and wait for it; whoever is interrupted takes it back."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Give up what is asked, take the adapters off the servers and hang up."""
        if self._loop.is_closed():
            return
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        at_work = asyncio.all_tasks() - {asyncio.current_task()}
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
        self._adapter = None
        if self._process is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._tidy(), FAREWELL)
        await self._client.aclose()

    def in_service(self) -> list[Server]:
        """The servers that are asked at present."""
        return [server for server in self._all if server.in_service]

    @property
    def context(self) -> int:
        """The tokens that a prompt and its completion may have together on every server."""
        return min(server.context for server in self._all)

    # -- what a sampler wants

    async def meet(self) -> None:
        """Look at every server; raises UserError where one is silent or serves another model."""
        try:
            for server in self._all:
                await server.meet()
        except ServerGone as gone:
            raise UserError(str(gone)) from None

    async def complete(self, bodies: Sequence[dict[str, Any]]) -> list[Any]:
        """The reply to each completion request, in their order, from any server."""
        async with self._watching():
            asked = [asyncio.create_task(self._complete(b, self._adapter)) for b in bodies]
            try:
                return await asyncio.gather(*asked)
            finally:
                for task in asked:
                    task.cancel()

    async def use(self, adapter: Adapter | None) -> None:
        """Serve another adapter from now on; raises UserError, with the former one in service,
        where a server cannot."""
        before, self._adapter = self._adapter, adapter
        try:
            async with self._watching():
                while lacking := [s for s in self.in_service() if not s.has(adapter)]:
                    given = [self._give(server) for server in lacking]
                    for error in await asyncio.gather(*given, return_exceptions=True):
                        if error is not None:
                            raise error
        except BaseException:
            self._adapter = before
            raise
        finally:
            await self._tidy()

    async def ask(self, body: dict[str, Any], adapter: Adapter | None) -> Any:
        """The reply to one completion request under an adapter of its own."""
        async with self._watching():
            return await self._complete(body, adapter)

    async def _complete(self, body: dict[str, Any], adapter: Adapter | None) -> Any:
        return await self._ask(lambda server: server.complete(body, adapter), lambda: True)

    def stream(self, body: dict[str, Any], adapter: Adapter | None) -> Iterator[dict[str, Any]]:
        """The pieces of a reply as they are written; who stops reading ends the writing."""
        pieces: queue.SimpleQueue[Any] = queue.SimpleQueue()

        begun = False

        def give(piece: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            pieces.put(piece)

        async def read() -> None:
            try:
                async with self._watching():
                    await self._ask(
                        lambda server: server.stream(body, adapter, give),
                        lambda: not begun,  # what was read cannot be taken back
                    )
                pieces.put(None)
            except asyncio.CancelledError:
                pieces.put(UserError("the connection to the vLLM servers was closed"))
                raise
            except BaseException as error:
                pieces.put(error)

        reading = asyncio.run_coroutine_threadsafe(read(), self._loop)
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            reading.cancel()

    async def _ask(
        self, ask: Callable[[Server], Coroutine[Any, Any, T]], again: Callable[[], bool]
    ) -> T:
        """What the server with the fewest requests replies; of another one if it goes, while
        `again` says so."""
        async with self._places:
            while True:
                server = min(self.in_service(), key=lambda server: server.asked)
                server.asked += 1
                try:
                    return await self._while_heard(server, ask(server))
                except ServerGone as gone:
                    if not again():
                        raise UserError(str(gone)) from None
                    await self._leave_out(server, gone)
                finally:
                    server.asked -= 1

    async def _give(self, server: Server) -> None:
        try:
            await self._while_heard(server, server.give(self._adapter))
        except ServerGone as gone:
            await self._leave_out(server, gone)

    async def _tidy(self) -> None:
        for server in self.in_service():
            await server.keep_only(self._adapter)

    # -- life and death

    async def _while_heard(self, server: Server, work: Coroutine[Any, Any, T]) -> T:
        """Do `work`; ServerGone as soon as the server falls silent."""
        task = asyncio.create_task(work)
        silence = asyncio.create_task(server.silent.wait())
        try:
            await asyncio.wait({task, silence}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise ServerGone(f"{server.url}: no sign of life for {self._patience:g} s")
        finally:
            task.cancel()
            silence.cancel()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Meanwhile, look for servers that fall silent and for those that come back; one look for
        all who are at work."""
        if not self._watched_by and len(self._all) > 1:
            self._watches = [asyncio.create_task(self._watch(server)) for server in self._all]
        self._watched_by += 1
        try:
            yield
        finally:
            self._watched_by -= 1
            while self._watches and not self._watched_by:
                self._watches.pop().cancel()

    async def _watch(self, server: Server) -> None:
        server.heard = time.monotonic()
        while True:
            left = server.heard + self._patience - time.monotonic()
            healthy = await server.is_healthy(max(PULSE, left))
            silent = time.monotonic() - server.heard > self._patience
            others = [s for s in self.in_service() if s is not server and not s.silent.is_set()]
            if server.in_service and silent and others:  # the last is given until its time-out
                server.silent.set()
            elif healthy and not server.in_service:
                with contextlib.suppress(ServerGone, UserError):
                    await self._take_back(server)
            await asyncio.sleep(PULSE)

    async def _take_back(self, server: Server) -> None:
        """Ask a server again that was left out, once it has the present adapter."""
        before = self.context
        await server.meet()
        if server.context < before:
            server.context = before
            return  # prompts were fitted to the longer one
        await server.give(self._adapter)
        server.silent.clear()
        server.in_service = True
        print(f"{server.url} is back", file=sys.stderr)

    async def _leave_out(self, server: Server, gone: ServerGone) -> None:
        """Go on without a server, or restart our own; UserError where none is left."""
        async with self._recovering:
            if not server.in_service:
                return  # another request has seen to it
            if self._process is not None:
                await self._restart(self._process, server, gone)
                return
            others = len(self.in_service()) - 1
            if not others:
                server.silent.clear()
                raise UserError(str(gone)) from None
            server.in_service = False
            print(f"{gone}; going on with {others} other(s)", file=sys.stderr)

    async def _restart(self, process: ServerProcess, server: Server, gone: ServerGone) -> None:
        if not self._restarts:
            process.stop()
            raise UserError(
                f"the vLLM server died and is not started again (log: {process.log})"
            ) from gone
        self._restarts -= 1
        await asyncio.to_thread(process.start)
        server.in_service = False
        again = self._server(process.url, uploads=False)
        again.served, again.context = server.served, server.context
        self._all = [again]
