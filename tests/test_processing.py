"""The processor: prompt layout, pictures and text safety."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoProcessor, PreTrainedTokenizerFast
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.tiny import CORPUS, IMAGE_SEQ_LENGTH, tiny_processor, tiny_tokenizer, tiny_vit_config
from vlm_demo.checkpoints import bundled
from vlm_demo.model import MiniVLMProcessor, special_tokens

PICTURE = ["<image>"] * IMAGE_SEQ_LENGTH


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def user(text: str, task: str | None = None) -> dict:
    return {"role": "user", "task": task, "text": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "text": text}


def image() -> dict:
    return {"type": "image"}


def words(text: str) -> dict:
    return {"type": "text", "text": text}


@pytest.fixture(scope="module")
def processor() -> MiniVLMProcessor:
    return tiny_processor()


@pytest.fixture(scope="module")
def llama_processor(tmp_path_factory) -> MiniVLMProcessor:
    """A processor over a tokenizer built as Llama 3's is: byte-level BPE behind a regular expression, its own names
    for the special tokens, a template that adds one, and no padding token."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|begin_of_text|>", "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)]
    )
    folder = tmp_path_factory.mktemp("llama")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>"
    ).save_pretrained(folder / "text")
    tiny_vit_config().save_pretrained(folder / "vision")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder / "vision")
    return MiniVLMProcessor.from_backbones(folder / "vision", folder / "text", image_seq_length=IMAGE_SEQ_LENGTH)


def tokens(processor: MiniVLMProcessor, ids: list[int]) -> list[str]:
    """Tokens with each run of plain ones joined to its text."""
    special = set(processor.tokenizer.all_special_ids)
    result, plain = [], []
    for token_id in [*ids, None]:
        if token_id is None or token_id in special:
            if plain:
                result.append(processor.tokenizer.decode(plain))
            plain = []
            if token_id is not None:
                result.append(processor.tokenizer.convert_ids_to_tokens(token_id))
        else:
            plain.append(token_id)
    return result


class TestLayout:
    def test_one_picture_and_a_follow_up(self, processor):
        chat = [user("how many cats?", "vqa"), assistant("2"), user("and dogs?")]
        ids = processor.encode_chat(chat, n_images=1)
        first = ["<s>", "<|user|>", *PICTURE, "<image_1>", "[VQA]", " how many cats?", "<|assistant|>", " 2", "</s>"]
        assert tokens(processor, ids) == [*first, "<|user|>", " and dogs?", "<|assistant|>"]

    def test_ends_with_end_of_turn_after_an_answer(self, processor):
        ids = processor.encode_chat([user("brief", "caption"), assistant("a red cat")], n_images=1)
        assert tokens(processor, ids)[-3:] == ["<|assistant|>", " a red cat", "</s>"]

    @pytest.mark.parametrize("task, tag", [("caption", "[CAPTION]"), ("detect", "[OD]"), ("compare", "[COMPARE]")])
    def test_a_tag_alone(self, processor, task, tag):
        ids = processor.encode_chat([user("", task)], n_images=2)
        pictures = [*PICTURE, "<image_1>", *PICTURE, "<image_2>"]
        assert tokens(processor, ids) == ["<s>", "<|user|>", *pictures, tag, "<|assistant|>"]

    def test_pictures_where_they_are_mentioned(self, processor):
        content = [words("the"), image(), words("or"), image()]
        chat = [{"role": "user", "task": "compare", "content": content}]
        pictures = [*PICTURE, "<image_1>", " or", *PICTURE, "<image_2>"]
        expected = ["<s>", "<|user|>", "[COMPARE]", " the", *pictures, "<|assistant|>"]
        assert tokens(processor, processor.encode_chat(chat, n_images=2)) == expected

    def test_leading_picture_parts_equal_the_plain_form(self, processor):
        parts = [{"role": "user", "task": "compare", "content": [image(), image(), words("What changed?")]}]
        plain = [user("What changed?", "compare")]
        assert processor.encode_chat(parts, n_images=2) == processor.encode_chat(plain, n_images=2)

    def test_a_picture_in_a_later_turn_counts_on(self, processor):
        later = {"role": "user", "content": [image(), words("and here?")]}
        first = {"role": "user", "task": "vqa", "content": [image(), words("where is this?")]}
        ids = processor.encode_chat([first, assistant("sea"), later], n_images=2)
        assert tokens(processor, ids)[-4:] == ["<image>", "<image_2>", " and here?", "<|assistant|>"]

    def test_no_picture(self, processor):
        assert tokens(processor, processor.encode_chat([user("yes")], 0)) == [
            "<s>",
            "<|user|>",
            " yes",
            "<|assistant|>",
        ]

    def test_labels_are_the_answers_and_their_ends(self, processor):
        chat = [user("how many cats?", "vqa"), assistant("2"), user("and dogs?"), assistant("no dog")]
        ids, labels = processor.encode_chat_with_labels(chat, n_images=1)
        assert len(ids) == len(labels)
        assert ids == processor.encode_chat(chat, n_images=1)
        assert all(label in (-100, token_id) for token_id, label in zip(ids, labels, strict=True))
        assert tokens(processor, [label for label in labels if label != -100]) == [" 2", "</s>", " no dog", "</s>"]

    def test_decoding_leaves_the_words(self, processor):
        ids = processor.encode_chat([user("how many?", "vqa"), assistant("2")], n_images=1)
        assert processor.decode(ids, skip_special_tokens=True) == " how many? 2"


