"""The processor: prompt layout, pictures and text safety."""

import copy

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from tests.tiny import IMAGE_SEQ_LENGTH, tiny_processor
from tests.turns import IMAGE, assistant, image, noise, tokens, user, words
from vlm_demo.model import special_tokens


class TestLayout:
    def test_one_image_and_a_follow_up(self, processor):
        chat = [user("how many cats?", "vqa"), assistant("2"), user("and dogs?")]
        ids = processor.encode_chat(chat, n_images=1)
        first = ["<s>", "<|user|>", *IMAGE, "<image_1>", "[VQA]", " how many cats?", "<|assistant|>", " 2", "</s>"]
        assert tokens(processor, ids) == [*first, "<|user|>", " and dogs?", "<|assistant|>"]

    def test_ends_with_end_of_turn_after_an_answer(self, processor):
        ids = processor.encode_chat([user("brief", "caption"), assistant("a red cat")], n_images=1)
        assert tokens(processor, ids)[-3:] == ["<|assistant|>", " a red cat", "</s>"]

    @pytest.mark.parametrize("task, tag", [("caption", "[CAPTION]"), ("detect", "[OD]"), ("compare", "[COMPARE]")])
    def test_a_tag_alone(self, processor, task, tag):
        ids = processor.encode_chat([user("", task)], n_images=2)
        placeholders = [*IMAGE, "<image_1>", *IMAGE, "<image_2>"]
        assert tokens(processor, ids) == ["<s>", "<|user|>", *placeholders, tag, "<|assistant|>"]

    def test_images_where_they_are_mentioned(self, processor):
        content = [words("the"), image(), words("or"), image()]
        chat = [{"role": "user", "task": "compare", "content": content}]
        placeholders = [*IMAGE, "<image_1>", " or", *IMAGE, "<image_2>"]
        expected = ["<s>", "<|user|>", "[COMPARE]", " the", *placeholders, "<|assistant|>"]
        assert tokens(processor, processor.encode_chat(chat, n_images=2)) == expected

    def test_leading_image_parts_equal_the_plain_form(self, processor):
        parts = [{"role": "user", "task": "compare", "content": [image(), image(), words("What changed?")]}]
        plain = [user("What changed?", "compare")]
        assert processor.encode_chat(parts, n_images=2) == processor.encode_chat(plain, n_images=2)

    def test_an_image_in_a_later_turn_counts_on(self, processor):
        later = {"role": "user", "content": [image(), words("and here?")]}
        first = {"role": "user", "task": "vqa", "content": [image(), words("where is this?")]}
        ids = processor.encode_chat([first, assistant("sea"), later], n_images=2)
        assert tokens(processor, ids)[-4:] == ["<image>", "<image_2>", " and here?", "<|assistant|>"]

    def test_no_image(self, processor):
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

    def test_more_than_eight_images(self, processor):
        assert len(processor.encode_chat([user("a")], n_images=8)) > 8 * IMAGE_SEQ_LENGTH
        with pytest.raises(ValueError, match="9 images.*at most 8"):
            processor.encode_chat([user("a")], n_images=9)

    def test_images_mentioned_and_given_differ(self, processor):
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
        inputs = processor(text="<s><|user|><image>[VQA] how many?<|assistant|>", images=noise(0))
        assert inputs["input_ids"] == [processor.encode_chat([user("how many?", "vqa")], n_images=1)]

    def test_identifiers_count_within_each_text_and_rows_pad_left(self, processor):
        texts = ["<image> yes", "<image><image> no", "sea"]
        inputs = processor(text=texts, images=[noise(k) for k in range(3)], return_tensors="pt")
        rows = [
            tokens(processor, ids[mask.bool()].tolist())
            for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ]
        pair = [*IMAGE, "<image_1>", *IMAGE, "<image_2>", " no"]
        assert rows == [[*IMAGE, "<image_1>", " yes"], pair, ["sea"]]
        assert inputs["attention_mask"][:, -1].all()
        assert inputs["pixel_values"].shape == (3, 3, 32, 32)

    @pytest.mark.parametrize("text, n_images", [("<image> a", 2), ("<image><image> a", 1), ("a", 1), ("<image>", 0)])
    def test_wrong_number_of_images(self, processor, text, n_images):
        images = [noise(k) for k in range(n_images)] or None
        with pytest.raises(ValueError, match="image"):
            processor(text=text, images=images)

    def test_images_given_to_the_wrong_row(self, processor):
        with pytest.raises(ValueError, match=r"mention \[1, 2\] images, but \[2, 1\]"):
            processor(text=["<image>", "<image><image>"], images=[[noise(0), noise(1)], [noise(2)]])

    def test_more_than_eight(self, processor):
        with pytest.raises(ValueError, match="9 images.*at most 8"):
            processor(text="<image>" * 9, images=[noise(k) for k in range(9)])


class TestImages:
    @pytest.mark.parametrize("size", [(32, 32), (200, 20), (20, 200), (1, 1)])
    def test_any_size_is_squashed_without_cropping(self, processor, size):
        scene = Image.new("RGB", size, "black")
        scene.paste("white", (size[0] // 2, 0, size[0], size[1]))
        pixels = processor.image_processor(scene, return_tensors="pt")["pixel_values"]
        assert pixels.shape == (1, 3, 32, 32)
        if size[0] > 1:
            assert torch.allclose(pixels[0, :, :, 0], torch.tensor(-1.0))
            assert torch.allclose(pixels[0, :, :, -1], torch.tensor(1.0))
