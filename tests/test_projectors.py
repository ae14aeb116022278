"""Projectors: each kind is saved, loaded and generated from, and takes the image tokens that it promises."""

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from tests.tiny import GREEDY, IMAGE_SEQ_LENGTH, images, padded, prompt, tiny_config, tiny_model, tiny_processor
from vlm_demo.engine import Engine
from vlm_demo.model.projectors import pixel_shuffle

# Image tokens of a picture of 2x2 patches, and the config that gives them.
KINDS = {
    "linear": (4, {"projector": "linear"}),
    "mlp": (4, {"projector": "mlp"}),
    "mlp of squares": (1, {"projector": "mlp", "pixel_shuffle": 2}),
    "qformer": (3, {"projector": "qformer", "vision_seq_length": IMAGE_SEQ_LENGTH}),
    "resampler": (3, {"projector": "resampler", "vision_seq_length": IMAGE_SEQ_LENGTH}),
    "resampler of squares": (3, {"projector": "resampler", "vision_seq_length": IMAGE_SEQ_LENGTH, "pixel_shuffle": 2}),
}


@pytest.fixture(scope="module", params=KINDS)
def built(request):
    """Model and processor of one kind."""
    tokens, kwargs = KINDS[request.param]
    processor = tiny_processor(image_seq_length=tokens)
    return tiny_model(tiny_config(processor, image_seq_length=tokens, **kwargs)), processor


def test_cached_equals_uncached(built):
    model, processor = built
    ids = prompt(processor, "how many?", n_images=2)
    cached = model.generate(ids, pixel_values=images(2), **GREEDY)
    assert torch.equal(cached, model.generate(ids, pixel_values=images(2), use_cache=False, **GREEDY))
    features = model.get_vision_features(images(2))
    assert torch.equal(cached, model.generate(ids, image_features=features, **GREEDY))


def test_a_batch_equals_its_rows(built):
    model, processor = built
    counts = [1, 0, 2]
    rows = [prompt(processor, text, n) for text, n in zip(("how many?", "yes", "which is red?"), counts, strict=True)]
    pixels = images(3)
    batch = model(**padded(processor, rows), pixel_values=pixels).logits
    for logits, row, own in zip(batch, rows, pixels.split(counts), strict=True):
        alone = model(row, pixel_values=own if len(own) else None).logits[0]
        assert torch.allclose(logits[-row.shape[1] :], alone, atol=1e-4)


def test_the_answer_depends_on_each_image(built):
    model, processor = built
    ids, pixels = prompt(processor, "which?", n_images=2), images(2)
    logits = model(ids, pixel_values=pixels).logits
    assert not torch.allclose(logits, model(ids, pixel_values=pixels.flip(0)).logits)


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_images_is_a_clear_error(built, count):
    model, processor = built
    with pytest.raises(ValueError, match=rf"{count} images\): pass as many images as the text mentions"):
        model(prompt(processor, "which?", n_images=2), pixel_values=images(count))


def test_a_saved_model_answers_alike_through_the_auto_class_and_the_engine(built, tmp_path):
    model, processor = built
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert loaded.config.projector == model.config.projector
    ids = prompt(processor, "how many?")
    assert torch.equal(loaded(ids, pixel_values=images(1)).logits, model(ids, pixel_values=images(1)).logits)
    engine = Engine(tmp_path, device="cpu")
    assert engine.answer(Image.new("RGB", (64, 64), "red"), "how many?").tokens
    engine.close()


def test_every_part_of_a_projector_learns(built):
    model, processor = built
    ids = prompt(processor, "how many?")
    model(ids, pixel_values=images(1), labels=ids).loss.backward()
    still = [name for name, p in model.model.projector.named_parameters() if p.grad is None]
    model.zero_grad()
    assert not still


def test_squares_of_the_grid_become_one_feature():
    grid = torch.arange(16.0).view(1, 16, 1)  # 4x4 cells, numbered row by row
    assert pixel_shuffle(grid, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"projector": "mlp", "vision_seq_length": 16}, "makes 16 image tokens of 16 patch features"),
        ({"projector": "linear", "vision_seq_length": 9, "pixel_shuffle": 2}, "needs a square grid"),
    ],
)
def test_lengths_that_do_not_fit_are_a_clear_error(kwargs, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(tiny_processor(), **kwargs)
