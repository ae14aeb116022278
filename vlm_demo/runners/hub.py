"""Models of other families behind the engine, from a folder or the Hub, as transformers' own classes write them.

Each sequence is written alone: the family's `generate()` makes everything ready, and the loop below, in place of
transformers' own, hands over one token at a time. torch is imported on first use.
"""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlm_demo import memory
from vlm_demo.description import Description
from vlm_demo.dialects import GENERAL, Dialect
from vlm_demo.images import LoadedImage, load
from vlm_demo.results import EngineError, Novelty, Result
from vlm_demo.runners.base import Prompt, TokenSequence
from vlm_demo.runners.grammar import OneOfTokens
from vlm_demo.runners.hub_family import Family
from vlm_demo.runners.transformers_private import next_kwargs, prefill
from vlm_demo.runners.trouble import explain_source
from vlm_demo.runners.untrained import UNTRAINED, random_weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from vlm_demo.detection import Parsed

MIN_ANSWER = 16  # an answer needs room for at least so many tokens


@dataclass(frozen=True)
class HubPrompt(Prompt):
    """What the family's processor made of a chat, whose `turns` are kept; `seen` is the first image's size
    (width, height) for the model."""

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    seen: tuple[int, int] = (0, 0)
    turns: list[dict[str, Any]] = field(default_factory=list)