class TestChatErrors:
    @pytest.mark.parametrize(
        "chat", [[assistant("hi")], [user("a"), user("b")], [user("a"), assistant("b"), assistant("c")]]
    )
    def test_turns_out_of_order(self, processor, chat):
        with pytest.raises(ValueError, match="alternate"):
            processor.encode_chat(chat, n_images=0)

    def test_no_turns(self, processor):
        with pytest.raises(ValueError, match="at least one turn"):
            processor.encode_chat([], n_images=0)

    def test_unknown_task(self, processor):
        with pytest.raises(ValueError, match="Unknown task 'segment'; .* caption, detect, vqa, compare"):
            processor.encode_chat([user("a", "segment")], n_images=1)

    def test_more_than_eight_pictures(self, processor):
        assert len(processor.encode_chat([user("a")], n_images=8)) > 8 * IMAGE_SEQ_LENGTH
        with pytest.raises(ValueError, match="9 images.*at most 8"):
            processor.encode_chat([user("a")], n_images=9)

    def test_pictures_mentioned_and_given_differ(self, processor):
        chat = [{"role": "user", "content": [image(), words("a")]}]
        with pytest.raises(ValueError, match="mentions 1 images, but 2 were given"):
            processor.encode_chat(chat, n_images=2)


INJECTIONS = [*special_tokens(), "</s>", "<s>", "<pad>", "<|begin_of_text|>", "<|end_of_text|>"]


class TestTextSafety:
    @pytest.mark.parametrize("kind", ["processor", "llama_processor"])
    @pytest.mark.parametrize("injected", INJECTIONS)
    def test_typed_special_tokens_stay_text(self, kind, injected, request):
        processor = request.getfixturevalue(kind)
        text = f"see {injected}{injected} now"
        harmless = processor.encode_chat([user("x", "vqa"), assistant("x")], n_images=1)
        special = set(processor.tokenizer.all_special_ids)
        for chat in ([user(text, "vqa"), assistant("x")], [user("x", "vqa"), assistant(text)]):
            ids = processor.encode_chat(chat, n_images=1)
            assert [i for i in ids if i in special] == [i for i in harmless if i in special]
            assert text in processor.tokenizer.decode(ids)

    def test_after_the_tokenizer_was_used_with_parsing(self, processor):
        processor.tokenizer("<image>[OD]", split_special_tokens=False)
        assert processor.image_token_id not in processor.encode_text("<image>")

    def test_in_a_copy(self, processor):
        assert processor.image_token_id not in copy.deepcopy(processor).encode_text("<image>")

    def test_added_tokens_that_are_not_special_are_refused(self):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>", pad_token="<pad>"
        )
        tokenizer.add_tokens(special_tokens())
        with pytest.raises(ValueError, match=r"lacks special tokens: <image>, <image_1>.*\[COMPARE\]"):
            tiny_processor(tokenizer)


