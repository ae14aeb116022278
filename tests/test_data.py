"""Sources of training data: every kind gives examples, and rows that cannot be read cost only themselves."""

import io
import json
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Images

from tests.tiny import IMAGE_SEQ_LENGTH, tiny_processor
from train.data import InvalidRow, SourceError, open_source
from vlm_demo.detection import parse
from vlm_demo.detection.formats import write_objects

DATA = Path("../shared/data")


def png(color="red", size=(40, 20)) -> dict:
    buffer = io.BytesIO()
    Images.new("RGB", size, color).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def parquet(folder: Path, rows: list[dict], split="train", **features) -> str:
    kinds = Features({"image": Image(), **features})
    Dataset.from_list(rows, features=kinds).to_parquet(folder / f"{split}.parquet")
    return str(folder)


def captions(folder: Path) -> str:
    rows = [{"image": png(color), "caption_0": f"a {color} wall", "caption_1": f"{color} paint"} for color in COLORS]
    rows[1]["image"] = {"bytes": rows[1]["image"]["bytes"][:30], "path": None}  # cut off
    rows[3] |= {"caption_0": None, "caption_1": " "}
    return parquet(folder, rows, caption_0=Value("string"), caption_1=Value("string"))


COLORS = ("red", "blue", "green", "black", "white", "grey")
OBJECTS = {"objects": {"bbox": List(List(Value("float32"))), "category": List(ClassLabel(names=["cat", "dog"]))}}


def detections(folder: Path, *boxes: list, category=1) -> str:
    rows = [{"image": png(), "objects": {"bbox": box, "category": [category] * len(box)}} for box in boxes]
    return parquet(folder, rows, **OBJECTS)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def test_captions_change_from_epoch_to_epoch_and_come_back(tmp_path):
    source = open_source(captions(tmp_path))
    spoken = [source.example(0, epoch).turns[1]["text"] for epoch in range(12)]
    assert set(spoken) == {"a red wall", "red paint"}
    assert spoken == [source.example(0, epoch).turns[1]["text"] for epoch in range(12)]
    assert source.example(0).reference == {"captions": ["a red wall", "red paint"]}


def test_rows_that_cannot_be_read_are_named_and_passed_over(tmp_path):
    source = open_source(captions(tmp_path))
    assert len(list(source.examples())) == 4
    (cut, no_caption) = source.invalid_rows.items()
    assert cut[0].endswith("row 1") and "damaged" in cut[1]
    assert no_caption[0].endswith("row 3") and "no caption" in no_caption[1]


def test_samples_are_the_first_rows_streamed_or_not(tmp_path):
    name = captions(tmp_path)
    whole, streamed = (open_source(name, samples=3, streaming=streaming) for streaming in (False, True))
    assert len(whole) == len(streamed) == 3
    assert streamed.example(2).turns == whole.example(2).turns
    assert streamed.example(2).image_keys == whole.example(2).image_keys
    with pytest.raises(SourceError, match="--samples"):
        open_source(name, streaming=True)


def test_pixel_boxes_become_the_json_that_the_app_reads(tmp_path):
    source = open_source(detections(tmp_path, [[20, 5, 10, 10], [0, 0, 10, 10]]))
    example = source.example(0)
    assert example.reference["boxes"] == [[0, 0, 0.25, 0.5], [0.5, 0.25, 0.25, 0.5]]  # from left to right
    read = parse(example.turns[1]["text"], (40, 20))
    assert [item["label"] for item in read.objects] == ["dog", "dog"]
    assert [item["bbox"] for item in read.objects] == example.reference["boxes"]
    assert not read.report.repaired and not read.report.dropped
    assert len({source.example(0, epoch).turns[0]["text"] for epoch in range(20)}) == 3


@pytest.mark.parametrize(
    "box, why",
    [([1, 2, 3], "four numbers"), ([1, 2, float("nan"), 4], "four numbers"), (None, "four numbers")],
)
def test_boxes_that_make_no_sense_are_a_bad_row(tmp_path, box, why):
    source = open_source(detections(tmp_path, [box], [[0, 0, 5, 5]]))
    with pytest.raises(InvalidRow, match=why):
        source.example(0)
    assert len(list(source.examples())) == 1


def test_boxes_are_clipped_and_those_outside_are_named(tmp_path):
    source = open_source(detections(tmp_path, [[30, -5, 100, 10], [50, 0, 5, 5]]))
    assert source.example(0).reference["boxes"] == [[0.75, 0.0, 0.25, 0.25]]
    assert [name.partition(" ")[2] for name in source.invalid_rows] == ["row 0 box 2"]


def test_labels_with_quotes_stay_json():
    text = write_objects([{"label": 'a "quoted" cat', "bbox": [0, 0.5, 0.25, 1 / 3]}])
    assert json.loads(text) == {"objects": [{"label": 'a "quoted" cat', "bbox": [0.0, 0.5, 0.25, 0.333]}]}


