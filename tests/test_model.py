"""MiniVLM on tiny random weights: features, generation, batches, packing."""

import copy

import pytest
import torch
from transformers import (
    ConvNextConfig,
    Dinov2WithRegistersConfig,
    DynamicCache,
    LogitsProcessor,
    TextIteratorStreamer,
)

from tests.tiny import (
    GREEDY,
    IMAGE_SEQ_LENGTH,
    IMAGE_SIZE,
    images,
    padded,
    prompt,
    tiny_config,
    tiny_model,
    tiny_resnet_config,
    tiny_vit_config,
)


def vision_configs() -> dict:
    dino = Dinov2WithRegistersConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=IMAGE_SIZE, patch_size=16
    )
    convnext = ConvNextConfig(hidden_sizes=[8, 24], depths=[1, 1], num_stages=2, patch_size=8)
    return {"resnet": tiny_resnet_config(), "vit": tiny_vit_config(), "dinov2": dino, "convnext": convnext}


class TestVisionFeatures:
    @pytest.mark.parametrize("name", vision_configs())
    def test_any_backbone_generates(self, processor, name):
        model = tiny_model(tiny_config(processor, vision_configs()[name], image_positions=False))
        assert model.get_vision_features(images(3)).shape == (3, IMAGE_SEQ_LENGTH, 24)
        assert model.get_image_features(images(3)).pooler_output.shape == (3, IMAGE_SEQ_LENGTH, 32)
        ids = prompt(processor, "how many?", n_images=3)
        assert model.generate(ids, pixel_values=images(3), **GREEDY).shape[1] > ids.shape[1]

    def test_a_grid_is_read_row_by_row(self, model):
        grid = model.model.vision_tower(images(1)).last_hidden_state  # [1, 24, 2, 2]
        features = model.get_vision_features(images(1))
        assert torch.equal(features[0, 1], grid[0, :, 0, 1])
        assert torch.equal(features[0, 2], grid[0, :, 1, 0])

    @pytest.mark.parametrize("name, prefix", [("vit", 1), ("dinov2", 5)])
    def test_class_and_register_tokens_are_dropped(self, processor, name, prefix):
        model = tiny_model(tiny_config(processor, vision_configs()[name]))
        sequence = model.model.vision_tower(images(1)).last_hidden_state
        assert torch.equal(model.get_vision_features(images(1)), sequence[:, prefix:])

    @pytest.mark.parametrize("side", [16, 64])
    def test_an_image_of_another_size_is_a_clear_error(self, model, side):
        with pytest.raises(ValueError, match=f"{side}x{side} pixels, but vision_seq_length is 4"):
            model.get_vision_features(torch.zeros(1, 3, side, side))

    def test_positions_tell_patches_apart(self, processor):
        same = torch.ones(1, IMAGE_SEQ_LENGTH, 24)
        for positions in (False, True):
            projected = tiny_model(tiny_config(processor, image_positions=positions)).model.projector(same)
            assert torch.equal(projected[0, 0], projected[0, 1]) is not positions


class TestImages:
    def test_the_answer_depends_on_each_image_and_their_order(self, model, processor):
        ids, pixels = prompt(processor, "which?", n_images=2), images(2)
        logits = model(ids, pixel_values=pixels).logits
        assert not torch.allclose(logits, model(ids, pixel_values=pixels.flip(0)).logits)
        for changed in (0, 1):
            other = pixels.clone()
            other[changed] = images(1, seed=9)[0]
            assert not torch.allclose(logits, model(ids, pixel_values=other).logits)

    def test_image_features_equal_pixel_values(self, model, processor):
        ids, pixels = prompt(processor, "which?", n_images=2), images(2)
        features = model.get_vision_features(pixels)
        assert torch.equal(model(ids, pixel_values=pixels).logits, model(ids, image_features=features).logits)
        for settings in (GREEDY, {**GREEDY, "use_cache": False}, {**GREEDY, "num_beams": 2}):
            by_pixels = model.generate(ids, pixel_values=pixels, **settings)
            assert torch.equal(by_pixels, model.generate(ids, image_features=features, **settings))

    def test_several_samples_of_a_batch_each_see_their_own_images(self, model, processor):
        rows = [prompt(processor, "how many?", 1), prompt(processor, "which?", 2)]
        features = model.get_vision_features(images(3))
        inputs = padded(processor, rows)
        # At a tiny temperature every sample is the greedy answer.
        sampled = model.generate(
            **inputs,
            image_features=features,
            max_new_tokens=12,
            do_sample=True,
            temperature=1e-4,
            num_return_sequences=2,
        )
        greedy = model.generate(**inputs, pixel_values=images(3), **GREEDY)
        assert torch.equal(sampled, greedy.repeat_interleave(2, dim=0))

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_a_wrong_number_is_a_clear_error(self, model, processor, number):
        ids = prompt(processor, "which?", n_images=2)
        pixels = images(number) if number else None
        message = rf"8 image placeholders .* {number * 4} image features were given \({number} images\)"
        with pytest.raises(ValueError, match=message):
            model(ids, pixel_values=pixels)
        with pytest.raises(ValueError, match=message):
            model.generate(ids, pixel_values=pixels, **GREEDY)

    def test_two_sources_of_images_are_refused(self, model, processor):
        features = model.get_vision_features(images(1))
        with pytest.raises(ValueError, match="only one of pixel_values, image_features"):
            model(prompt(processor, "a"), pixel_values=images(1), image_features=features)


