"""The processor's chat template, and a processor that is saved and opened again."""

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from tests.tiny import IMAGE_SEQ_LENGTH, tiny_tokenizer
from tests.turns import assistant, image, noise, tokens, user, words
from vlm_demo.checkpoints import bundled
from vlm_demo.model import MiniVLMProcessor


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
        pixels = [p.image_processor(noise(1), return_tensors="pt")["pixel_values"] for p in (loaded, original)]
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
        filled = [[Image.new("RGB", (8, 8))] * images] if images else None
        text = processor.apply_chat_template(messages, **{"add_generation_prompt": True} | options)
        return processor(text=[text], images=filled, add_special_tokens=False)["input_ids"][0]

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
