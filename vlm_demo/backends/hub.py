"""Models of other families behind the engine, from a folder or the Hub, as transformers' own classes write them.

Each sequence is written alone: the family's `generate()` makes everything ready, and the loop below, in place of
transformers' own, hands over one token at a time. torch is imported on first use.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import re
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from vlm_demo import memory
from vlm_demo.backends import Prompt, Row
from vlm_demo.backends.trouble import explain_source
from vlm_demo.dialects import Dialect, dialect_of
from vlm_demo.results import EngineError, Novelty

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin

    from vlm_demo.detections import Parsed

MIN_ANSWER = 16  # an answer needs room for at least so many tokens
CONTEXT = 2048  # tokens, of a language model that does not say what it can read


@dataclass(frozen=True)
class HubPrompt(Prompt):
    """What the family's processor made of a chat; `seen` is the first image's size (width, height) for the model."""

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    seen: tuple[int, int] = (0, 0)


class HubBackend:
    """An image-text-to-text model (a folder or a Hub name) of any family that transformers knows, as
    `vlm_demo.backends.Backend`."""

    def __init__(self, source: str | Path, device: str = "auto", dtype: str = "auto", max_rows: int = 4) -> None:
        """`max_rows` answers are written at once, by turns."""
        self.source = str(source)
        self.name = Path(self.source).name if Path(self.source).is_dir() else self.source
        self.device = device
        self.dtype = dtype
        self.max_rows = max_rows
        self.parameters = 0
        self.model: PreTrainedModel | None = None
        self._lock = threading.RLock()
        self._opened: tuple[PreTrainedConfig, ProcessorMixin, Dialect] | None = None
        self._hidden: set[int] = set()  # tokens that are not text
        self._ends: set[int] = set()

    @property
    def loaded(self) -> bool:
        return self.model is not None

    # Any thread.

    @property
    def dialect(self) -> Dialect:
        """How this family is asked; raises EngineError when there is no such model, or its family cannot be driven."""
        return self._open()[2]

    def prepare(self, turns: list[dict[str, Any]], images: list[Image.Image], new_tokens: int) -> HubPrompt:
        config, processor, dialect = self._open()
        context = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None) or CONTEXT
        reserve = min(new_tokens, context // 4)
        dropped = 0 if dialect.chat else len(turns) // 2
        while True:
            inputs = self._ask(turns[2 * dropped :], images)
            ids = inputs["input_ids"][0].tolist()
            room = context if config.is_encoder_decoder else context - len(ids)
            if room >= reserve or 2 * dropped + 1 >= len(turns):
                break
            dropped += 1
        if room < min(reserve, MIN_ANSWER):
            raise EngineError(
                f"The question and its images take {len(ids)} tokens, but the model reads at most {context}, "
                "the answer included. Please ask a shorter question, or about fewer images."
            )
        key = hashlib.blake2b()
        for name in sorted(inputs):
            key.update(name.encode() + inputs[name].numpy().tobytes())
        seen = _seen(inputs, processor) or (images[0].size if images else (0, 0))
        return HubPrompt(ids, images, min(new_tokens, room), dropped, key=key.digest(), inputs=inputs, seen=seen)

    def read_boxes(self, text: str, size: tuple[int, int], prompt: Prompt) -> Parsed:
        """The boxes of a detect answer to `prompt`, about an image of `size` (width, height)."""
        return self.dialect.read(text, size, prompt.seen)

    def text(self, ids: list[int]) -> str:
        tokenizer = self._open()[1].tokenizer
        return tokenizer.decode([id for id in ids if id not in self._hidden], clean_up_tokenization_spaces=False)

    def piece(self, id: int) -> str:
        return self._open()[1].tokenizer.decode([id])

    def memory(self) -> tuple[int, int]:
        model = self.model  # another thread may unload it meanwhile
        if model is None:
            return 0, 0
        if self.device.startswith("cuda"):
            import torch

            return torch.cuda.memory_allocated(self.device), torch.cuda.memory_reserved(self.device)
        return model.get_memory_footprint(), model.get_memory_footprint()

    def novelty(self, prompt: Prompt) -> list[Novelty]:
        return [Novelty(None, None, False)] * len(prompt.pictures)

    # The engine's worker thread.

    def load(self) -> None:
        if self.model is not None:
            return
        config, processor, _ = self._open()
        with self._lock:  # transformers imports its parts when they are asked for, and not safely from two threads
            import torch

            from vlm_demo.backends.minivlm import _choose_device, _choose_dtype

            device = _choose_device(self.device)
            dtype = _choose_dtype(self.dtype, device, lean=False)
            if dtype == "int8":
                raise EngineError("int8 is for our own models; choose another dtype for this one.")
            try:
                model = _model_class(config).from_pretrained(
                    self.source,
                    config=config,
                    dtype=getattr(torch, dtype),
                    use_safetensors=True,
                    trust_remote_code=False,
                )
            except (OSError, ValueError, ImportError) as error:
                raise explain_source(error, self.source) from error
        model = model.to(device).eval()
        self.device, self.dtype = device, dtype
        text = config.get_text_config(decoder=True)
        ends = [processor.tokenizer.eos_token_id, text.eos_token_id, getattr(text, "sep_token_id", None)]
        more = model.generation_config.eos_token_id
        self._ends = {*ends, *(more if isinstance(more, list) else [more])} - {None}
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.model = model

    def unload(self) -> None:
        self.model = None
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
        memory.give_back()

    def encode(self, rows: list[Row]) -> None:
        """The family's own `generate()` encodes images while it reads the prompt."""
        for row in rows:
            row.novelty = self.novelty(row.prompt)

    def prefill(self, rows: list[Row]) -> None:
        for row in rows:
            self._write(row, self._begin)

    def step(self, rows: list[Row]) -> None:
        for row in rows:
            self._write(row, lambda row: row.state.send(row.steps[-1].id))

    def release(self, row: Row) -> None:
        row.state = None

    def _begin(self, row: Row) -> torch.Tensor:
        """Read a row's prompt; gives the logits `[1, V]` behind it."""
        model = self.model
        inputs = {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for name, value in row.prompt.inputs.items()
        }
        row.state = model.generate(
            **inputs, max_new_tokens=row.prompt.room, do_sample=False, num_beams=1, custom_generate=_logits
        )
        return next(row.state)

    def _write(self, row: Row, logits: Callable[[Row], torch.Tensor]) -> None:
        import torch

        from vlm_demo.backends.decoding import sample

        try:
            with torch.inference_mode():
                sample(logits(row), [row], self._ends, [])
        except Exception as error:
            row.error = error

    # Config, processor and dialect, which stay when the weights are unloaded.

    def _open(self) -> tuple[PreTrainedConfig, ProcessorMixin, Dialect]:
        if self._opened is not None:
            return self._opened
        with self._lock:
            if self._opened is None:
                from transformers import AutoConfig, AutoProcessor

                try:
                    config = AutoConfig.from_pretrained(self.source, trust_remote_code=False)
                    _model_class(config)
                    processor = AutoProcessor.from_pretrained(self.source, trust_remote_code=False)
                except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
                    raise explain_source(error, self.source) from error
                if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
                    raise EngineError(f"{self.source} comes without a processor for images and text.")
                dialect = dialect_of(config.model_type, _architecture(config))
                if dialect.chat and not processor.chat_template:
                    raise EngineError(f"{self.source} has no chat template, so there is no way to know how to ask it.")
                tokenizer = processor.tokenizer
                special = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
                self._hidden = {id for id, token in special if not token.startswith(dialect.text_tokens)}
                self._opened = config, processor, dialect
            return self._opened

    def _ask(self, turns: list[dict[str, Any]], images: list[Image.Image]) -> dict[str, torch.Tensor]:
        """What the family's processor makes of a chat: `input_ids` `[1, T]`, pixels, and whatever else it wants."""
        config, processor, dialect = self._open()
        turns = [turn | {"text": _plain(turn["text"], processor)} for turn in turns]
        try:
            if dialect.chat:
                how = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
                inputs = dict(processor.apply_chat_template(dialect.messages(turns, images), **how))
            else:
                dialect.check_images(len(images))
                words = dialect.words(turns[-1]["task"], turns[-1]["text"])
                inputs = dict(processor(images=images, text=words, return_tensors="pt"))
        except (ValueError, TypeError, KeyError) as error:
            raise EngineError(f"The question could not be put to {self.name}: {error}") from error
        inputs.pop("labels", None)  # they are for training
        if "token_type_ids" not in inspect.signature(_model_class(config).forward).parameters:
            inputs.pop("token_type_ids", None)
        if dialect.open_end:
            inputs |= {name: inputs[name][:, :-1] for name in ("input_ids", "attention_mask")}
        return inputs