class TestGeneration:
    def test_cached_equals_uncached(self, model, processor):
        ids, pixels = prompt(processor, "how many cats?", n_images=2), images(2)
        cached = model.generate(ids, pixel_values=pixels, **GREEDY)
        assert torch.equal(cached, model.generate(ids, pixel_values=pixels, use_cache=False, **GREEDY))

        whole = model(cached, pixel_values=pixels).logits
        start = ids.shape[1]
        step = model(ids, pixel_values=pixels, use_cache=True)
        logits = [step.logits]
        for position in range(start, cached.shape[1]):
            step = model(cached[:, position : position + 1], past_key_values=step.past_key_values)
            logits.append(step.logits)
        assert torch.allclose(torch.cat(logits, dim=1), whole, atol=1e-4)

    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    @pytest.mark.parametrize("vision", ["resnet", "vit"])
    def test_a_batch_equals_its_rows(self, processor, attention, vision):
        model = tiny_model(tiny_config(processor, vision_configs()[vision]))
        model.set_attn_implementation({"text_config": attention})
        assert model.model.language_model.config._attn_implementation == attention
        counts = [1, 0, 3, 2]
        texts = [
            "how many cats are there?",
            "yes",
            "which image shows a red cat and a blue dog on the grass?",
            "where?",
        ]
        rows = [prompt(processor, text, count) for text, count in zip(texts, counts, strict=True)]
        pixels = images(sum(counts))
        inputs = padded(processor, rows)
        assert inputs["attention_mask"].min() == 0

        batch_logits = model(**inputs, pixel_values=pixels).logits
        batch_answers = model.generate(**inputs, pixel_values=pixels, **GREEDY)[:, inputs["input_ids"].shape[1] :]
        assert torch.isfinite(batch_logits).all()
        for index, (row, own) in enumerate(zip(rows, pixels.split(counts), strict=True)):
            own = own if len(own) else None
            logits = model(row, pixel_values=own).logits
            assert torch.allclose(batch_logits[index, -row.shape[1] :], logits[0], atol=1e-4)
            answer = model.generate(row, pixel_values=own, **GREEDY)[0, row.shape[1] :]
            assert torch.equal(batch_answers[index, : len(answer)], answer)
            assert (batch_answers[index, len(answer) :] == processor.tokenizer.pad_token_id).all()

    def test_sampling_follows_its_seed(self, model, processor):
        def sample(seed: int) -> list[int]:
            torch.manual_seed(seed)
            ids = prompt(processor, "a story")
            return model.generate(ids, pixel_values=images(1), do_sample=True, max_new_tokens=20)[0].tolist()

        assert sample(1) == sample(1)
        assert sample(1) != sample(2)

    def test_a_streamer_gives_the_text_of_the_answer(self, model, processor):
        ids = prompt(processor, "how many?")
        streamer = TextIteratorStreamer(processor.tokenizer, skip_prompt=True, timeout=30, skip_special_tokens=True)
        answer = model.generate(ids, pixel_values=images(1), streamer=streamer, **GREEDY)[0, ids.shape[1] :]
        pieces = list(streamer)
        assert len(pieces) > 1
        assert "".join(pieces) == processor.tokenizer.decode(answer, skip_special_tokens=True)

    def test_a_follow_up_goes_on_from_the_cache(self, model, processor):
        chat = [{"role": "user", "task": "vqa", "text": "how many?"}]
        first = torch.tensor([processor.encode_chat(chat, 1)])
        chat += [{"role": "assistant", "text": "2"}, {"role": "user", "text": "where?"}]
        whole = torch.tensor([processor.encode_chat(chat, 1)])
        cache = DynamicCache(config=model.config)
        with torch.no_grad():
            model(first, pixel_values=images(1), past_key_values=cache)
        answer = model.generate(whole, past_key_values=copy.deepcopy(cache), **GREEDY)
        assert torch.equal(answer, model.generate(whole, pixel_values=images(1), **GREEDY))

    def test_the_model_never_writes_a_placeholder(self, model, processor):
        class WantPlaceholders(LogitsProcessor):
            def __call__(self, input_ids, scores):
                scores[:, processor.image_token_id] += 1e4
                return scores

        ids = prompt(processor, "a")
        answer = model.generate(ids, pixel_values=images(1), logits_processor=[WantPlaceholders()], **GREEDY)
        assert processor.image_token_id not in answer[0, ids.shape[1] :]

    def test_half_precision(self, processor):
        model = tiny_model(tiny_config(processor)).to(torch.bfloat16)
        ids = prompt(processor, "a")
        features = model.get_vision_features(images(1))
        assert features.dtype == torch.bfloat16
        by_pixels = model.generate(ids, pixel_values=images(1), **GREEDY)
        assert torch.equal(by_pixels, model.generate(ids, image_features=features.float(), **GREEDY))


