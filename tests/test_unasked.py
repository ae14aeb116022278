"""A whole class opens the page at once: few are answered unasked, so that nobody who asks has to wait for that."""

import asyncio
from types import SimpleNamespace

from tests.fake_engine import fake_engine
from vlm_demo.router import Router
from vlm_demo.ui.common import Page, Unasked
from vlm_demo.ui.unasked import MOST, if_welcome


def test_a_class_that_opens_the_page_does_not_flood_the_queue():
    engine = fake_engine()
    engine.load()
    page = Page(engine, Router.load())
    page.images = SimpleNamespace(inputs=["image", "chosen"], as_opened=lambda values: True)
    begun, going = [], set()

    async def answer(request, *values):
        begun.append(request.session_hash)
        await asyncio.sleep(0.05)
        yield {"text": "a dog"}

    listener = if_welcome(page, "caption", Unasked(answer, [], ["text"]), going)

    async def opened(name):
        return [updates async for updates in listener(SimpleNamespace(session_hash=name), "dogs.jpg", 1)]

    async def everybody():
        return await asyncio.gather(*(opened(f"pupil {number}") for number in range(100)))

    asyncio.run(everybody())
    assert len(begun) == MOST and not going
    asyncio.run(opened("latecomer"))
    asyncio.run(opened("latecomer"))  # who looks again is not answered again
    assert begun[MOST:] == ["latecomer"]
    engine.close()
