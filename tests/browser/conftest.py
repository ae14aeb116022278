"""A running app, and a real Chromium for it. Each page opened is watched: no console error, no outside host."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from tests.fake_engine import LONG, fake_engine, oracle
from vlm_demo.engine import ICONS, Engine
from vlm_demo.scenes import make_pair, make_scene
from vlm_demo.ui import Owner, build_app, draws, launch_options

CHROMIUM = Path(os.environ.get("CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium"))
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"  # a camera that shows a clock
).split()
PATIENCE = 120_000  # milliseconds that anything on the page may take on a busy machine
PAIR = 5  # the seed of the pair that "New pair" draws here
ASKED_IN_VAIN = ("mcp/schema", "monitoring/summary")  # by gradio's own API page, which then does without
LOCAL = ("127.0.0.1", "")
ABORTED = "AbortError"  # says gradio's client where the browser ends what it still listened to, as it leaves a page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = pytest.mark.skip(reason=f"no Chromium at {CHROMIUM}: install it, or set CHROMIUM to its path")
    # Last of all: Playwright leaves an event loop running in this thread, in which `asyncio.run` of others would fail.
    items.sort(key=lambda item: here in item.path.parents)
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")
            item.add_marker(pytest.mark.timeout(600))
            item.add_marker(pytest.mark.flaky(reruns=1))
            if not CHROMIUM.exists() and os.environ.get("CI") != "true":
                item.add_marker(missing)


def photograph_or_nothing(world: str) -> draws.Drawn:
    """What a page opens on unless a test is about that: nothing where the model knows scenes, so that no tab answers
    before the test has asked."""
    return draws.example(0, world) if world == draws.PHOTOGRAPHS else draws.Drawn([], "")


@contextmanager
def serve(
    engine: Engine, owner: Owner | None = None, opening: Callable[[str], draws.Drawn] = photograph_or_nothing
) -> Iterator[str]:
    """The address of a page on a free port; at the end page and engine are closed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with patch.object(draws, "opening", opening):
        demo = build_app(engine, owner=owner)
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield address
    demo.close()
    engine.close()


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The bundled model; a script that knows the same scenes where the checkpoint is not there yet."""
    if (ICONS / "model.safetensors").exists():
        return Engine(ICONS, device="cpu")
    return fake_engine(oracle(*[make_scene(seed) for seed in draws.EXAMPLES], make_pair(PAIR)))


@pytest.fixture(scope="session")
def address(engine: Engine) -> Iterator[str]:
    engine.load()  # on a busy machine that alone may take longer than a test should wait
    with serve(engine) as address:
        yield address


@pytest.fixture(scope="session")
def bundled() -> Iterator[str]:
    """The page as `make demo` starts it, on both bundled models, photographs first, and on a quick machine: one that is
    busy answers nobody unasked."""
    engine = Engine(device="cpu")
    for model in engine.models:
        engine.load(model)
    engine.quick = lambda model=None: True
    with serve(engine) as address:
        yield address


@pytest.fixture(scope="session")
def slow_engine() -> Engine:
    """Writes two hundred words about anything, so slowly that a stalled test still finds it writing."""
    return fake_engine(LONG, delay=0.3)


@pytest.fixture(scope="session")
def slow_address(slow_engine: Engine) -> Iterator[str]:
    with serve(slow_engine) as address:
        yield address


@pytest.fixture(scope="session")
def outside_address() -> Iterator[str]:
    """A page whose model calls every picture one from outside its world."""
    engine = fake_engine("three", outside=True)
    with serve(engine) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """start(engine, owner, opening): the address of a page of the test's own. A test asks for it before `visit`, so
    that its visitors leave before it ends."""
    with ExitStack() as pages:
        yield lambda *page, **options: pages.enter_context(serve(*page, **options))


@pytest.fixture
def visit(chromium) -> Iterator[Callable]:
    """visit(address, width=1280): a page of a person of their own. At the end nothing must have gone wrong on any,
    but for what a browser says where a connection breaks off, if that is meant to happen (`steady=False`)."""
    contexts, complaints, hosts = [], [], set()

    def listen(message) -> None:
        known = message.location["url"].endswith(ASKED_IN_VAIN) or ABORTED in message.text
        if message.type == "error" and not known:
            complaints.append(f"{message.text} {message.location['url']}")

    def open_page(address: str, width: int = 1280, height: int = 900, steady: bool = True):
        context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        if steady:
            page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
        page.goto(address)
        page.get_by_role("tab", name="Caption").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert hosts <= set(LOCAL)
