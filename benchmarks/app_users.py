"""Many people at the app at once, as benchmarks/app.py sends them."""

import asyncio
import json
import random
import time
import uuid
from pathlib import Path

import httpx
import numpy

QUESTION = "Tom has 12 apples, finds 5 more and gives 3 to Ann. How many apples does Tom have?"
CROWD = 60
ROUNDS = 3
SESSIONS = 150  # more than Gradio keeps the state of: what grows after so many is a leak


class Users:
    """People at the page: what they were answered."""

    def __init__(self, address: str):
        self.client = httpx.AsyncClient(base_url=f"{address}/gradio_api", timeout=120)
        self.first: list[float] = []
        self.done, self.left, self.refused = 0, 0, 0
        self.errors: list[str] = []

    async def prepare(self) -> None:
        self.labels = await self.call("checkpoints", [])

    async def call(self, name: str, data: list) -> list:
        event = (await self.client.post(f"/call/{name}", json={"data": data})).json()["event_id"]
        reply = await self.client.get(f"/call/{name}/{event}")
        return json.loads(reply.text.split("data: ")[-1])[0]

    async def ask(self, leave: bool) -> None:
        """Ask two checkpoints, as the page does; or close the connection in mid-stream."""
        begun, seen = time.perf_counter(), 0
        labels = [self.labels[0], self.labels[-1]]
        data = [f"{QUESTION} ({uuid.uuid4().hex[:4]})", labels, "14", 0.0, 0]
        try:
            reply = await self.client.post("/call/answers", json={"data": data})
            if reply.status_code == 503:
                self.refused += 1
                return
            event = reply.raise_for_status().json()["event_id"]
            async with self.client.stream("GET", f"/call/answers/{event}") as stream:
                async for line in stream.aiter_lines():
                    if line == "event: error":
                        self.errors.append("error event")
                    if line.startswith("data: [") and not seen:
                        self.first.append(time.perf_counter() - begun)
                    seen += line.startswith("data: [")
                    if leave and seen > 5:
                        self.left += 1
                        return
            self.done += 1
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    async def stay(self, seconds: float) -> None:
        """One user: asks, reads for a moment, asks again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.ask(leave=random.random() < 0.25)
            await asyncio.sleep(random.random())


async def measure_users(address: str, pid: int, users: int, seconds: float) -> None:
    """Many users at once, in rounds that are alike; prints what became of them."""
    here = Users(address)
    await here.prepare()
    await asyncio.gather(*(here.stay(5) for _ in range(users)))  # warm
    for _ in range(SESSIONS):
        await here.call("checkpoints", [])
    print(f"memory once warm: {memory(pid):.0f} MiB", flush=True)
    for at in range(ROUNDS):
        here.done, here.left, here.refused, here.first = 0, 0, 0, []
        await asyncio.gather(*(here.stay(seconds) for _ in range(users)))
        await asyncio.sleep(2)
        low, high = numpy.percentile(here.first, [50, 95])
        print(
            f"round {at + 1}, {users} users for {seconds:.0f} s: {here.done} answered, {here.left} "
            f"left in mid-stream, {here.refused} refused, {len(here.errors)} errors "
            f"{here.errors[:3]}; first token {low:.2f} s (median), {high:.2f} s (95%); "
            f"memory {memory(pid):.0f} MiB",
            flush=True,
        )


async def measure_crowd(address: str) -> None:
    """A crowd larger than the queue, and one more afterwards; prints what became of them."""
    crowd = Users(address)
    await crowd.prepare()
    await asyncio.gather(*(crowd.ask(leave=False) for _ in range(CROWD)))
    print(
        f"a crowd of {CROWD}: {crowd.done} answered, {crowd.refused} told that the queue is full, "
        f"{len(crowd.errors)} errors {crowd.errors[:3]}"
    )
    begun = time.perf_counter()
    await crowd.ask(leave=False)
    print(f"one more afterwards: answered in {time.perf_counter() - begun:.2f} s")


def memory(pid: int) -> float:
    """Resident memory of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