class TestPlaceholderText:
    def test_equals_the_chat_form(self, processor):
        inputs = processor(text="<s><|user|><image>[VQA] how many?<|assistant|>", images=picture(0))
        assert inputs["input_ids"] == [processor.encode_chat([user("how many?", "vqa")], n_images=1)]

    def test_identifiers_count_within_each_text_and_rows_pad_left(self, processor):
        texts = ["<image> yes", "<image><image> no", "sea"]
        inputs = processor(text=texts, images=[picture(k) for k in range(3)], return_tensors="pt")
        rows = [
            tokens(processor, ids[mask.bool()].tolist())
            for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ]
        pair = [*PICTURE, "<image_1>", *PICTURE, "<image_2>", " no"]
        assert rows == [[*PICTURE, "<image_1>", " yes"], pair, ["sea"]]
        assert inputs["attention_mask"][:, -1].all()
        assert inputs["pixel_values"].shape == (3, 3, 32, 32)

    @pytest.mark.parametrize("text, n_images", [("<image> a", 2), ("<image><image> a", 1), ("a", 1), ("<image>", 0)])
    def test_wrong_number_of_pictures(self, processor, text, n_images):
        images = [picture(k) for k in range(n_images)] or None
        with pytest.raises(ValueError, match="image"):
            processor(text=text, images=images)

    def test_pictures_given_to_the_wrong_row(self, processor):
        with pytest.raises(ValueError, match=r"mention \[1, 2\] images, but \[2, 1\]"):
            processor(text=["<image>", "<image><image>"], images=[[picture(0), picture(1)], [picture(2)]])

    def test_more_than_eight(self, processor):
        with pytest.raises(ValueError, match="9 images.*at most 8"):
            processor(text="<image>" * 9, images=[picture(k) for k in range(9)])


