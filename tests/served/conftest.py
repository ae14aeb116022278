"""A page on an engine that knows one scene, and a client of it, for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from tests.fake_engine import fake_engine, oracle
from tests.served_page import SCENE, free_port
from vlm_demo.ui import build_app, launch_options


@pytest.fixture(scope="session")
def engine():
    return fake_engine(oracle(SCENE))


@pytest.fixture(scope="session")
def url(engine) -> Iterator[str]:
    demo = build_app(engine)
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield address
    demo.close()


@pytest.fixture(scope="session")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    SCENE.image(256).save(path)
    return path
