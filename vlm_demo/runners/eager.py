"""The plain way to write answers, which works for any causal language model."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache, DynamicCache, PreTrainedModel

from vlm_demo.runners.base import TokenSequence
from vlm_demo.runners.sampling import sample


class EagerDecoder:
    """One `DynamicCache` a sequence, one forward pass a sequence and token: for any language model."""

    def __init__(self, model: PreTrainedModel, end_ids: set[int], suppressed: list[int]) -> None:
        """`model`: a MiniVLMForConditionalGeneration."""
        self.model, self.end_ids, self.suppressed = model, end_ids, suppressed

    @property
    def bytes(self) -> int:
        return 0

    @torch.inference_mode()
    def prefill(self, sequences: list[TokenSequence]) -> None:
        """Read each sequence's prompt with its `features` (projected, `[N, D]` an image) and write its first token."""
        for sequence in sequences:
            try:
                logits, sequence.state = self._read(sequence)
                sample(logits, [sequence], self.end_ids, self.suppressed)
            except Exception as error:
                sequence.error = error

    @torch.inference_mode()
    def decode(self, sequences: list[TokenSequence]) -> None:
        """Write one more token for each sequence."""
        for sequence in sequences:
            try:
                embeds = self._embed([[sequence.outputs[-1].id]])  # [1, 1, D]
                hidden, _ = self._forward(embeds, past_key_values=sequence.state)
                sample(self.model.lm_head(hidden[:, -1]), [sequence], self.end_ids, self.suppressed)
            except Exception as error:
                sequence.error = error

    def release(self, sequence: TokenSequence) -> None:
        sequence.state = None

    def forget(self) -> None:
        """There is nothing to let go of."""

    def _read(self, sequence: TokenSequence) -> tuple[torch.Tensor, Cache]:
        """Logits `[1, V]` behind a sequence's prompt, and the keys and values of the prompt."""
        ids = torch.tensor([sequence.prompt.ids], device=self.model.device)
        projected = torch.stack(sequence.features) if sequence.features else None  # [images, N, D]
        embeds = self.model.model.insert_image_features(ids, self._embed([sequence.prompt.ids]), projected)  # [1, T, D]
        hidden, past = self._forward(embeds, past_key_values=DynamicCache(config=self.model.config.text_config))
        return self.model.lm_head(hidden[:, -1]), past

    def _embed(self, ids: list[list[int]]) -> torch.Tensor:
        return self.model.get_input_embeddings()(torch.tensor(ids, device=self.model.device))  # [B, T, D]

    def _forward(self, embeds: torch.Tensor, **kwargs: Any) -> tuple[torch.Tensor, Cache]:
        outputs = self.model.model.language_model(inputs_embeds=embeds, use_cache=True, **kwargs)
        return outputs.last_hidden_state, outputs.past_key_values