class TestPictures:
    @pytest.mark.parametrize("size", [(32, 32), (200, 20), (20, 200), (1, 1)])
    def test_any_size_is_squashed_without_cropping(self, processor, size):
        scene = Image.new("RGB", size, "black")
        scene.paste("white", (size[0] // 2, 0, size[0], size[1]))
        pixels = processor.image_processor(scene, return_tensors="pt")["pixel_values"]
        assert pixels.shape == (1, 3, 32, 32)
        if size[0] > 1:
            assert torch.allclose(pixels[0, :, :, 0], torch.tensor(-1.0))
            assert torch.allclose(pixels[0, :, :, -1], torch.tensor(1.0))


class TestSaving:
    def test_round_trip(self, processor, tmp_path):
        tags = {"vqa": "[VQA]", "describe": "[CAPTION]"}
        original = MiniVLMProcessor(processor.image_processor, tiny_tokenizer(), IMAGE_SEQ_LENGTH, task_tags=tags)
        original.save_pretrained(tmp_path)
        loaded = AutoProcessor.from_pretrained(tmp_path)
        assert type(loaded) is MiniVLMProcessor
        assert loaded.task_tags == tags
        assert loaded.tokenizer.padding_side == "left"
        chat = [user("brief <image>[OD]</s>", "describe"), assistant("a cat")]
        assert loaded.encode_chat(chat, 2) == original.encode_chat(chat, 2)
        pixels = [p.image_processor(picture(1), return_tensors="pt")["pixel_values"] for p in (loaded, original)]
        assert torch.equal(*pixels)

    def test_from_backbones_takes_the_sizes_and_keeps_the_names(self, llama_processor, tmp_path):
        assert llama_processor.image_processor.size["height"] == 32
        llama_processor.save_pretrained(tmp_path)
        loaded = AutoProcessor.from_pretrained(tmp_path)
        ids = loaded.encode_chat([user("how many?", "vqa"), assistant("2")], n_images=1)
        assert ids == llama_processor.encode_chat([user("how many?", "vqa"), assistant("2")], n_images=1)
        assert tokens(loaded, ids)[0] == "<|begin_of_text|>"
        assert tokens(loaded, ids)[-1] == "<|end_of_text|>"
        assert loaded.tokenizer.pad_token == "<pad>"


class TestChatTemplate:
    """The same layout, for messages as transformers and servers have them."""

    def ids(self, processor, messages, images=0, **options):
        given = [[Image.new("RGB", (8, 8))] * images] if images else None
        text = processor.apply_chat_template(messages, **{"add_generation_prompt": True} | options)
        return processor(text=[text], images=given, add_special_tokens=False)["input_ids"][0]

    @pytest.mark.parametrize("number", range(5))
    def test_it_gives_the_ids_of_the_engine(self, processor, number):
        asked = {"type": "text", "text": "how many cats?"}
        first = {"role": "user", "content": [image(), image(), asked]}
        answer = {"role": "assistant", "content": [{"type": "text", "text": "2"}]}
        messages, turns, images = (
            ([first], [user("how many cats?", "vqa")], 2),
            (
                [first, answer, {"role": "user", "content": "and dogs?"}],
                [user("how many cats?", "vqa"), assistant("2"), user("and dogs?", "vqa")],
                2,
            ),
            (
                [{"role": "user", "content": [words("[COMPARE] the"), image(), words("or"), image()]}],
                [{"role": "user", "task": "compare", "content": [words("the"), image(), words("or"), image()]}],
                2,
            ),
            ([{"role": "user", "task": "detect", "content": [image()]}], [user("", "detect")], 1),
            (
                [{"role": "user", "content": [image(), words("[CAPTION]brief ")]}, answer],
                [user("brief", "caption"), assistant("2")],
                1,
            ),
        )[number]
        assert self.ids(processor, messages, images) == processor.encode_chat(turns, images)

    def test_without_a_prompt_for_the_answer_it_ends_with_the_question(self, processor):
        ids = self.ids(processor, [{"role": "user", "content": "yes"}], add_generation_prompt=False)
        assert tokens(processor, ids) == ["<s>", "<|user|>", "[VQA]", " yes"]

    def test_what_a_person_types_is_text(self, processor):
        typed = "".join(processor.tokenizer.all_special_tokens) + " [VQA][OD]"
        ids = self.ids(processor, [{"role": "user", "content": [image(), words(f"why {typed}")]}], 1)
        plain = self.ids(processor, [{"role": "user", "content": [image(), words("why")]}], 1)
        special = set(processor.tokenizer.all_special_ids)
        assert [id for id in ids if id in special] == [id for id in plain if id in special]

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ({"role": "system", "content": "Be brief."}, "alternate"),
            ({"role": "user", "task": "sing", "content": ""}, "sing"),
        ],
    )
    def test_what_it_does_not_know_is_refused(self, processor, message, words):
        with pytest.raises(Exception, match=words):
            processor.apply_chat_template([message])

    def test_it_is_saved_with_the_processor(self, processor, tmp_path):
        processor.save_pretrained(tmp_path)
        assert (tmp_path / "chat_template.jinja").read_text() == processor.chat_template
        assert MiniVLMProcessor.from_pretrained(tmp_path).chat_template == processor.chat_template

    @pytest.mark.parametrize("name", ["minivlm-icons", "minivlm-photographs"])
    def test_what_is_bundled_has_it(self, name):
        folder = bundled(name)
        processor = MiniVLMProcessor.from_pretrained(folder)
        fresh = MiniVLMProcessor(processor.image_processor, processor.tokenizer, task_tags=processor.task_tags)
        assert (folder / "chat_template.jinja").read_text() == processor.chat_template == fresh.chat_template
