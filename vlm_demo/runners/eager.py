"""The plain way to write answers, which works for any causal language model."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Cache, DynamicCache, PreTrainedModel

from vlm_demo.runners.base import Row
from vlm_demo.runners.sampling import sample


class EagerDecoder:
    """One `DynamicCache` a row, one forward pass a row and token: for any language model."""

    def __init__(self, model: PreTrainedModel, end_ids: set[int], suppressed: list[int]) -> None:
        """`model`: a MiniVLMForConditionalGeneration."""
        self.model, self.end_ids, self.suppressed = model, end_ids, suppressed

    @property
    def bytes(self) -> int:
        return 0

    @torch.inference_mode()
    def prefill(self, rows: list[Row]) -> None:
        """Read each row's prompt with its `features` (projected, `[N, D]` a picture) and write its first token."""
        for row in rows:
            try:
                logits, row.state = self._read(row)
                sample(logits, [row], self.end_ids, self.suppressed)
            except Exception as error:
                row.error = error

    @torch.inference_mode()
    def step(self, rows: list[Row]) -> None:
        """Write one more token for each row."""
        for row in rows:
            try:
                embeds = self._embed([[row.steps[-1].id]])  # [1, 1, D]
                hidden, _ = self._forward(embeds, past_key_values=row.state)
                sample(self.model.lm_head(hidden[:, -1]), [row], self.end_ids, self.suppressed)
            except Exception as error:
                row.error = error

    def release(self, row: Row) -> None:
        row.state = None

    def _read(self, row: Row) -> tuple[torch.Tensor, Cache]:
        """Logits `[1, V]` behind a row's prompt, and the keys and values of the prompt."""
        ids = torch.tensor([row.prompt.ids], device=self.model.device)
        projected = torch.stack(row.features) if row.features else None  # [pictures, N, D]
        embeds = self.model.model.insert_image_features(ids, self._embed([row.prompt.ids]), projected)  # [1, T, D]
        hidden, past = self._forward(embeds, past_key_values=DynamicCache(config=self.model.config.text_config))
        return self.model.lm_head(hidden[:, -1]), past

    def _embed(self, ids: list[list[int]]) -> torch.Tensor:
        return self.model.get_input_embeddings()(torch.tensor(ids, device=self.model.device))  # [R, T, D]

    def _forward(self, embeds: torch.Tensor, **kwargs: Any) -> tuple[torch.Tensor, Cache]:
        outputs = self.model.model.language_model(inputs_embeds=embeds, use_cache=True, **kwargs)
        return outputs.last_hidden_state, outputs.past_key_values