def test_the_most_common_answer_is_learned_and_all_are_truth(tmp_path):
    answers = [{"answer": text} for text in ("two", "2", "two")]
    row = {"image": png(), "question": "How many?", "answers": answers, "multiple_choice_answer": None}
    rows = [row, {**row, "question": ""}, {**row, "answers": []}]
    kinds = {"question": Value("string"), "answers": List({"answer": Value("string")})}
    source = open_source(parquet(tmp_path, rows, **kinds, multiple_choice_answer=Value("string")))
    example = source.example(0)
    assert example.turns[1]["text"] == "two" and example.reference == {"answers": ["two", "2", "two"]}
    assert len(list(source.examples())) == 1 and len(source.invalid_rows) == 2


def test_several_images_are_told_by_their_captions(tmp_path):
    source = open_source(captions(tmp_path), "compare")
    kinds = set()
    for example in (source.lazy_example(0, epoch) for epoch in range(60) if _good(source, epoch)):
        question, answer = (turn["text"] for turn in example.turns)
        kinds.add(answer.split()[0])
        assert 2 <= len(example.images) <= 4 and len({image.key for image in example.images}) > 1
        if answer.startswith("Image") and len(answer) == len("Image 1."):
            shown = example.images[int(answer[6]) - 1].open().getpixel((0, 0))
            color = next(color for color in COLORS if color in question)
            assert shown == Images.new("RGB", (1, 1), color).getpixel((0, 0))
    assert kinds == {"Image", "First:"}


def _good(source, epoch) -> bool:
    try:
        source.example(0, epoch)
    except InvalidRow:
        return False
    return True


def test_conversations_place_images_and_mask_the_user(tmp_path):
    outside, folder = tmp_path / "outside.png", tmp_path / "chats"
    folder.mkdir()
    for path in (outside, folder / "a.png"):
        path.write_bytes(png()["bytes"])
    llava = {
        "image": "a.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is this?"},
            {"from": "gpt", "value": "A red dog."},
            {"from": "human", "value": "What colour?"},
            {"from": "gpt", "value": "red"},
        ],
    }
    sharegpt = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Is <image> like <image>?"},
            {"role": "assistant", "content": "yes"},
        ],
        "images": ["a.png", "a.png"],
    }
    invalid = [{**llava, "image": name} for name in ("gone.png", "../outside.png", str(outside))]
    invalid += [{**sharegpt, "images": ["a.png"]}, {"conversations": []}, 7]
    file = folder / "chats.json"
    file.write_text(json.dumps([llava, sharegpt, *invalid]))
    source = open_source(str(file))
    one, two = source.examples()
    assert len(source.invalid_rows) == 6 and any("gone.png" in why for why in source.invalid_rows.values())
    assert sum("lies outside" in why for why in source.invalid_rows.values()) == 2
    processor = tiny_processor()
    ids, labels = processor.encode_chat_with_labels(one.turns, len(one.images))
    learned = processor.tokenizer.decode([label for label in labels if label != -100])
    assert learned == " A red dog.</s> red</s>"
    ids, _ = processor.encode_chat_with_labels(two.turns, len(two.images))
    assert ids.count(processor.image_token_id) == 2 * IMAGE_SEQ_LENGTH
    assert "Be brief" not in processor.tokenizer.decode(ids)


def test_a_damaged_line_of_jsonl_costs_only_itself(tmp_path):
    line = json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]})
    file = tmp_path / "chats.jsonl"
    file.write_text(f"{line}\n{line[:20]}\n\n{line}\n")
    source = open_source(str(file))
    assert len(list(source.examples())) == 2 and len(source.invalid_rows) == 1


def test_icon_scenes_serve_every_task_and_keep_splits_apart():
    source = open_source("icons", samples=8)
    assert [source.example(i).task for i in range(4)] == ["caption", "detect", "vqa", "compare"]
    assert source.example(1).image_keys == source.example(1).image_keys
    assert source.example(1).image_keys != open_source("icons", split="validation").example(1).image_keys
    detect = source.example(1)
    assert len(parse(detect.turns[1]["text"], (1, 1)).objects) == len(detect.reference["boxes"])


@pytest.mark.parametrize(
    "name, advice",
    [("./nowhere", "check the path"), ("nowhere.parquet", "check the path"), ("{folder}", "no parquet files")],
)
def test_missing_data_says_what_to_do(tmp_path, name, advice):
    with pytest.raises(SourceError, match=advice):
        open_source(name.format(folder=tmp_path))


def test_another_split_and_another_task_are_named(tmp_path):
    name = captions(tmp_path)
    with pytest.raises(SourceError, match="it has train.parquet"):
        open_source(name, split="test")
    with pytest.raises(SourceError, match="does not serve the task vqa"):
        open_source(name, "vqa")


def test_a_damaged_file_says_so(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"PAR1 this is not one")
    with pytest.raises(SourceError, match="cannot be read|no rows"):
        open_source(str(tmp_path))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not there (../shared/data)")
@pytest.mark.parametrize("name, task", [("flickr8k", "caption"), ("animals", "detect"), ("daquar", "vqa")])
def test_real_data_is_understood_by_its_columns(name, task):
    example = next(open_source(str(DATA / name), split="validation").examples(1))
    assert example.task == task and example.turns[1]["text"]
