"""What is known of a model of another family before its weights are loaded: config, processor, and how it is asked."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlm_demo.dialects import dialect_of
from vlm_demo.images import LoadedImage
from vlm_demo.results import EngineError
from vlm_demo.runners.needs import check_there
from vlm_demo.runners.trouble import explain_source, unsupported

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

CONTEXT = 2048  # tokens, of a language model that does not say what it can read


class Family:
    """Config, processor and dialect of a folder or Hub name. May be used from any thread."""

    def __init__(self, source: str) -> None:
        """Raises EngineError when there is no such model, or it cannot be driven."""
        from transformers import AutoConfig, AutoProcessor

        self.source = source
        check_there(source)
        try:
            self.config = AutoConfig.from_pretrained(source, trust_remote_code=False)
            self.model_class = _model_class(self.config)
            self.processor = AutoProcessor.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
            raise explain_source(error, source) from error
        if not hasattr(self.processor, "image_processor") or not hasattr(self.processor, "tokenizer"):
            raise EngineError(f"{source} comes without a processor for images and text.")
        self.dialect = dialect_of(self.config.model_type, _architecture(self.config))
        if self.dialect.chat and not self.processor.chat_template:
            raise EngineError(f"{source} has no chat template, so there is no way to know how to ask it.")
        self._tokenizer = tokenizer = self.processor.tokenizer
        self._lock = threading.Lock()  # a tokenizer that is busy with one thread raises in another
        special = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        self._hidden = {id for id, token in special if not token.startswith(self.dialect.text_tokens)}
        self._special = _pattern(self.processor)

    @property
    def context(self) -> int:
        """Tokens that the language model reads at most."""
        return getattr(self._text_config, "max_position_embeddings", None) or CONTEXT

    @property
    def ends(self) -> set[int]:
        """Tokens that end an answer, as far as tokenizer and config tell."""
        text = self._text_config
        return {self._tokenizer.eos_token_id, text.eos_token_id, getattr(text, "sep_token_id", None)} - {None}

    @property
    def _text_config(self) -> PreTrainedConfig:
        return self.config.get_text_config(decoder=True)

    def ask(self, turns: list[dict[str, Any]], images: list[LoadedImage]) -> dict[str, torch.Tensor]:
        """What the processor makes of a chat: `input_ids` `[1, T]`, pixels, and whatever else the family wants."""
        dialect, processor = self.dialect, self.processor
        turns, pixels = [self._plain_turn(turn) for turn in turns], [image.rgb for image in images]
        try:
            if dialect.chat:
                how = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
                messages = dialect.messages(turns, pixels)
                with self._lock:
                    inputs = dict(processor.apply_chat_template(messages, **how))
            else:
                dialect.check_images(len(images))
                text = " ".join(part["text"] for part in turns[-1]["content"] if part["type"] == "text")
                words = dialect.words(turns[-1]["task"], text)
                with self._lock:
                    inputs = dict(processor(images=pixels, text=words, return_tensors="pt"))
        except (ValueError, TypeError, KeyError) as error:
            raise EngineError(f"The question could not be put to {self.source}: {error}") from error
        inputs.pop("labels", None)  # they are for training
        if "token_type_ids" not in inspect.signature(self.model_class.forward).parameters:
            inputs.pop("token_type_ids", None)
        strange = [name for name, value in inputs.items() if not hasattr(value, "to")]
        if strange:
            raise EngineError(f"{self.source} wants {', '.join(strange)}, which nobody here knows how to hand over.")
        if dialect.open_end:
            inputs |= {name: inputs[name][:, :-1] for name in ("input_ids", "attention_mask")}
        return inputs

    def _plain_turn(self, turn: dict[str, Any]) -> dict[str, Any]:
        """A person's words are text: special tokens in them are broken up, so that they do not act as such."""
        parts = turn.get("content") or [{"type": "text", "text": turn["text"]}]
        return turn | {
            "content": [
                part | {"text": self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", part["text"])}
                if part["type"] == "text"
                else part
                for part in parts
            ]
        }

    def seen(self, inputs: dict[str, torch.Tensor], image: LoadedImage) -> tuple[int, int]:
        """Width and height at which the model sees the first image, where it reads images of any size; else its own."""
        if "image_grid_thw" not in inputs:
            return image.size
        _, high, wide = inputs["image_grid_thw"][0].tolist()
        side = self.processor.image_processor.patch_size
        return wide * side, high * side

    def text(self, ids: list[int]) -> str:
        """Token ids as text, without special tokens other than those that are part of an answer."""
        shown = [id for id in ids if id not in self._hidden]
        with self._lock:
            return self._tokenizer.decode(shown, clean_up_tokenization_spaces=False)

    def answers(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of given answers, each with and without a blank in front, for either may begin an answer."""
        with self._lock:
            return [
                self._tokenizer.encode(f"{blank}{text.strip()}", add_special_tokens=False)
                for text in texts
                for blank in ("", " ")
            ]

    def token_text(self, id: int) -> str:
        """One token as a person may see it, special ones by name."""
        with self._lock:
            return self._tokenizer.decode([id])


def _architecture(config: PreTrainedConfig) -> str:
    return (config.architectures or [""])[0]


def _model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class behind a config; raises EngineError when it does not write text about images."""
    import transformers

    if _architecture(config) == "BlipForQuestionAnswering":  # its config looks like that of the BLIP which captions
        return transformers.BlipForQuestionAnswering
    if type(config) not in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise unsupported(config.model_type)
    return transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)]


def _pattern(processor: Any) -> re.Pattern[str]:
    """Finds the model's special tokens in a text."""
    special = {token.content for token in processor.tokenizer.added_tokens_decoder.values() if token.special}
    special.add(str(getattr(processor, "image_token", None) or "<image>"))
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("|".join(re.escape(token) for token in longest_first if len(token) > 1))
