"""MiniVLM checkpoints behind the engine: loading, images, prompts, novelty. torch is imported on first use."""

from __future__ import annotations

import gc
import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vlm_demo import memory
from vlm_demo.description import read_description
from vlm_demo.detection import Parsed, parse
from vlm_demo.images import LoadedImage, load
from vlm_demo.results import EngineError, Novelty, Result
from vlm_demo.runners.base import Prompt, TokenSequence
from vlm_demo.runners.grammar import Boxes, Constraint, OneOf, Region, Vocabulary
from vlm_demo.runners.lru import ByteLRU
from vlm_demo.runners.questions import begin_suppress_tokens
from vlm_demo.runners.transformers_private import file_of
from vlm_demo.runners.untrained import UNTRAINED, random_weights
from vlm_demo.runners.vision import NOVELTY_FILE, Encoded, ImageInput, Pixels, see, written

if TYPE_CHECKING:
    import torch

    from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration, MiniVLMProcessor
    from vlm_demo.runners.batched import BatchDecoder
    from vlm_demo.runners.eager import EagerDecoder

MIN_ANSWER = 16  # an answer needs room for at least so many tokens


class MiniVLMRunner:
    """A MiniVLM checkpoint (a folder or a Hub name) as `vlm_demo.runners.base.ModelRunner`."""

    def __init__(
        self,
        source: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        max_sequences: int = 32,
        feature_bytes: int = 64_000_000,
        prefix_bytes: int = 64_000_000,
        trained: bool = True,
    ) -> None:
        """`max_sequences` are written at once; at most `feature_bytes` of encoded images are kept, and at most
        `prefix_bytes` of keys and values that the language model made of them. Where it is not `trained`, the weights
        are random."""
        self.source = str(source)
        self.name = Path(self.source).name if Path(self.source).is_dir() else self.source
        self.device, self.dtype = device, dtype
        self.max_sequences = max_sequences
        self.parameters = 0
        self.model: MiniVLMForConditionalGeneration | None = None
        self._processor: MiniVLMProcessor | None = None
        self._config: MiniVLMConfig | None = None
        self._lock = threading.RLock()
        self._features = ByteLRU(feature_bytes)
        self._prefix_bytes = prefix_bytes
        self._decoder: BatchDecoder | EagerDecoder | None = None
        self._novelty: dict[str, torch.Tensor] | None = None
        self._pieces: dict[int, str] = {}
        self._vocabulary: Vocabulary | None = None
        self._trained = trained
        self.description = read_description(self.source if Path(self.source).is_dir() else None)
        if not trained:
            self.name, self.description = f"{self.name}{UNTRAINED}", self.description.untrained()

    def untrained(self) -> MiniVLMRunner:
        """The same architecture with random weights."""
        return MiniVLMRunner(self.source, self.device, self.dtype, self.max_sequences, trained=False)

    @property
    def loaded(self) -> bool:
        return self.model is not None

    # Any thread.

    @property
    def processor(self) -> MiniVLMProcessor:
        """Tokenizer and image processor, which stay when the weights are unloaded."""
        if self._processor is not None:
            return self._processor
        with self._lock:
            if self._processor is None:
                try:
                    from vlm_demo.model import MiniVLMConfig, MiniVLMProcessor

                    self._config = MiniVLMConfig.from_pretrained(self.source)
                    self._processor = MiniVLMProcessor.from_pretrained(self.source)
                except (OSError, ValueError, TypeError, KeyError) as error:
                    raise EngineError(f"There is no MiniVLM checkpoint at {self.source}: {error}") from error
            return self._processor

    def prepare(
        self, turns: list[dict[str, Any]], images: list[LoadedImage], new_tokens: int, choices: tuple[str, ...] = ()
    ) -> Prompt:
        processor = self.processor
        context = getattr(self._config.text_config, "max_position_embeddings", 2048)
        reserve = min(new_tokens, context // 4)
        dropped = 0
        while True:
            ids = processor.encode_chat(turns[2 * dropped :], len(images))
            room = context - len(ids)
            if room >= reserve or 2 * dropped + 1 >= len(turns):
                break
            dropped += 1
        if room < min(reserve, MIN_ANSWER):
            raise EngineError(
                f"The question and its images take {len(ids)} tokens, but the model reads at most {context}, "
                "the answer included. Please ask a shorter question."
            )
        rgb = [image.rgb for image in images]
        values = processor.image_processor(rgb, return_tensors="pt")["pixel_values"] if images else []
        pixels = [Pixels(image.key, one) for image, one in zip(images, values, strict=True)]
        prefix = len(ids) - ids[::-1].index(processor.image_token_id) if images else 0
        grammar = choices or ("boxes" if turns[-1].get("task") == "detect" else None)
        key = (tuple(ids), tuple(one.key for one in pixels), grammar)
        no_answers = () if grammar else begin_suppress_tokens(processor, turns[-1])
        return Prompt(ids, pixels, min(new_tokens, room), dropped, prefix, key, grammar, no_answers)

    def image_input(self) -> ImageInput:
        """How an image is taken in."""
        processor, config = self.processor, self._config
        size = processor.image_processor.size
        regions = getattr(config.vision_config, "num_regions", 0)
        side = math.isqrt(config.vision_seq_length - regions)
        return ImageInput((size["width"], size["height"]), (side, side), regions, config.image_seq_length)

    def text(self, ids: list[int]) -> str:
        return self.processor.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def token_text(self, id: int) -> str:
        if id not in self._pieces:
            self._pieces[id] = self.processor.tokenizer.decode([id])
        return self._pieces[id]

    def memory(self) -> tuple[int, int]:
        model, decoder = self.model, self._decoder  # another thread may unload them meanwhile
        if model is None or decoder is None:
            return 0, 0
        import torch

        taken = model.get_memory_footprint() + self._features.bytes + decoder.bytes
        if self.device.startswith("cuda"):
            return taken, torch.cuda.memory_reserved(self.device)
        return taken, torch.mps.driver_allocated_memory() if self.device == "mps" else taken

    # The engine's worker thread.

    def load(self) -> None:
        if self.model is not None:
            return
        processor = self.processor
        with self._lock:  # transformers imports its parts when they are asked for, and not safely from two threads
            import torch
            from safetensors.torch import load_file

            from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration
            from vlm_demo.runners.batched import BatchDecoder
            from vlm_demo.runners.device import choose_device, choose_dtype
            from vlm_demo.runners.eager import EagerDecoder
            from vlm_demo.runners.formats import int8_linear, multiplies_bfloat16
            from vlm_demo.runners.linear import Int8Linear

            self.device = choose_device(self.device)
            text = self._config.text_config
            batched = BatchDecoder.supports(text)
            shape = (text.hidden_size, 2 * text.intermediate_size) if batched else None
            self.dtype = choose_dtype(self.dtype, self.device, shape)
            int8 = self.dtype == "int8"
            if int8 and not (batched and Int8Linear.available(self.device)):
                raise EngineError("int8 is for Llama-shaped models on a CPU; choose another dtype.")
            try:
                dtype = torch.float32 if int8 else getattr(torch, self.dtype)
                if self._trained:
                    model = MiniVLMForConditionalGeneration.from_pretrained(
                        self.source, dtype=dtype, use_safetensors=True
                    )
                else:
                    config = MiniVLMConfig.from_pretrained(self.source)
                    model = random_weights(MiniVLMForConditionalGeneration, self.source, config, dtype)
            except (OSError, ValueError) as error:
                raise EngineError(f"The weights at {self.source} could not be read: {error}") from error
        model = model.to(self.device).eval()
        if int8 and multiplies_bfloat16(*shape):  # integers are for the language model
            model.model.vision_tower.to(torch.bfloat16)
        if self.device == "cpu":
            model.model.vision_tower.to(memory_format=torch.channels_last)  # convolutions take a fifth less time
        file = file_of(self.source, NOVELTY_FILE)
        self._novelty = load_file(file, device=self.device) if file and self._trained else None
        ends = model.generation_config.eos_token_id
        end_ids = {processor.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        suppressed = model.generation_config.suppress_tokens or []
        if batched:
            linear = int8_linear(*shape) if int8 else None
            self._decoder = BatchDecoder(model, end_ids, suppressed, self._prefix_bytes, linear)
            if self._decoder.llama.linear.copies:  # then the model's own layers have done their work
                for parameter in model.model.language_model.layers.parameters():
                    parameter.data = parameter.new_empty(0)
        else:
            self._decoder = EagerDecoder(model, end_ids, suppressed)
        self.model = model
        try:
            self._warm_up()
        except BaseException:
            self.unload()
            raise

    def unload(self) -> None:
        self.model = self._decoder = self._novelty = None
        self._features.clear()
        self._free()

    def _free(self) -> None:
        """Give back what nobody holds any more."""
        gc.collect()
        if "torch" in sys.modules and self.device.startswith("cuda"):
            sys.modules["torch"].cuda.empty_cache()
        memory.give_back()

    def encode(self, sequences: list[TokenSequence]) -> None:
        by_key = self._encode([one for sequence in sequences for one in sequence.prompt.images])
        for sequence in sequences:
            encoded = [by_key[one.key] for one in sequence.prompt.images]
            sequence.features = [image.projected for image in encoded]
            sequence.novelty = [image.novelty for image in encoded]
            sequence.regions = encoded[0].regions if encoded else None

    def prefill(self, sequences: list[TokenSequence]) -> None:
        for sequence in sequences:
            sequence.constraint = self.constraint(sequence.prompt.grammar, sequence.regions)
        self._decoder.prefill(sequences)

    def decode(self, sequences: list[TokenSequence]) -> None:
        self._decoder.decode(sequences)

    def reduce(self, sequence: TokenSequence) -> None:
        """Images all have the same size here, so caches and half the length are what can be given up."""
        self._features.clear()
        if self._decoder is not None:
            self._decoder.forget()
        self._free()
        sequence.features = sequence.regions = None
        shorter = max(1, sequence.prompt.max_new_tokens // 2)
        sequence.prompt = replace(sequence.prompt, max_new_tokens=shorter)
        sequence.reduced = f"memory ran out, so the answer was tried again with at most {shorter} tokens"

    def release(self, sequence: TokenSequence) -> None:
        sequence.features = None
        if self._decoder is not None:
            self._decoder.release(sequence)

    def novelty(self, prompt: Prompt) -> list[Novelty]:
        by_key = self._encode(prompt.images)
        return [by_key[image.key].novelty for image in prompt.images]

    def read_boxes(self, result: Result, size: tuple[int, int], sequence: TokenSequence) -> Parsed:
        """The boxes of a finished answer, with a confidence that has been calibrated where the checkpoint can."""
        parsed = parse(result.text, size, [(token.text, token.probability) for token in result.tokens])
        scores = dict(sequence.regions or ())
        for item in parsed.objects:
            score = scores.get((item["label"], written(item["bbox"])))
            if score is not None and item["confidence"] is not None:
                item["confidence"] = self.description.calibrated("boxes", item["confidence"], score) or score
        return parsed

    def constraint(
        self, grammar: str | tuple[str, ...] | None, regions: Sequence[tuple[Region, float]] | None = None
    ) -> Constraint | None:
        """What binds an answer to the form that a prompt asks for; `regions` are those that the tower proposes."""
        if grammar is None:
            return None
        if self._vocabulary is None:
            texts = ((id, self.token_text(id)) for id in range(len(self.processor.tokenizer)))
            special = set(self.processor.tokenizer.all_special_ids)
            self._vocabulary = Vocabulary((id, text) for id, text in texts if id not in special)
        if grammar == "boxes":
            places = None if regions is None else [region for region, _ in regions]
            return Constraint(Boxes(places, self.description.labels), self._vocabulary)
        return Constraint(OneOf(grammar), self._vocabulary)

    def _encode(self, images: list[Pixels]) -> dict[bytes, Encoded]:
        """What the vision side makes of each image by its key, from the cache where possible."""
        return see(self.model, images, self._features, self._novelty, self.description.labels)

    def _warm_up(self) -> None:
        """Run once through everything, so that the first person does not wait for allocations and kernel choices."""
        turn = {"role": "user", "task": "caption", "text": "brief"}
        sequence = TokenSequence(self.prepare([turn], [load(Image.new("RGB", (64, 64)))], 2))
        for work in (self.encode, self.prefill, self.decode):
            work([sequence])
        self.release(sequence)
