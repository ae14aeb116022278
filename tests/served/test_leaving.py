"""Programs that leave, and the turns of those that stay."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from tests.fake_engine import LONG, fake_engine
from tests.served_page import free_port, upload
from vlm_demo.ui import build_app, launch_options


class Counted:
    """A page whose model writes slowly, one answer at a time, and whose steps are counted; `go` lets it write, until
    it comes to step `halt`."""

    def __init__(self) -> None:
        self.engine = fake_engine(LONG, delay=0.02)
        runner = self.engine.runner
        runner.max_sequences = 1
        self.steps: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.halt: int | None = None
        step = runner.decode

        def decode(rows: list) -> None:
            self.steps.append(len(rows))
            if len(self.steps) == self.halt:
                self.go.clear()
            self.go.wait(60)
            step(rows)

        runner.decode = decode

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60  # a busy machine is slow, not wrong
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.005)

    def idle(self) -> bool:
        status = self.engine.status()
        return status.running == status.waiting == 0


@pytest.fixture(scope="module")
def slow() -> Iterator[tuple[Counted, str]]:
    counted = Counted()
    demo = build_app(counted.engine)
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield counted, address
    demo.close()
    counted.engine.close()


@pytest.mark.parametrize("how", ["cancel", "disconnect"])
def test_a_program_that_leaves_ends_its_own_request_and_no_other(slow, picture: Path, how: str) -> None:
    counted, url = slow
    client, other = Client(url, verbose=False), Client(url, verbose=False)
    counted.steps.clear()
    if how == "cancel":
        job = client.submit([handle_file(picture)], "And?", api_name="/answer")
        counted.until(lambda: job.outputs() and len(job.outputs()[-1]["text"].split()) > 2)
        waiting = other.submit([handle_file(picture)], "Me too?", max_new_tokens=5, api_name="/answer")
        counted.until(lambda: counted.engine.status().waiting == 1)
        job.cancel()
        assert LONG.startswith(job.outputs()[-1]["text"])  # what was written is kept
    else:
        image = {"path": upload(url, picture), "meta": {"_type": "gradio.FileData"}}
        with streaming(url, "caption", [image, "brief", 0, 1, 0, -1, [], ""]) as lines:
            counted.until(lambda: "word3" in next(lines))
            waiting = other.submit([handle_file(picture)], "Me too?", max_new_tokens=5, api_name="/answer")
            counted.until(lambda: counted.engine.status().waiting == 1)
    assert waiting.result()["tokens"] == 5
    counted.until(counted.idle)
    assert len(counted.steps) < 150  # 204 would be the whole of both
    after = len(counted.steps)
    time.sleep(0.2)
    assert len(counted.steps) == after


def test_a_program_that_leaves_the_line_is_never_served(slow, picture: Path) -> None:
    counted, url = slow
    client, other = Client(url, verbose=False), Client(url, verbose=False)
    counted.steps.clear()
    first = client.submit([handle_file(picture)], "And?", api_name="/answer")
    counted.until(lambda: counted.engine.status().running == 1)
    counted.go.clear()  # or the first could end before the second has left
    second = other.submit([handle_file(picture)], "And?", api_name="/answer")
    counted.until(lambda: counted.engine.status().waiting == 1)
    second.cancel()
    counted.until(lambda: counted.engine.status().waiting == 0)
    counted.go.set()
    assert first.result()["tokens"] == len(counted.steps)
    counted.until(counted.idle)
    assert first.result()["tokens"] == len(counted.steps)


def test_programs_take_turns_like_everyone(slow, picture: Path) -> None:
    counted, url = slow
    client, other = Client(url, verbose=False), Client(url, verbose=False)
    send = [[handle_file(picture)], "And?"]
    counted.steps.clear()
    counted.go.clear()  # or the first could end before the others have come
    greedy = [client.submit(*send, max_new_tokens=30, api_name="/answer") for _ in range(4)]
    counted.until(lambda: counted.engine.status().waiting == 3)
    late = other.submit(*send, max_new_tokens=2, api_name="/answer")
    counted.until(lambda: counted.engine.status().waiting == 4)
    counted.halt = 30 + 30 + 2 + 2  # two of the greedy ones, the late one, and the beginning of the next
    counted.go.set()
    assert late.result()["tokens"] == 2
    assert sum(job.done() for job in greedy) <= 2
    counted.halt = None  # if the next has not begun yet, it must not stop when it does
    counted.go.set()
    assert [job.result()["tokens"] for job in greedy] == [30] * 4


@contextlib.contextmanager
def streaming(url: str, name: str, data: list) -> Iterator[Iterator[str]]:
    """The lines that a call sends, until the connection is closed."""
    event = httpx.post(f"{url}gradio_api/call/{name}", json={"data": data}).json()["event_id"]
    with httpx.stream("GET", f"{url}gradio_api/call/{name}/{event}", timeout=60) as response:
        yield response.iter_lines()
