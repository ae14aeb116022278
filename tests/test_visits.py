"""Visits and their runs: whom Stop reaches, what ends when, what is kept for a page that comes back."""

import asyncio
from collections.abc import Callable
from functools import partial

import gradio as gr
import pytest

from tests.fake_engine import LONG, fake_engine
from tests.served_page import SCENE
from vlm_demo.results import Result
from vlm_demo.ui import visits
from vlm_demo.ui.runs import Run
from vlm_demo.ui.visits import TOKEN_LENGTH, Sessions


def test_stop_reaches_this_person_on_this_tab_only() -> None:
    sessions = Sessions()
    mine, other_tab, other = (
        sessions.start("me", "chat"),
        sessions.start("me", "caption"),
        sessions.start("you", "chat"),
    )
    sessions.stop("me", "chat")
    assert (mine.stopped, other_tab.stopped, other.stopped) == (True, False, False)
    sessions.close("me")
    assert other_tab.stopped and not other.stopped


def test_a_visit_ends_with_its_last_page() -> None:
    sessions, token = Sessions(), "t" * TOKEN_LENGTH
    sessions.attach("before the reload", token)
    run = sessions.start("before the reload", "caption")
    visit = sessions.attach("after it", token)
    sessions.close("before the reload")
    assert visit.runs["caption"] is run and not run.stopped
    assert sessions.attach("somebody else", "u" * TOKEN_LENGTH) is not visit
    sessions.close("after it")
    assert run.stopped and not sessions.attach("too late", token).runs


def test_visits_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MOST", 2)
    sessions, tokens = Sessions(), [letter * TOKEN_LENGTH for letter in "abc"]
    runs = []
    for token in tokens:
        sessions.attach(token, token)
        runs.append(sessions.start(token, "caption"))
    assert [run.stopped for run in runs] == [True, False, False]
    assert not sessions.attach("back", tokens[0]).runs and sessions.attach("again", tokens[2]).runs


def partials(run: Run, *starts: Callable, each: Callable = lambda result: None) -> list[Result]:
    """What a run yields; `each` is called with it."""

    async def follow() -> list[Result]:
        results = []
        async for _, result in run.follow(*starts):
            each(result)
            results.append(result)
        return results

    return asyncio.run(follow())


def test_a_stopped_run_keeps_its_partial_text() -> None:
    engine, run = fake_engine(LONG, delay=0.3), Run("me")
    start = partial(engine.caption_stream, SCENE.image(32), "brief")
    *_, last = partials(run, start, each=lambda result: len(result.text.split()) >= 2 and run.stop())
    assert last.finish_reason == "cancelled"
    assert LONG.startswith(last.text) and len(last.text.split()) >= 2


def test_stop_before_the_model_starts_ends_the_run() -> None:
    engine, run = fake_engine(LONG, delay=0.02), Run("me")
    run.stop()
    *_, last = partials(run, partial(engine.caption_stream, SCENE.image(32), "brief"))
    assert last.finish_reason == "cancelled"


def test_a_run_that_nobody_watches_goes_on_and_shows_all_to_who_comes_back() -> None:
    async def visit() -> tuple[dict, list[dict]]:
        run = Run("me")

        async def work() -> None:
            for number in range(5):
                run.show({"text": f"{number}", "line": gr.update(visible=True)})
                await asyncio.sleep(0.01)
            run.show({"line": gr.update(value="done")})
            run.end()

        run.go(work())
        async for _ in run.watch():
            break  # the connection is lost
        await asyncio.sleep(0.3)
        return run.again(), [updates async for updates in run.watch(run.count)]

    again, later = asyncio.run(visit())
    assert again == {"text": "4", "line": gr.update(visible=True, value="done")} and later == []