def _logits(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    **kwargs: Any,
) -> Generator[torch.Tensor, int, None]:
    """The loop inside `generate()`, which has prepared everything: gives logits `[1, V]`, is sent the chosen token.

    The logits are those that the checkpoint's own rules (forced, forbidden or penalised tokens) have been applied to.
    """
    outputs = model._prefill(input_ids, generation_config, kwargs)
    while True:
        kwargs = model._update_model_kwargs_for_generation(
            outputs, kwargs, is_encoder_decoder=model.config.is_encoder_decoder
        )
        logits = outputs.logits[:, -1].float()
        del outputs  # of a long prompt they are large
        token = yield logits_processor(input_ids, logits)
        input_ids = input_ids.new_tensor([[*input_ids[0].tolist(), token]])
        inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **kwargs)
        outputs = model(**inputs, return_dict=True)


def _architecture(config: PreTrainedConfig) -> str:
    return (config.architectures or [""])[0]


def _model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class behind a config; raises EngineError when it does not write text about images."""
    import transformers

    if _architecture(config) == "BlipForQuestionAnswering":  # its config looks like that of the BLIP which captions
        return transformers.BlipForQuestionAnswering
    if type(config) not in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise EngineError(
            f"A model of the type {config.model_type} does not write text about images. Choose another one."
        )
    return transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]


def _plain(text: str, processor: ProcessorMixin) -> str:
    """A person's words, in which the special tokens of the model are broken up: they shall not act as such."""
    tokenizer = processor.tokenizer
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    special.add(str(getattr(processor, "image_token", None) or "<image>"))
    longest_first = sorted(special, key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in longest_first if len(token) > 1)
    return re.sub(pattern, lambda found: f"{found[0][0]} {found[0][1:]}", text)


def _seen(inputs: dict[str, torch.Tensor], processor: ProcessorMixin) -> tuple[int, int] | None:
    """Width and height of the first image as a model that reads any size sees it; None of other models."""
    if "image_grid_thw" not in inputs:
        return None
    _, high, wide = inputs["image_grid_thw"][0].tolist()
    side = processor.image_processor.patch_size
    return wide * side, high * side
