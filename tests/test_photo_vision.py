"""The vision tower for photographs: it computes what its sources compute, and proposes each object once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from train.photographs.words import LABELS
from vlm_demo.checkpoints import bundled
from vlm_demo.model import MiniVLMForConditionalGeneration, PhotoVisionConfig, PhotoVisionModel
from vlm_demo.model.modeling_photo_vision import pairwise_iou, pool_boxes
from vlm_demo.samples import samples

# Of samples/dogs.jpg at 300 pixels: channel means of the last map of EfficientNet-Lite0, as its published code has
# it, and the surest box of the frozen graph of SSD-MobileNetV2, computed node by node.
SOURCES = json.loads(Path(__file__).with_name("data").joinpath("photo_vision.json").read_text())


@pytest.fixture(scope="module")
def tower() -> PhotoVisionModel:
    torch.manual_seed(0)
    return PhotoVisionModel(PhotoVisionConfig()).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    dogs = next(sample for sample in samples() if sample.image == "dogs.jpg")  # of which the sources' outputs are kept
    image = dogs.open().resize((300, 300), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.skipif(not bundled("minivlm-photographs").exists(), reason="the bundled photograph model is not there")
def test_the_bundled_tower_computes_what_its_sources_compute(pixels):
    path = bundled("minivlm-photographs")
    tower = MiniVLMForConditionalGeneration.from_pretrained(path, dtype=torch.float32).model.vision_tower.eval()
    with torch.inference_mode():
        means = tower.classifier(pixels)[0].mean((2, 3))[0, :64]
        out = tower(pixels)
    true = torch.tensor(SOURCES["classifier_mean"])
    # The bundled weights are rounded to bfloat16, hence the width.
    assert torch.nn.functional.cosine_similarity(means, true, dim=0) > 0.999
    best = SOURCES["detector"]
    assert LABELS[out.labels[0, 0]] == best["label"] and out.scores[0, 0] == pytest.approx(best["score"], abs=0.05)
    assert out.boxes[0, 0].tolist() == pytest.approx(np.clip(best["box"], 0, 1).tolist(), abs=0.02)


def test_features_stand_for_grid_and_regions(tower, pixels):
    with torch.inference_mode():
        out = tower(pixels)
    config = tower.config
    assert out.last_hidden_state.shape == (1, config.seq_length, config.hidden_size) == (1, 69, 2437)
    assert out.boxes.shape == (1, 20, 4) and (out.scores.diff() <= 0).all()
    grid, regions = out.last_hidden_state[0, :49], out.last_hidden_state[0, 49:]
    patches = sum(config.map_sizes)
    assert not grid[:, patches:].any() and (regions[:, -1] == 1).all()
    left, top, right, bottom = out.boxes[0].unbind(-1)
    sizes = torch.stack([left, top, right - left, bottom - top], -1)
    assert torch.allclose(regions[:, patches + 80 : patches + 84], sizes, atol=1e-5)


def test_an_image_is_seen_alike_alone_and_in_company(tower, pixels):
    with torch.inference_mode():
        alone = tower(pixels).last_hidden_state
        together = tower(torch.cat([-pixels, pixels])).last_hidden_state[1:]
    assert torch.allclose(alone, together, atol=1e-3)


def test_no_object_is_proposed_twice():
    config = PhotoVisionConfig(num_regions=2, num_labels=2)
    boxes = torch.tensor([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.48], [0.5, 0.5, 1, 1], [0, 0, 0.5, 0.4]]])
    scores = torch.tensor([[[0.9, 0], [0.8, 0], [0.3, 0], [0, 0.7]]])
    kept, _, score, label = PhotoVisionModel.propose(_Bare(config), boxes, scores)
    assert score[0].tolist() == pytest.approx([0.9, 0.7]) and label[0].tolist() == [0, 1]
    assert pairwise_iou(kept)[0, 0, 1] < 0.85


class _Bare:
    def __init__(self, config: PhotoVisionConfig) -> None:
        self.config = config


def test_a_box_has_the_mean_of_what_it_covers():
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    boxes = torch.tensor([[[0, 0, 1, 1], [0, 0, 0.25, 0.25], [0.25, 0, 0.625, 0.25], [0.5, 0.5, 0.5, 0.5]]])
    pooled = pool_boxes(features, boxes)[0, :, 0].tolist()
    assert pooled == pytest.approx([7.5, 0.0, (1 + 0.5 * 2) / 1.5, (5 + 6 + 9 + 10) / 4], abs=1e-4)
