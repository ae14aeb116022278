"""The remote backend against a real server process: `transformers serve` over a tiny model on the disk."""

import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import families
import numpy as np
import pytest
from PIL import Image
from transformers.utils.import_utils import is_serve_available

from vlm_demo.backends.remote import RemoteBackend
from vlm_demo.engine import Engine, EngineError, Message, Request, SamplingParameters
from vlm_demo.images import load


def question(image, **sampling):
    return Request("vqa", (Message("user", (load(image), "how many cats?")),), SamplingParameters(**sampling))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(address, folder of the model) of a server that is ready."""
    if not is_serve_available():
        pytest.skip("pip install transformers[serving]")
    folder = tmp_path_factory.mktemp("served") / "llava"
    families.save("llava", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path_factory.mktemp("cache"))}
    command = [Path(sys.executable).with_name("transformers"), "serve", folder, "--device", "cpu", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + 120
        while not RemoteBackend("ready?", [url]).servers.answers(f"{url}/v1"):
            assert time.monotonic() < deadline and process.poll() is None, "the server does not start"
            time.sleep(0.2)
        yield url, str(folder)
    finally:
        process.terminate()
        process.wait(30)


def test_a_real_server_writes_what_the_same_model_writes_here(server):
    url, folder = server
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    file = io.BytesIO()
    noise.resize((320, 320)).save(file, "PNG")
    image = Image.open(file)
    partials = list(
        RemoteBackend("lab", [url], folder).stream(question(image, max_new_tokens=8)).partials(interval=0),
    )
    last = partials[-1]
    assert len(partials) > 3 and last.finish_reason == "length" and (last.prompt_tokens, last.new_tokens) == (24, 8)
    engine = Engine(folder, device="cpu", dtype="float32")
    assert last.text == engine.answer(image, "how many cats?", settings=SamplingParameters(max_new_tokens=8)).text
    engine.close()


def test_a_real_server_can_be_left_and_asked_again(server):
    url, folder = server
    backend = RemoteBackend("lab", [url], folder)
    image = Image.new("RGB", (64, 48), "navy")
    answer = backend.stream(question(image, max_new_tokens=300))
    for partial in answer.partials(interval=0):
        if partial.new_tokens == 3:
            answer.cancel()
    assert partial.finish_reason == "cancelled" and 3 <= partial.new_tokens < 300
    assert backend.stream(question(image, max_new_tokens=4)).result().new_tokens == 4


def test_a_real_servers_refusal_is_told(server):
    url, _ = server
    with pytest.raises(EngineError, match="lab refuses this request"):
        RemoteBackend("lab", [url], "another-model").stream(question(Image.new("RGB", (9, 9)))).result()


def test_transformers_serve_finds_minivlm_through_our_command(checkpoint, monkeypatch):
    if not is_serve_available():
        pytest.skip("pip install transformers[serving]")
    import transformers
    from transformers.cli.serving.model_manager import ModelManager
    from transformers.cli.serving.utils import Modality

    from vlm_demo.model import MiniVLMForConditionalGeneration
    from vlm_demo.runners import serve, transformers_private

    monkeypatch.setattr(transformers, "MiniVLMForConditionalGeneration", None, raising=False)  # put back afterwards
    monkeypatch.setitem(transformers_private.image_text_to_text_names(), "minivlm", None)
    monkeypatch.setattr(sys, "argv", ["serve.py", str(checkpoint), "--port", "8000"])
    commands = []
    monkeypatch.setattr(transformers_private, "command", lambda: commands.append(sys.argv))
    serve.main()
    assert commands == [["transformers", "serve", str(checkpoint), "--port", "8000"]]
    model, processor = ModelManager(device="cpu").load_model_and_processor(f"{checkpoint}@main")
    assert type(model) is MiniVLMForConditionalGeneration
    assert ModelManager.get_model_modality(model, processor) is Modality.VLM
