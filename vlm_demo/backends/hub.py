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

from PIL import Image

from vlm_demo import memory
from vlm_demo.backends import Prompt, Row
from vlm_demo.backends.hub_family import Family
from vlm_demo.backends.trouble import explain_source
from vlm_demo.results import EngineError, Novelty

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from vlm_demo.detections import Parsed

MIN_ANSWER = 16  # an answer needs room for at least so many tokens


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
        self._family: Family | None = None
        self._ends: set[int] = set()

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

    def prepare(self, turns: list[dict[str, Any]], images: list[Image.Image], new_tokens: int) -> HubPrompt:
        family = self.family
        reserve = min(new_tokens, family.context // 4)
        dropped = 0 if family.dialect.chat else len(turns) // 2
        while True:
            inputs = family.ask(turns[2 * dropped :], images)
            ids = inputs["input_ids"][0].tolist()
            room = family.context - (0 if family.config.is_encoder_decoder else len(ids))
            if room >= reserve or 2 * dropped + 1 >= len(turns):
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
        return HubPrompt(ids, images, min(new_tokens, room), dropped, key=key.digest(), inputs=inputs, seen=seen)

    def read_boxes(self, text: str, size: tuple[int, int], prompt: Prompt) -> Parsed:
        """The boxes of a detect answer to `prompt`, about an image of `size` (width, height)."""
        return self.family.dialect.read(text, size, prompt.seen)

    def text(self, ids: list[int]) -> str:
        return self.family.text(ids)

    def piece(self, id: int) -> str:
        return self.family.piece(id)

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
        family = self.family
        with self._lock:  # transformers imports its parts when they are asked for, and not safely from two threads
            import torch

            from vlm_demo.backends.minivlm import _choose_device, _choose_dtype

            device = _choose_device(self.device)
            dtype = _choose_dtype(self.dtype, device, lean=False)
            if dtype == "int8":
                raise EngineError("int8 is for our own models; choose another dtype for this one.")
            try:
                model = family.model_class.from_pretrained(
                    self.source,
                    config=family.config,
                    dtype=getattr(torch, dtype),
                    use_safetensors=True,
                    trust_remote_code=False,
                )
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
