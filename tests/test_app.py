"""The page without a browser: the named endpoints through gradio_client, and the parts that need no server."""

import asyncio
import contextlib
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests import rectangles
from tests.fake_engine import LONG, fake_engine, oracle
from vlm_demo.detection import Parsed, Report
from vlm_demo.engine import Engine
from vlm_demo.images import ImageError
from vlm_demo.results import Result, SamplingParameters, Token
from vlm_demo.router import Route
from vlm_demo.scenes import make_scene
from vlm_demo.ui import Owner, build_app, jobs, launch_options, visits, words
from vlm_demo.ui.runs import Run
from vlm_demo.ui.tabs import auto, detect, live
from vlm_demo.ui.visits import TOKEN_LENGTH, Sessions

SCENE = make_scene(11)
ENDPOINTS = {"/caption", "/detect", "/answer", "/compare", "/auto", "/route"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def engine():
    return fake_engine(oracle(SCENE))


@pytest.fixture(scope="module")
def url(engine) -> Iterator[str]:
    demo = build_app(engine)
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield address
    demo.close()


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def boxed() -> Iterator[Client]:
    """A client of a page whose model knows the rectangles."""
    demo = build_app(fake_engine(rectangles.reply))
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield Client(address, verbose=False)
    demo.close()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    SCENE.image(256).save(path)
    return path


def test_only_the_six_endpoints_are_public_and_each_says_what_it_does(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(described) == ENDPOINTS
    for endpoint in described.values():
        assert endpoint["description"]
        assert all(parameter["python_type"]["description"] for parameter in endpoint["parameters"])


@pytest.mark.parametrize("style", ["brief", "detailed", "alt"])
def test_caption_endpoint(client: Client, picture: Path, style: str) -> None:
    result = client.predict(handle_file(picture), style=style, api_name="/caption")
    assert result["text"] == SCENE.caption(style)
    assert 0 < result["confidence"] <= 1
    assert result["tokens"] > 1
    assert result["finish"] == "stop"
    json.dumps(result)


def test_detect_endpoint_gives_the_true_boxes(client: Client, picture: Path) -> None:
    result = client.predict(handle_file(picture), api_name="/detect")
    truth = json.loads(SCENE.detections_json())["objects"]
    assert [(item["label"], item["bbox"]) for item in result["objects"]] == [
        (item["label"], pytest.approx(item["bbox"])) for item in truth
    ]
    assert result["report"] == f"{len(truth)} read" and result["size"] == [256, 256]
    x, y, w, h = (256 * value for value in truth[0]["bbox"])
    assert result["objects"][0]["pixels"] == pytest.approx([x, y, w, h], abs=0.01)
    assert result["failed"] is False


@pytest.mark.parametrize("case", rectangles.CASES, ids=lambda case: case.name)
def test_detect_endpoint_finds_the_place_in_the_original(boxed: Client, case: rectangles.Case, tmp_path: Path) -> None:
    result = boxed.predict(handle_file(case.save(tmp_path)), api_name="/detect")
    assert result["size"] == list(case.size)
    assert [item["pixels"] for item in result["objects"]] == [pytest.approx(box, abs=1) for box in case.boxes.values()]


def test_answer_endpoint_passes_the_history_on(client: Client, picture: Path, engine) -> None:
    qa = SCENE.questions()[0]
    result = client.predict([handle_file(picture)], qa.question, [["Is it night?", "no"]], api_name="/answer")
    assert result["text"] == qa.answer
    assert [turn["text"] for turn in engine.runner.asked[-1]] == ["Is it night?", "no", qa.question]


def test_compare_endpoint_wants_two_pictures(client: Client, picture: Path) -> None:
    two = [handle_file(picture), handle_file(picture)]
    assert client.predict(two, "What changed?", api_name="/compare")["text"] == "Nothing changed."
    with pytest.raises(AppError, match="2 to 4 images, not 1"):
        client.predict(two[:1], "What changed?", api_name="/compare")


def test_a_program_names_the_model_that_answers(client: Client, picture: Path) -> None:
    assert client.predict(handle_file(picture), model="fake", api_name="/caption")["model"] == "fake"
    for endpoint, inputs in (("/detect", handle_file(picture)), ("/auto", [handle_file(picture)])):
        more = {"text": "[OD]"} if endpoint == "/auto" else {}
        with pytest.raises(AppError, match="There is no model 'tiny' here; choose one of fake"):
            client.predict(inputs, model="tiny", api_name=endpoint, **more)


def test_auto_endpoint_runs_what_the_tag_says(client: Client, picture: Path) -> None:
    result = client.predict([handle_file(picture)], "[OD]", api_name="/auto")
    assert result["route"]["tasks"] == ["detect"]
    assert result["results"][0]["text"] == SCENE.detections_json()


def test_auto_endpoint_asks_back_when_unsure(client: Client, picture: Path) -> None:
    result = client.predict([handle_file(picture)], "hello", api_name="/auto")
    assert result["route"]["unsure"] is True
    assert result["results"] == []


def test_route_endpoint(client: Client) -> None:
    result = client.predict("Describe this picture.", 1, api_name="/route")
    assert result["tasks"] == ["caption"]
    assert set(result["probabilities"]) == {"caption", "detect", "vqa", "compare"}


def test_errors_tell_a_person_what_to_do(client: Client, picture: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("This is no picture.")
    with pytest.raises(AppError, match="not an image"):
        client.predict(handle_file(text), api_name="/caption")
    with pytest.raises(AppError, match="Choose an image first"):
        client.predict(None, api_name="/caption")
    with pytest.raises(AppError, match="choose one of brief, detailed, alt"):
        client.predict(handle_file(picture), style="poem", api_name="/caption")
    with pytest.raises(AppError, match="type a question"):
        client.predict([handle_file(picture)], "  ", api_name="/answer")
    with pytest.raises(AppError, match="pairs"):
        client.predict([handle_file(picture)], "Why?", [["only a question"]], api_name="/answer")


def call(url: str, name: str, data: list) -> str:
    """The raw stream of events of a call, as a program without gradio_client would make it."""
    joined = httpx.post(f"{url}gradio_api/call/{name}", json={"data": data})
    if joined.status_code != 200:
        return joined.text
    return httpx.get(f"{url}gradio_api/call/{name}/{joined.json()['event_id']}", timeout=120).text


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
    counted.go.set()
    assert [job.result()["tokens"] for job in greedy] == [30] * 4


def upload(url: str, picture: Path) -> str:
    return httpx.post(f"{url}gradio_api/upload", files={"files": picture.read_bytes()}).json()[0]


@contextlib.contextmanager
def streaming(url: str, name: str, data: list) -> Iterator[Iterator[str]]:
    """The lines that a call sends, until the connection is closed."""
    event = httpx.post(f"{url}gradio_api/call/{name}", json={"data": data}).json()["event_id"]
    with httpx.stream("GET", f"{url}gradio_api/call/{name}/{event}", timeout=60) as response:
        yield response.iter_lines()


@pytest.fixture(scope="module")
def shown(url: str) -> dict[str, dict[str, str]]:
    """The code that the page shows beside each endpoint, by language."""
    endpoints = httpx.get(f"{url}gradio_api/info").json()["named_endpoints"]
    return {name: endpoint["code_snippets"] for name, endpoint in endpoints.items()}


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_the_python_that_the_page_shows_works_as_it_stands(shown: dict, name: str, capsys) -> None:
    exec(shown[name]["python"], {})
    printed = capsys.readouterr().out
    assert "'tasks':" in printed if name == "/route" else "'text':" in printed


def test_the_shell_commands_that_the_page_shows_work_as_they_stand(shown: dict) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl, for which the commands are")
    script = "\n".join(snippets["bash"] for snippets in shown.values())
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("event: complete") == len(ENDPOINTS) and "event: error" not in done.stdout


def test_the_image_that_the_page_opens_with_outlives_every_visitor(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = build_app(Engine())  # photographs first: one of them is there when the page opens
    [first] = [path for path in tmp_path.rglob("*") if path.is_file()]
    upload = tmp_path / "upload" / "mine.png"
    upload.parent.mkdir()
    upload.write_bytes(b"mine")
    demo._files["visitor"] = {str(first), str(upload)}
    demo._forget("visitor")
    assert first.exists() and not upload.exists()


def test_a_frame_of_the_camera_is_no_path(picture: Path) -> None:
    for sent in (str(picture), f"file://{picture}", "http://127.0.0.1/a.png", None):
        with pytest.raises(ImageError, match="data: URL"):
            live.read_frame(sent)


def test_only_photographs_of_the_page_are_lent(url: str, shown: dict) -> None:
    assert httpx.get(f"{url}samples/dogs.jpg").headers["content-type"] == "image/jpeg"
    assert httpx.get(f"{url}samples/credits.json").status_code == 404
    assert httpx.get(f"{url}samples/../__init__.py").status_code == 404
    for snippets in shown.values():
        assert "githubusercontent" not in json.dumps(snippets) and ".invalid" not in json.dumps(snippets)


def test_the_server_opens_neither_web_addresses_nor_its_own_files(url: str, picture: Path) -> None:
    meta = {"_type": "gradio.FileData"}
    remote = call(url, "caption", [{"path": "http://example.com/cat.png", "meta": meta}, "brief", 0, 1, 0, -1, [], ""])
    assert "Web addresses are not opened" in remote
    local = call(url, "caption", [{"path": str(picture), "meta": meta}, "brief", 0, 1, 0, -1, [], ""])
    assert "event: error" in local and SCENE.caption() not in local


@pytest.mark.parametrize("several", [False, True])
def test_a_path_is_no_upload(url: str, picture: Path, several: bool) -> None:
    """A path alone, without the mark that gradio checks, must not open a file of the server."""
    name, rest = (
        ("answer", ["How many?", [], 0, 1, 0, -1, [], ""]) if several else ("caption", ["brief", 0, 1, 0, -1, [], ""])
    )
    file = {"path": str(picture)}
    told = call(url, name, [[file] if several else file, *rest])
    assert "handle_file" in told and SCENE.caption() not in told


def test_one_file_is_as_good_as_a_list_of_one(client: Client, picture: Path) -> None:
    qa = SCENE.questions()[0]
    assert client.predict(handle_file(picture), qa.question, api_name="/answer")["text"] == qa.answer
    assert client.predict([handle_file(picture)], api_name="/caption")["text"] == SCENE.caption()


@pytest.mark.parametrize("sent", ["cat.png", 7, ["cat.png"], [[]]])
def test_what_is_no_file_is_refused_in_words(url: str, sent: object) -> None:
    assert "uploaded and sent with handle_file" in call(url, "answer", [sent, "How many?", [], 0, 1, 0, -1, [], ""])
    assert "uploaded and sent with handle_file" in call(url, "caption", [sent, "brief", 0, 1, 0, -1, [], ""])


def test_data_urls_are_read_within_bounds(url: str) -> None:
    from base64 import b64encode

    buffer = io.BytesIO()
    SCENE.image(64).save(buffer, "PNG")
    small = {"url": "data:image/png;base64," + b64encode(buffer.getvalue()).decode()}
    assert SCENE.caption() in call(url, "caption", [small, "brief", 0, 1, 0, -1, [], ""])
    large = {"url": "data:image/png;base64," + "A" * 30_000_000}
    assert "larger than 20 MB" in call(url, "caption", [large, "brief", 0, 1, 0, -1, [], ""])


def test_nothing_is_watched_published_or_kept(url: str) -> None:
    config = httpx.get(f"{url}config").json()
    assert config["analytics_enabled"] is False
    assert not config.get("run_history")
    assert httpx.get(f"{url}monitoring").status_code in (403, 404)
    page = httpx.get(url).text
    assert "fonts.googleapis" not in page


def test_the_page_is_up_before_torch_is_imported() -> None:
    code = "import sys, vlm_demo.ui; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    root = Path(__file__).parents[1]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.strip() == "[]"


WATCHED = """
import runpy, sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = args[1] if event == "socket.connect" else args[0]
        print("DIALS", address[0] if isinstance(address, tuple) else address, flush=True)
sys.addaudithook(watch)
sys.argv = ["app.py", "--port", sys.argv[1]]
runpy.run_path("app.py", run_name="__main__")
"""


def test_the_server_talks_to_nobody_but_itself_and_ends_when_told(picture: Path) -> None:
    port = free_port()
    command = [sys.executable, "-u", "-c", WATCHED, str(port)]
    online = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GRADIO_"))}
    server = subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=online
    )
    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                client = Client(f"http://127.0.0.1:{port}/", verbose=False, analytics_enabled=False)
                break
            except (httpx.HTTPError, ValueError):
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)
        assert client.predict(handle_file(picture), style="brief", api_name="/caption")["text"]
        server.terminate()
        said, _ = server.communicate(timeout=60)
    finally:
        server.kill()
    dialled = {line.split()[1] for line in said.splitlines() if line.startswith("DIALS")}
    assert dialled and dialled <= {"127.0.0.1", "localhost", "::1", "None", "0.0.0.0"}, said


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


def test_several_tasks_become_several_calls_in_turn() -> None:
    engine = fake_engine(oracle(SCENE))
    image = SCENE.image(32)
    plan = jobs.plan(engine, {"vqa": "how many objects?", "detect": "box them"}, [image, image])
    assert [(job.title, job.picture) for job in plan] == [
        ("Answer", 0),
        ("Detect, image 1", 1),
        ("Detect, image 2", 2),
    ]
    plan[0].start(SamplingParameters(), None).result()
    assert engine.runner.asked[-1][-1]["text"] == "how many objects?"


def test_what_was_understood_can_be_overruled() -> None:
    shares = {"caption": 0.1, "detect": 0.9, "vqa": 0.8, "compare": 0.0}
    parts = {"vqa": "how many?", "detect": "and where?"}
    route = Route(["vqa", "detect"], shares, False, None, "how many, and where?", parts)
    found, card = auto.understand(route)
    assert (
        found == parts and "Answer and Detect. One after the other." in card and card.count('aria-pressed="true"') == 2
    )
    found, card = auto.understand(route, "caption")
    assert found == {"caption": "how many, and where?"} and "As you said: Caption." in card
    unsure = replace(route, unsure=True, note="Do you want boxes?")
    found, card = auto.understand(unsure)
    assert found == {} and "Do you want boxes?" in card and 'aria-pressed="true"' not in card
    assert auto.understand(unsure, "vqa")[0] == {"vqa": "how many, and where?"}


@pytest.mark.parametrize(
    ("text", "style"),
    [("alt text please", "alt"), ("describe it in detail", "detailed"), ("what a salty scene", "brief")],
)
def test_caption_style_of_words(text: str, style: str) -> None:
    assert jobs.style_of(text) == style


def tokens(*parts: tuple[str, float]) -> list[Token]:
    return [Token(i, text, share, [(text, share), ("blue", 0.07)]) for i, (text, share) in enumerate(parts)]


def test_short_answers_show_their_alternatives() -> None:
    result = Result("vqa", "", text="red", tokens=tokens(("red", 0.9)), new_tokens=2, finish_reason="stop")
    shown = words.alternatives(result)
    assert "red" in shown and "90 %" in shown and "blue" in shown and "7 %" in shown
    long = Result("vqa", "", text="a b c d", tokens=tokens(*[(" a", 0.9)] * 4), finish_reason="stop")
    assert words.alternatives(long) == ""


def test_alternatives_of_a_longer_answer_are_shares_of_one_whole() -> None:
    """The first token's text comes without the space that its alternatives still have."""
    first = Token(1, "dark", 0.6, [(" dark", 0.6), (" light", 0.39), (" bright", 0.01)])
    second = Token(2, " blue", 0.7, [(" blue", 0.7), (" green", 0.295), (" red", 0.005)])
    shown = words.alternatives(Result("vqa", "", text="dark blue", tokens=[first, second], finish_reason="stop"))
    shares = [int(share) for share in re.findall(r"(\d+) %", shown)]
    assert shares[0] == 42 and 95 <= sum(shares) <= 100
    assert "light …" in shown and "dark green" in shown and "dark …" not in shown


def test_whatever_the_tokens_the_answer_and_its_alternatives_come_to_no_more_than_the_whole() -> None:
    chance = random.Random(0)
    for _ in range(300):
        tokens = []
        for number in range(chance.randint(1, words.SHORT_ANSWER)):
            shares = [chance.random() ** 3 for _ in range(6)]  # the sixth stands for all other tokens
            top = [(f" {name}", share / sum(shares)) for name, share in zip("abcde", shares, strict=False)]
            text, probability = chance.choice(top)
            tokens.append(Token(number, text if number else text.strip(), probability, top))
        answer = "".join(token.text for token in tokens)
        shown = words.alternatives(Result("vqa", "", text=answer, tokens=tokens, finish_reason="stop"))
        assert sum(int(share) for share in re.findall(r"(\d+) %", shown)) <= 100, shown


def test_the_number_that_is_told_is_that_of_the_rows() -> None:
    objects = [
        {"label": label, "bbox": [0.1 * n, 0.1, 0.05, 0.2], "image": None, "confidence": 0.2 * n}
        for n, label in enumerate(("cat", "dog", "cat", "cow"), 1)
    ]
    parsed = Parsed(objects, ["cat", "dog", "cow"], (100, 100), Report(read=4))
    for some, told in (
        (parsed, "Reading the text: 4 read"),
        (parsed.only(["cat"]), "2 of 4 shown"),
        (parsed.above(0.5), "2 of 4 shown"),
        (parsed.only(["cat"]).above(0.5), "1 of 4 shown"),
        (parsed.only([]), "0 of 4 shown"),
    ):
        shown = detect.report(some)
        assert told in shown and shown.count("<tr>") - 1 == len(some.objects)


def test_what_a_model_writes_never_becomes_html() -> None:
    item = {"label": "<script>alert(1)</script>", "bbox": [0, 0, 1, 1], "confidence": 0.5, "image": None}
    assert "<script>" not in words.boxes([item])
    assert "<b>" not in words.notice("<b>")


def press(url: str, elem_id: str, session: str, key: str | None = None, address: str = "192.168.1.7") -> dict:
    """Press a button of the page as the browser of somebody at another address does; gives the last event."""
    config = httpx.get(f"{url}config", timeout=60).json()
    button = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == elem_id)
    listener = next(one["id"] for one in config["dependencies"] if [button, "click"] in map(list, one["targets"]))
    asked = {"fn_index": listener, "data": [], "session_hash": session}
    httpx.post(
        f"{url}gradio_api/queue/join",
        json=asked,
        params={"owner": key} if key else {},
        headers={"X-Forwarded-For": address},  # the server believes what a proxy on its own machine says
        timeout=60,
    ).raise_for_status()
    with httpx.stream("GET", f"{url}gradio_api/queue/data", params={"session_hash": session}, timeout=60) as events:
        return next(json.loads(line[6:]) for line in events.iter_lines() if '"process_completed"' in line)


def test_only_the_owner_frees_the_memory(engine) -> None:
    demo = build_app(engine, owner=Owner("chalk"))
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    engine.load()
    refused = press(address, "free-memory", "somebody")
    assert not refused["success"] and "owner=KEY" in refused["output"]["error"]
    assert engine.status().loaded
    assert press(address, "free-memory", "owner", key="chalk")["success"]
    assert not engine.status().loaded
    demo.close()


def test_drawn_boxes_have_words_for_those_who_do_not_see_them():
    boxes = {"cat": [0.0, 0.0, 0.2, 0.2], "tree": [0.4, 0.4, 0.2, 0.2], "dog": [0.8, 0.4, 0.2, 0.2]}
    objects = [{"label": label, "bbox": box, "image": None, "confidence": None} for label, box in boxes.items()]
    assert words.drawn(objects) == (
        "The image with 3 boxes drawn on it: cat at the top left, tree in the middle, dog at the right."
    )
    assert words.drawn([objects[0] | {"image": 2}]).endswith("1 box drawn on it: cat at the top left of image 2.")
    assert words.drawn(objects * 8).endswith(", and 4 more.") and "no box" in words.drawn([])