class HubRunner:
    """An image-text-to-text model (a folder or a Hub name) of any family that transformers knows, as
    `vlm_demo.runners.base.ModelRunner`."""

    def __init__(
        self,
        source: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        max_sequences: int = 4,
        trained: bool = True,
        dialect: Dialect = GENERAL,
    ) -> None:
        """`max_sequences` are written at once, by turns. Where it is not `trained`, the weights are random. `dialect`
        is the family's, as far as is known beforehand."""
        self.source = str(source)
        self.name = Path(self.source).name if Path(self.source).is_dir() else self.source
        self._trained = trained
        self.description = Description()
        if not trained:
            self.name, self.description = f"{self.name}{UNTRAINED}", self.description.untrained()
        self.device = device
        self.dtype = dtype
        self.max_sequences = max_sequences
        self.parameters = 0
        self.model: PreTrainedModel | None = None
        self._lock = threading.RLock()
        self._family: Family | None = None
        self._dialect = dialect
        self._ends: set[int] = set()

    def untrained(self) -> HubRunner:
        """The same architecture with random weights."""
        return HubRunner(self.source, self.device, self.dtype, self.max_sequences, False, self.dialect)

    @property
    def loaded(self) -> bool:
        return self.model is not None

    # Any thread.

    @property
    def family(self) -> Family:
        """What stays when the weights are unloaded; raises EngineError when the model cannot be opened."""
        if self._family is None:  # else nobody waits here while the weights are loaded
            with self._lock:
                self._family = self._family or Family(self.source)
        return self._family

    @property
    def dialect(self) -> Dialect:
        """How the family is asked, and with that what it can do; needs neither weights nor a network."""
        return self._family.dialect if self._family else self._dialect

    def prepare(
        self, turns: list[dict[str, Any]], images: list[LoadedImage], new_tokens: int, choices: tuple[str, ...] = ()
    ) -> HubPrompt:
        family = self.family
        reserve = min(new_tokens, family.context // 4)
        dropped = 0 if family.dialect.chat else len(turns) // 2
        fixed = any("content" in turn for turn in turns)  # images stand in the turns, which then all have to stay
        while True:
            inputs = family.ask(turns[2 * dropped :], images)
            ids = inputs["input_ids"][0].tolist()
            room = family.context - (0 if family.config.is_encoder_decoder else len(ids))
            if room >= reserve or fixed or 2 * dropped + 1 >= len(turns):
                break
            dropped += 1
        if room < min(reserve, MIN_ANSWER):
            raise EngineError(
                f"The question and its images take {len(ids)} tokens, but the model reads at most {family.context}, "
                "the answer included. Please ask a shorter question, or about fewer images."
            )
        key = hashlib.blake2b()
        for name in sorted(inputs):
            key.update(name.encode() + inputs[name].numpy().tobytes())
        seen = family.seen(inputs, images[0])
        length = min(new_tokens, room)
        key = key.digest(), choices
        return HubPrompt(ids, images, length, dropped, 0, key, choices or None, inputs=inputs, seen=seen, turns=turns)

    def read_boxes(self, result: Result, size: tuple[int, int], sequence: TokenSequence) -> Parsed | None:
        """The boxes of a detect answer about an image of `size` (width, height); other answers have none."""
        return self.family.dialect.read(result.text, size, sequence.prompt.seen) if result.task == "detect" else None

    def text(self, ids: list[int]) -> str:
        return self.family.text(ids)

    def token_text(self, id: int) -> str:
        return self.family.token_text(id)

    def memory(self) -> tuple[int, int]:
        model = self.model  # another thread may unload it meanwhile
        if model is None:
            return 0, 0
        taken = model.get_memory_footprint()
        if self.device.startswith("cuda"):
            import torch

            return taken, torch.cuda.memory_reserved(self.device)
        return taken, taken

    def novelty(self, prompt: Prompt) -> list[Novelty]:
        return [Novelty(None, None, False)] * len(prompt.images)

    # The engine's worker thread.

    def load(self) -> None:
        if self.model is not None:
            return
        family = self.family
        with self._lock:  # transformers imports its parts when they are asked for, and not safely from two threads
            import torch

            from vlm_demo.runners.device import choose_device, choose_dtype

            device = choose_device(self.device)
            dtype = choose_dtype(self.dtype, device, shape=None)
            if dtype == "int8":
                raise EngineError("int8 is for our own models; choose another dtype for this one.")
            try:
                if self._trained:
                    model = family.model_class.from_pretrained(
                        self.source,
                        config=family.config,
                        dtype=getattr(torch, dtype),
                        use_safetensors=True,
                        trust_remote_code=False,
                    )
                else:
                    model = random_weights(family.model_class, self.source, family.config, getattr(torch, dtype))
            except (OSError, ValueError, ImportError) as error:
                raise explain_source(error, self.source) from error
        model = model.to(device).eval()
        self.device, self.dtype = device, dtype
        more = model.generation_config.eos_token_id
        self._ends = family.ends | {*(more if isinstance(more, list) else [more])} - {None}
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.model = model

    def unload(self) -> None:
        self.model = None
        self._free()

    def _free(self) -> None:
        """Give back what nobody holds any more."""
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()
        memory.give_back()

    def encode(self, sequences: list[TokenSequence]) -> None:
        """The family's own `generate()` encodes images while it reads the prompt."""
        for sequence in sequences:
            sequence.novelty = self.novelty(sequence.prompt)

    def prefill(self, sequences: list[TokenSequence]) -> None:
        for sequence in sequences:
            if sequence.prompt.grammar:
                sequence.constraint = OneOfTokens(self.family.answers(sequence.prompt.grammar))
            self._write(sequence, self._begin)

    def decode(self, sequences: list[TokenSequence]) -> None:
        for sequence in sequences:
            self._write(sequence, lambda sequence: sequence.state.send(sequence.outputs[-1].id))

    def reduce(self, sequence: TokenSequence) -> None:
        """Half the side of each image, of which most families make fewer tokens, and half the length."""
        self._free()
        prompt = sequence.prompt
        smaller = [load(image.rgb.resize([max(1, side // 2) for side in image.size])) for image in prompt.images]
        shorter = max(1, prompt.max_new_tokens // 2)
        sequence.prompt = self.prepare(prompt.turns, smaller, shorter, prompt.grammar or ())
        sequence.reduced = "memory ran out, so a smaller image and a shorter answer were tried"

    def release(self, sequence: TokenSequence) -> None:
        sequence.state = None

    def _begin(self, sequence: TokenSequence) -> torch.Tensor:
        """Read a sequence's prompt; gives the logits `[1, V]` behind it."""
        model = self.model
        inputs = {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for name, value in sequence.prompt.inputs.items()
        }
        limit = sequence.prompt.max_new_tokens
        sequence.state = model.generate(
            **inputs, max_new_tokens=limit, do_sample=False, num_beams=1, custom_generate=_logits
        )
        return next(sequence.state)

    def _write(self, sequence: TokenSequence, logits: Callable[[TokenSequence], torch.Tensor]) -> None:
        import torch

        from vlm_demo.runners.sampling import sample

        try:
            with torch.inference_mode():
                sample(logits(sequence), [sequence], self._ends, [])
        except Exception as error:
            sequence.error = error


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
    outputs = prefill(model, input_ids, generation_config, kwargs)
    while True:
        kwargs = next_kwargs(model, outputs, kwargs)
        logits = outputs.logits[:, -1].float()
        del outputs  # of a long prompt they are large
        token = yield logits_processor(input_ids, logits)
        input_ids = input_ids.new_tensor([[*input_ids[0].tolist(), token]])
        inputs = model.prepare_inputs_for_generation(input_ids, next_sequence_length=1, **kwargs)
        outputs = model(**inputs, return_dict=True)
