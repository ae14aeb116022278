"""Answers that come unasked: a tab that is looked at for the first time answers about the image that the page opens on.

Only where that costs nobody a wait, and where the visitor has not done anything there before. It is a run like any
other: a press of Run, Stop or another image ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from .common import MODEL_CALL, Page, Unasked, Work
from .runs import Updates
from .visits import Visit

LOADING = 10.0  # seconds; a model that is still being loaded when the page opens may take so long
MOST = 8  # visitors who are answered unasked at once; where a whole class opens the page, the others press Run
LOOK = 0.25  # seconds between two looks at that


def wire(page: Page, opened: gr.events.Dependency, tabs: dict[str, gr.Tab]) -> None:
    """Let the tabs that can answer unasked; call it when all are built. The first of them is the one on which the page
    opens, `opened` is the event after which its visit is known."""
    first, going = next(iter(tabs)), set[Visit]()
    for name, way in page.unasked.items():
        begin = opened.then if name == first else tabs[name].select
        begin(if_welcome(page, name, way, going), way.inputs, way.outputs, **MODEL_CALL)


def if_welcome(page: Page, tab: str, way: Unasked, going: set[Visit]) -> Work:
    """A listener that runs a tab's own where its answer is welcome; `going`: those who are being answered unasked."""

    async def listen(request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        visit = page.sessions.visit(request.session_hash or "")
        fresh = tab not in visit.unasked and request.session_hash not in visit.back
        visit.unasked.add(tab)
        models = way.models(page.model(request.session_hash), values) if fresh else []
        welcome = models and await _quick(page, models)
        if not welcome or len(going) >= MOST or not _untouched(page, request.session_hash, tab, values):
            yield {way.outputs[0]: gr.skip()}
            return
        going.add(visit)
        try:
            async for updates in way.listener(request, *values):
                yield updates
        finally:
            going.discard(visit)

    return listen


async def _quick(page: Page, models: Sequence[str]) -> bool:
    """Whether these models answer at once, or do so when they have been loaded, which is going on."""
    patience = time.monotonic() + LOADING
    while not (quick := all(map(page.engine.quick, models))) and time.monotonic() < patience:
        if page.engine.status().loaded:
            return False
        await asyncio.sleep(LOOK)
    return quick


def _untouched(page: Page, session: str | None, tab: str, values: tuple[Any, ...]) -> bool:
    """Whether the visitor has asked nothing here yet, and the page shows the image that it opened on, to a model that
    knows such images."""
    visit, inputs = page.sessions.visit(session or ""), page.images.inputs
    held = [visit.images.get(part, value) for part, value in zip(inputs, values, strict=False)]
    known = page.world(session) == page.world(None)
    return bool(held[0]) and known and tab not in visit.runs and page.images.as_opened(held)
