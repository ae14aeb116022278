"""What we use of libraries that they promise to nobody: when another version breaks it, these tests say what broke."""

import importlib.metadata
import inspect

import gradio as gr
import gradio.queueing
import pytest
import torch
from transformers import GenerationMixin, ProcessorMixin
from transformers.utils import cached_file

from vlm_demo.runners import torch_private, transformers_private
from vlm_demo.ui import gradio_private, hover, pictures


@pytest.mark.parametrize("way", [gradio_private, torch_private, transformers_private], ids=lambda way: way.__name__)
def test_the_version_is_the_one_that_was_read(way):
    library = way.__name__.rpartition(".")[2].removesuffix("_private")
    installed = importlib.metadata.version(library)
    assert installed.startswith(f"{way.VERSION}."), (
        f"{library} {installed} is installed, but {way.__name__} was written for {way.VERSION}: "
        "read what it uses once more in the new sources, then change VERSION there"
    )


@pytest.mark.parametrize(("owner", "method", "parameters", "ours"), gradio_private.OVERRIDDEN)
def test_what_our_components_override_in_gradio(owner, method, parameters, ours):
    found = getattr(owner, method, None)
    assert found, f"{owner.__name__}.{method}, which {ours} overrides, is gone"
    missing = set(parameters) - set(inspect.signature(found).parameters)
    assert not missing, f"{owner.__name__}.{method}, which {ours} overrides, no longer takes {', '.join(missing)}"


def test_our_components_are_shown_as_those_that_they_replace():
    for component, name in ((pictures.Picture, "image"), (pictures.PictureFiles, "file"), (hover.HoverImage, None)):
        shown = component(render=False).get_block_name()
        assert shown == (name or gr.AnnotatedImage(render=False).get_block_name()), "`is_template` has another meaning"


def test_the_little_things_of_gradio():
    assert gr.Image(render=False).GRADIO_CACHE == gradio_private.get_upload_folder(), "files are kept elsewhere"
    assert "GRADIO_ANALYTICS_CACHE_FREQUENCY" in inspect.getsource(gradio.queueing), "its statistics run again"
    assert gradio_private.FileData(path="a").model_dump()["meta"]["_type"] == gradio_private.FILE_TYPE


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


def test_operators_of_torch_multiply():
    x, weight = torch.randn(3, 32), torch.randn(16, 32)
    wanted = x @ weight.T
    if torch_private.can_pack(weight):
        found = torch_private.packed_linear(x, torch_private.pack(weight), None)
        assert torch.allclose(found, wanted, atol=1e-4), "the packed product is another one"
    if torch_private.can_multiply_int8():
        scales = (weight.abs().amax(dim=1) / 127).bfloat16()
        rounded = (weight / scales.float()[:, None]).round().to(torch.int8)
        found = torch_private.int8_linear(x.bfloat16(), rounded, scales).float()
        assert (found - wanted).abs().max() < 0.2, "the product with 8-bit integers is another one"
