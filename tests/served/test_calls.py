"""The named endpoints through gradio_client."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests import rectangles
from tests.fake_engine import fake_engine
from tests.served_page import ENDPOINTS, SCENE, free_port
from vlm_demo.ui import build_app, launch_options


@pytest.fixture(scope="module")
def boxed() -> Iterator[Client]:
    """A client of a page whose model knows the rectangles."""
    demo = build_app(fake_engine(rectangles.reply))
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options()
    )
    yield Client(address, verbose=False)
    demo.close()


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


def test_compare_endpoint_wants_two_images(client: Client, picture: Path) -> None:
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
