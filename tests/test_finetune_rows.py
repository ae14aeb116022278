"""What fine-tuning sees when: kept features, mixture weights, batches, rows that cannot be read."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import tiny_config, tiny_model, tiny_processor
from tests.walls import Walls
from train.data import InvalidRow, LazyExample
from train.data.base import chat
from train.finetune import batches
from train.finetune.batches import Sample, TrainingSet, draw_samples, encode, group_by_length, mixture_weights
from train.finetune.vision_cache import VisionCache, check_only
from vlm_demo.detection.formats import write_objects


def opened_cache(folder: Path, model=None, side=32) -> VisionCache:
    processor = tiny_processor()
    processor.image_processor.size = {"height": side, "width": side}
    return VisionCache(folder, model or tiny_model(tiny_config(processor)), processor)


def test_kept_features_are_those_of_the_backbone_and_damage_is_noticed(tmp_path, capsys):
    lazy = {p.key: p for index in range(3) for p in Walls(4, bad_images=[2]).lazy_example(index).images}
    cache = opened_cache(tmp_path)
    assert list(cache.ensure(lazy).values()) == ["The picture is damaged."]
    good = list(lazy)[:2]
    pixels = cache.processor.image_processor([lazy[key].open() for key in good], return_tensors="pt")
    fresh = cache.model.get_vision_features(pixels["pixel_values"])
    assert torch.equal(cache(good), fresh.to(torch.bfloat16))

    (file,) = cache.folder.glob("*.npy")
    array = np.load(file)
    array[0, 0, 0] += 1
    np.save(file, array)
    mended = opened_cache(tmp_path)
    assert "computed again" in capsys.readouterr().out
    mended.ensure(lazy)
    assert torch.equal(mended(good), fresh.to(torch.bfloat16))


def test_features_of_another_backbone_or_preprocessing_are_never_taken(tmp_path):
    folders = {
        opened_cache(tmp_path).folder,
        opened_cache(tmp_path, side=48).folder,
        opened_cache(tmp_path, tiny_model(tiny_config(tiny_processor()), seed=1)).folder,
    }
    assert len(folders) == 3


def test_every_row_is_seen_once_an_epoch_and_mixture_weights_are_kept():
    seen = Counter(
        (sample.source, sample.index, sample.epoch)
        for sample in draw_samples([5, 11], mixture_weights([5, 11], None, 1), 2, 0)
    )
    assert seen == Counter((s, i, e) for s, size in enumerate([5, 11]) for i in range(size) for e in range(2))
    assert (
        draw_samples([5, 11], [0.5, 0.5], 2, 0)
        == draw_samples([5, 11], [0.5, 0.5], 2, 0)
        != draw_samples([5, 11], [0.5, 0.5], 2, 1)
    )
    by_weight = Counter(sample.source for sample in draw_samples([10, 90], mixture_weights([10, 90], [3, 1], 1), 1, 0))
    assert by_weight == {0: 75, 1: 25}
    assert mixture_weights([10, 1000], None, 1e9) == pytest.approx([0.5, 0.5])
    assert mixture_weights([1, 4], None, 2) == pytest.approx([1 / 3, 2 / 3])


def test_samples_of_like_length_share_a_step():
    samples = [Sample(0, i, 0, length=(i * 37) % 100) for i in range(200)]
    grouped = group_by_length(samples, 8, 0)
    assert sorted(grouped, key=lambda d: d.index) == samples
    spans = [max(s) - min(s) for s in ([d.length for d in grouped[at : at + 8]] for at in range(0, 200, 8))]
    assert max(spans) < 15
    assert [d.length for d in grouped] != sorted(d.length for d in samples)


def test_a_detection_is_cut_between_objects_and_counted():
    processor = tiny_processor()
    objects = [{"label": f"dog {k}", "bbox": [0.1, 0.2, 0.3, 0.4]} for k in range(6)]
    draft = LazyExample("detect", (), chat("detect", "", write_objects(objects)), {}, "row")
    full = len(encode(processor, draft, 10_000)[0])
    ids, labels, left_out = encode(processor, draft, full - 1)
    written = processor.tokenizer.decode([label for label in labels if label != -100], skip_special_tokens=True)
    assert json.loads(written)["objects"] == objects[:5] and left_out == {"objects": 1}
    ids, labels, left_out = encode(processor, draft, full // 2)
    written = processor.tokenizer.decode([label for label in labels if label != -100], skip_special_tokens=True)
    assert json.loads(written)["objects"] == objects[: 6 - left_out["objects"]] and len(ids) <= full // 2
    with pytest.raises(InvalidRow, match="longer than 8 tokens"):
        encode(processor, draft, 8)


def test_the_next_row_stands_in_for_one_that_cannot_be_read():
    source = Walls(8, bad_rows=[2], bad_images=[3])
    data = TrainingSet([source], tiny_processor(), 512)
    data.build_index(draw_samples([8], [1.0], 1, 0), check_only, 4, 0)
    assert Counter(sample.index for sample in data.samples) == {0: 1, 1: 1, 4: 3, 5: 1, 6: 1, 7: 1}
    assert {name.split()[-1]: why for name, why in source.invalid_rows.items()} == {
        "2": "the text is gone",
        "3": "The picture is damaged.",
    }
    assert len(batches.Collator(0)([data[i] for i in range(8)])["pixel_values"]) == 8


def test_a_source_without_one_good_row_says_so():
    data = TrainingSet([Walls(3, bad_rows=range(3))], tiny_processor(), 512)
    with pytest.raises(InvalidRow, match="not one row"):
        data.build_index(draw_samples([3], [1.0], 1, 0), check_only, 3, 0)
