"""What we use of libraries that they promise to nobody: when another version breaks it, these tests say what broke."""

import asyncio
import importlib.metadata
import inspect
import time
from collections import Counter

import gradio as gr
import gradio.queueing
import httpx
import httpx2
import pytest
import torch
from gradio.state_holder import SessionState
from gradio_client import Client
from transformers import GenerationMixin, ProcessorMixin
from transformers.utils import cached_file

from tests.fake_engine import fake_engine
from vlm_demo.backends.remote import huggingface_hub_private
from vlm_demo.runners import torch_private, transformers_private
from vlm_demo.ui import build_app, gradio_private, hover, image_components, launch_options

WAYS = [gradio_private, huggingface_hub_private, torch_private, transformers_private]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_version_is_the_one_that_was_read(way):
    library = way.__name__.rpartition(".")[2].removesuffix("_private")
    installed = importlib.metadata.version(library)
    assert installed.startswith(f"{way.VERSION}."), (
        f"{library} {installed} is installed, but {way.__name__} was written for {way.VERSION}: "
        "read what it uses once more in the new sources, then change VERSION there"
    )


@pytest.mark.parametrize(("owner", "method", "parameters", "ours"), gradio_private.OVERRIDDEN)
def test_what_our_components_override_in_gradio(owner, method, parameters, ours):
    actual = getattr(owner, method, None)
    assert actual, f"{owner.__name__}.{method}, which {ours} overrides, is gone"
    missing = set(parameters) - set(inspect.signature(actual).parameters)
    assert not missing, f"{owner.__name__}.{method}, which {ours} overrides, no longer takes {', '.join(missing)}"


def test_our_components_are_shown_as_those_that_they_replace():
    for component, name in (
        (image_components.UploadedImage, "image"),
        (image_components.UploadedImages, "file"),
        (hover.HoverImage, None),
    ):
        shown = component(render=False).get_block_name()
        assert shown == (name or gr.AnnotatedImage(render=False).get_block_name()), "`is_template` has another meaning"


def test_the_little_things_of_gradio():
    assert gr.Image(render=False).GRADIO_CACHE == gradio_private.get_upload_folder(), "files are kept elsewhere"
    assert "GRADIO_ANALYTICS_CACHE_FREQUENCY" in inspect.getsource(gradio.queueing), "its statistics run again"
    assert gradio_private.FileData(path="a").model_dump()["meta"]["_type"] == gradio_private.FILE_TYPE


@pytest.fixture(scope="module")
def page():
    demo = build_app(fake_engine("three"))
    assert demo.app is None, "gradio makes a web server before launch does"
    demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **launch_options())
    yield demo
    demo.close()


def test_a_page_that_nobody_uses_hardly_looks_for_events(page, monkeypatch):
    looks = Counter()
    monkeypatch.setattr(gradio.queueing.Queue, "__len__", lambda queue: looks.update([id(queue)]) or 0)
    time.sleep(1.0)
    assert 0 < looks[id(page._queue)] < 10, "gradio's queue looks as often as ever, or is asked in another way"
    assert page._queue.progress_update_sleep_when_free == gradio_private.NEVER


def test_gradio_s_queue_is_told_of_an_event_and_of_room_for_the_next(page, monkeypatch):
    monkeypatch.setattr(gradio_private, "LOOK", 1000.0)  # longer than anybody waits
    monkeypatch.setattr(page._queue, "sleep_when_free", 1000.0)
    monkeypatch.setattr(page._queue, "active_jobs", [None])
    time.sleep(1.0)  # the last short sleep ends
    client = Client(page.local_url, verbose=False, httpx_kwargs={"timeout": 60})
    for job in [client.submit(text="how many?", n_images=1, api_name="/route") for _ in range(3)]:
        assert job.result(timeout=100)["tasks"] == ["vqa"]
    client.close()


def test_gradio_finds_the_routes_of_a_press_first_and_asks_no_thread_for_a_login(page):
    first = page.app.router.routes[0].original_router.routes[: len(gradio_private.OFTEN)]
    assert all(route.path.endswith(gradio_private.OFTEN) for route in first), "its routes lie elsewhere"
    assert not any(route.dependencies for route in first), "a login is asked for"
    assert httpx.get(f"{page.local_url}gradio_api/queue/status").status_code == 200
    locked = gr.Blocks()
    locked.auth = [("me", "secret")]
    app = gradio_private.App.create_app(locked)
    assert any(route.dependencies for route in app.router.routes[0].original_router.routes), "logins are asked no more"


