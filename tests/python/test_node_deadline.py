"""Limited waits, and cancellation that comes at the same moment as the result."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("zmq", reason="pyzmq is not installed")

from sv2.deadline import within


async def give(value: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return value


async def never(ended: list[str]) -> None:
    """Work that is not done in time, and says that it was ended."""
    try:
        await asyncio.sleep(60)
    finally:
        ended.append("yes")


def test_the_result_comes_through_and_so_does_the_error() -> None:
    async def fail() -> None:
        raise KeyError("inner")

    async def scenario() -> None:
        assert await within(5, give(3, 0)) == 3
        assert await within(None, give(3, 0)) == 3
        with pytest.raises(KeyError):
            await within(5, fail())

    asyncio.run(scenario())


def test_what_takes_too_long_is_cancelled() -> None:
    async def scenario() -> None:
        ended: list[str] = []
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, never(ended))
        assert ended == ["yes"]

    asyncio.run(scenario())


def test_a_cancellation_is_kept_when_the_result_arrives_with_it() -> None:
    async def scenario() -> None:
        event = asyncio.Event()
        task = asyncio.ensure_future(within(60, event.wait()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        event.set()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_the_work_is_cancelled_with_who_waits_for_it() -> None:
    async def scenario() -> None:
        ended: list[str] = []
        task = asyncio.ensure_future(within(60, never(ended)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["yes"]

    asyncio.run(scenario())
