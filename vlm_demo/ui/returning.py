"""A page that loads again, after a reload, a lost connection or a phone's sleep, gets back what it showed.

gradio reloads a page by itself when a connection was lost while something ran. The browser keeps a random token for the
tab, by which the visit is known; what belongs to a visit is in `visits`, what is deleted when in `privacy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from .common import MODEL_CALL, Page
from .runs import Run, Updates
from .visits import Visit

# Not crypto.randomUUID, which browsers have for secure addresses only.
KEPT = """() => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const fresh = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const token = sessionStorage.getItem("visit") ?? fresh;
  sessionStorage.setItem("visit", token);
  return [token, sessionStorage.getItem("tab") ?? ""];
}"""


def build(page: Page, demo: gr.Blocks, tabs: gr.Tabs, names: Sequence[str]) -> gr.events.Dependency:
    """Wiring; call it when everything else is built. `names` are the ids of the tabs. Returns the event of a page's
    loading, after which its visit is known."""
    token, tab = gr.Textbox(visible=False), gr.Textbox(visible=False)

    async def load(request: gr.Request, token: str, tab: str) -> AsyncIterator[Updates]:
        visit = page.sessions.attach(request.session_hash or "", str(token))
        async for updates in come_back(page, visit, {tabs: gr.update(selected=tab) if tab in names else gr.skip()}):
            yield updates

    return demo.load(load, [token, tab], [tabs, *page.parts], js=KEPT, **MODEL_CALL)


async def come_back(page: Page, visit: Visit, updates: Updates) -> AsyncIterator[Updates]:
    """What a page gets back of its visit, with `updates` in the first of them, and then what goes on."""
    for show in page.returns:
        updates |= show(visit)
    runs = list(visit.runs.values())
    for run in runs:
        updates |= run.again()
    going = [(run, run.count) for run in runs if not run.ended]
    yield updates
    async for more in _together(going):
        yield more


async def _together(going: Sequence[tuple[Run, int]]) -> AsyncIterator[Updates]:
    """What several runs show from now on, until the last has ended."""
    news: asyncio.Queue[Updates | None] = asyncio.Queue()

    async def watch(run: Run, seen: int) -> None:
        async for updates in run.watch(seen):
            news.put_nowait(updates)
        news.put_nowait(None)

    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(watch(run, seen)) for run, seen in going]
    left = len(tasks)
    try:
        while left:
            updates = await news.get()
            if updates is None:
                left -= 1
            else:
                yield updates
    finally:
        for task in tasks:
            task.cancel()