def test_gradio_works_on_nothing_but_the_news(monkeypatch):
    with gradio_private.QuickBlocks() as demo:
        parts = [gr.Textbox(), gr.HTML(), gr.Button()]
        demo.load(lambda: None, None, parts)
    [listener] = demo.fns.values()
    described = Counter()
    describe = gradio.blocks.BlocksConfig.config_for_block
    counted = staticmethod(lambda number, *rest: described.update([number]) or describe(number, *rest))
    for news in ({parts[0]: "words"}, {parts[2]: gr.update(visible=False), parts[0]: "words"}, {parts[1]: gr.skip()}):
        wanted = asyncio.run(gr.Blocks.postprocess_data(demo, listener, dict(news), SessionState(demo)))
        state = SessionState(demo)
        with monkeypatch.context() as patch:
            patch.setattr(gradio.blocks.BlocksConfig, "config_for_block", counted)
            sent = asyncio.run(demo.postprocess_data(listener, dict(news), state))
        assert sent == [one if part in news else gr.skip() for part, one in zip(parts, wanted, strict=True)]
        assert set(described) <= {part._id for part in news}, "it describes what has not changed"
        described.clear()
    with pytest.raises(ValueError, match="not specified as output"):
        asyncio.run(demo.postprocess_data(listener, {gr.HTML(render=False): "words"}, None))


def test_gradio_looks_at_its_constructors_once():
    assert "inspect.signature(cls.__init__)" in inspect.getsource(gradio.blocks.Block.get_config)
    assert "inspect.getfullargspec(fn)" in inspect.getsource(gradio.component_meta.updateable)
    for ask in (gradio.blocks.inspect.signature, gradio.component_meta.inspect.getfullargspec):
        assert ask(gr.HTML.__init__) is ask(gr.HTML.__init__)


def test_gradio_takes_a_component_without_a_file_for_one_that_needs_no_stubs():
    source = inspect.getsource(gradio.component_meta.create_or_modify_pyi)
    _, actual, after = source.partition("inspect.getfile(component_class)")
    assert actual and "except OSError" in after.partition("source_code")[0], "it parses all components at each start"


def test_huggingface_hub_speaks_through_the_client_that_it_is_given_and_leaves_it_open():
    async def speak():
        http = httpx2.AsyncClient()
        async with huggingface_hub_private.inference_client(http, base_url="http://127.0.0.1:9/v1") as client:
            assert await client._get_async_client() is http, "each answer makes a client of its own"
        assert not http.is_closed
        await http.aclose()

    asyncio.run(speak())


@pytest.mark.parametrize(
    ("function", "parameters", "ours"),
    [
        (GenerationMixin._prefill, ["input_ids", "generation_config", "model_kwargs"], "HubRunner"),
        (
            GenerationMixin._update_model_kwargs_for_generation,
            ["outputs", "model_kwargs", "is_encoder_decoder"],
            "HubRunner",
        ),
        (ProcessorMixin.replace_image_token, ["image_inputs", "image_idx"], "MiniVLMProcessor"),
        (ProcessorMixin.get_text_with_replacements, ["text", "images_replacements"], "MiniVLMProcessor"),
        (ProcessorMixin.validate_inputs, ["images", "text"], "MiniVLMProcessor"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_methods_inside_transformers(function, parameters, ours):
    own = [name for name in inspect.signature(function).parameters if name != "self"]
    assert own[: len(parameters)] == parameters, f"{function.__name__}, which {ours} relies on, takes other arguments"


def test_a_file_that_a_checkpoint_does_not_have_is_none(tmp_path):
    (tmp_path / "there.txt").write_text("yes")
    assert transformers_private.file_of(str(tmp_path), "there.txt") == str(tmp_path / "there.txt")
    assert transformers_private.file_of(str(tmp_path), "gone.txt") is None, (
        f"{cached_file} raises, or finds another file"
    )


def test_transformers_own_names_of_classes_are_where_we_look_and_add_ours():
    names = transformers_private.image_text_to_text_names()
    assert names["llava"] == "LlavaForConditionalGeneration" and isinstance(names, dict)


def test_operators_of_torch_multiply():
    x, weight = torch.randn(3, 32), torch.randn(16, 32)
    wanted = x @ weight.T
    if torch_private.can_pack(weight):
        actual = torch_private.packed_linear(x, torch_private.pack(weight), None)
        assert torch.allclose(actual, wanted, atol=1e-4), "the packed product is another one"
    if torch_private.can_multiply_int8():
        scales = (weight.abs().amax(dim=1) / 127).bfloat16()
        rounded = (weight / scales.float()[:, None]).round().to(torch.int8)
        actual = torch_private.int8_linear(x.bfloat16(), rounded, scales).float()
        assert (actual - wanted).abs().max() < 0.2, "the product with 8-bit integers is another one"