class TestTraining:
    @pytest.mark.parametrize("kind", [torch.bool, torch.float32])
    def test_turns_packed_behind_one_image_equal_separate_runs(self, model, processor, kind):
        answers = [("how many cats are there?", "2"), ("where is this?", "grass")]
        chats = [
            processor.encode_chat(
                [{"role": "user", "task": "vqa", "text": question}, {"role": "assistant", "text": answer}], n_images=1
            )
            for question, answer in answers
        ]
        shared = 2 + len(processor.encode_image(1))  # <s><|user|> and the picture
        turns = [chat[shared:] for chat in chats]
        packed = torch.tensor([chats[0][:shared] + turns[0] + turns[1]])
        block = torch.tensor([0] * shared + [1] * len(turns[0]) + [2] * len(turns[1]))
        mask = ((block[:, None] == block[None]) | (block[None] == 0)).tril()[None, None]  # [1, 1, T, T]
        if kind != torch.bool:
            mask = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(kind).min)
        positions = torch.tensor([[*range(len(chats[0])), *range(shared, len(chats[1]))]])

        logits = model(packed, pixel_values=images(1), attention_mask=mask, position_ids=positions).logits[0]
        alone = [model(torch.tensor([chat]), pixel_values=images(1)).logits[0] for chat in chats]
        assert torch.allclose(logits[: len(chats[0])], alone[0], atol=1e-4)
        assert torch.allclose(logits[len(chats[0]) :], alone[1][shared:], atol=1e-4)

    def test_the_loss_counts_only_answers(self, model, processor):
        chat = [{"role": "user", "task": "vqa", "text": "how many?"}, {"role": "assistant", "text": "2"}]
        ids, labels = (torch.tensor([row]) for row in processor.encode_chat_with_labels(chat, n_images=1))
        outputs = model(ids, pixel_values=images(1), labels=labels)
        counted = labels[0, 1:] != -100
        expected = torch.nn.functional.cross_entropy(outputs.logits[0, :-1][counted], ids[0, 1:][counted])
        assert torch.allclose(outputs.loss, expected)

    def test_gradient_checkpointing_gives_the_same_gradients(self, processor):
        gradients = []
        for checkpointing in (False, True):
            model = tiny_model(tiny_config(processor, tiny_vit_config())).train()
            if checkpointing:
                model.activation_checkpointing_enable()
            ids = prompt(processor, "how many?")
            model(ids, pixel_values=images(1), labels=ids).loss.backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        assert gradients[0].abs().max() > 0
        assert torch.allclose(*gradients, atol=1e-5)
