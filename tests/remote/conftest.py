"""Stand-ins for servers on other machines, and what talks to them."""

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.utils._http import default_async_client_factory
from standin_server import StandIn

from vlm_demo.backends.remote import RemoteBackend


@pytest.fixture
def serve(monkeypatch):
    """Makes servers and what talks to them; retries do not wait long."""
    monkeypatch.setattr("vlm_demo.backends.remote.answer.BACKOFF", 0.01)
    open_ones = []

    def make(*plans, **options):
        servers = [StandIn(*plan) for plan in plans or [()]]
        backend = RemoteBackend(
            "the lab", [server.url for server in servers], **{"read_seconds": 5, "probe_seconds": 0.05, **options}
        )
        open_ones.extend([*servers, backend])
        return backend, *servers

    yield make
    for one in open_ones:
        one.close()


@pytest.fixture
def two_connections():
    """huggingface_hub holds a hundred connections at most; a test makes do with two."""
    limits = httpx2.Limits(max_connections=2)
    huggingface_hub.set_async_client_factory(lambda: httpx2.AsyncClient(limits=limits, timeout=None))
    yield
    huggingface_hub.set_async_client_factory(default_async_client_factory)
