"""An engine on a scripted model, a new one for each test of this folder."""

import pytest

from tests.scripted import Bytes
from vlm_demo.engine import Engine


@pytest.fixture
def model():
    return Bytes()


@pytest.fixture
def engine(model):
    engine = Engine(runner=model, waiting_per_session=3, max_waiting=6)
    yield engine
    model.go.set()
    engine.close(grace=0.2)
