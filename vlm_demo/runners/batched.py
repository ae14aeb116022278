"""Many answers at once on a Llama-shaped model: one lean forward pass writes one token for every row.

A prompt is read in two parts. What comes up to its last picture is the same for every question about these pictures:
it is read once, and its keys and values are kept. Behind it comes the person's own text.

Company must not change an answer, not even in the last digit, which rounding to bfloat16 can blow up to another word.
So prompts share a pass only with those of the same shape, and the shape of each depends on its own lengths alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from transformers import PreTrainedModel

from vlm_demo.results import EngineError
from vlm_demo.runners.base import Row
from vlm_demo.runners.graphs import GraphedStep
from vlm_demo.runners.llama import BLOCK, LeanLlama, Projection, round_up
from vlm_demo.runners.lru import ByteLRU
from vlm_demo.runners.sampling import sample

Key = tuple[tuple[int, ...], tuple[bytes, ...]]  # token ids and the hashes of the pictures among them
TEXT = 8  # tokens: a person's own text is padded to a multiple of so many


class BatchDecoder:
    """All rows in one buffer of keys and values.

    The rows in use always hold the first slots: when one leaves, the last one moves into its slot.
    """

    @staticmethod
    def supports(text_config: object) -> bool:
        """Whether a language model is one that `LeanLlama` can compute."""
        return LeanLlama.supports(text_config)

    def __init__(
        self,
        model: PreTrainedModel,
        end_ids: set[int],
        suppressed: list[int],
        prefix_bytes: int = 64_000_000,
        project: Projection | None = None,
    ) -> None:
        """`model`: a MiniVLMForConditionalGeneration; at most `prefix_bytes` of read pictures are kept; `project` is
        that of `LeanLlama`."""
        self.model, self.end_ids, self.suppressed = model, end_ids, suppressed
        self.lean = LeanLlama(model.model.language_model, model.lm_head, project)
        self.buffer = self.lean.new_buffer()
        self.graphed = GraphedStep(self.lean) if self.lean.embedding.is_cuda else None
        self.prefixes = ByteLRU(prefix_bytes)
        self.rows: list[Row] = []  # row.state is its place in this list and so its slot
        self.lengths: list[int] = []  # positions written in each slot

    @property
    def bytes(self) -> int:
        return self.lean.bytes + self.buffer.bytes + self.prefixes.bytes

    @torch.inference_mode()
    def prefill(self, rows: list[Row]) -> None:
        """Read each row's prompt with its `features` (projected, `[N, D]` a picture) and write its first token."""
        for row in rows:
            self.release(row)  # from a pass that failed
        known = self._read_pictures(rows)
        for row in rows:
            if _prefix(row) and known[_prefix(row)] is None:
                row.error = EngineError("The model gave no valid numbers for this picture. Try another one.")
        rows = [row for row in rows if row.error is None]
        if not rows:
            return
        groups = _groups(rows, _text_shape)
        read, first = [], len(self.rows)
        for (width, _), group in groups.items():
            read.append(self._read_texts(group, first, width, known))
            first += len(group)
        rows = [row for group in groups.values() for row in group]
        logits = self.lean.logits(torch.cat(read))  # [R, V]
        for slot, row in enumerate(rows, len(self.rows)):
            row.state = slot
            self.rows.append(row)
            self.lengths.append(len(row.prompt.ids))
        sample(logits, rows, self.end_ids, self.suppressed)

    @torch.inference_mode()
    def step(self, rows: list[Row]) -> None:
        """Write one more token for each row; fewer than all rows go one by one (after a pass that failed)."""
        if 1 < len(rows) < len(self.rows):
            for row in rows:
                self.step([row])
            return
        rows = sorted(rows, key=lambda row: row.state)
        first = rows[0].state
        starts = self.lengths[first : first + len(rows)]
        ids = [row.steps[-1].id for row in rows]
        if self.graphed is not None and len(rows) == len(self.rows):
            logits = self.graphed(ids, starts, self.buffer)  # [R, V]
        else:
            self.buffer.reserve(len(self.rows), max(starts) + 1)
            embeds = self.lean.embed([[id] for id in ids])  # [R, 1, D]
            logits = self.lean.logits(self.lean.forward(embeds, self.buffer, first, starts)[:, 0])
        sample(logits, rows, self.end_ids, self.suppressed)
        for row in rows:
            self.lengths[row.state] += 1

    @torch.inference_mode()
    def release(self, row: Row) -> None:
        """Free a row's slot; harmless for a row that has none."""
        slot, row.state = row.state, None
        if slot is None:
            return
        if row.error is not None:  # NaNs would reach the slot's next row even through a mask
            self.buffer.clear(slot)
        moved, length = self.rows.pop(), self.lengths.pop()
        if moved is not row:
            self.buffer.move(len(self.rows), slot, length)
            self.rows[slot], self.lengths[slot], moved.state = moved, length, slot
        if not self.rows:
            self.buffer.shrink()

    def _read_pictures(self, rows: list[Row]) -> dict[Key, torch.Tensor | None]:
        """Keys and values of each row's prompt up to its last picture, `[layers, length, 2 * heads, head_dim]`.

        What nobody has read yet is read now, each once, in free slots; None where the numbers were not finite.
        """
        wanted = {_prefix(row): row for row in rows if row.prompt.prefix}
        known = {key: self.prefixes.get(key) for key in wanted}
        new = [row for key, row in wanted.items() if known[key] is None]
        if not new:
            return known
        first = len(self.rows)
        for prefix, group in _groups(new, lambda row: row.prompt.prefix).items():
            self.buffer.reserve(first + len(group), prefix)
            ids = [row.prompt.ids[:prefix] for row in group]
            projected = torch.stack([picture for row in group for picture in row.features])  # [pictures, N, D]
            embeds = self.lean.embed(ids)  # [R, T, D]
            embeds = self.model.model.insert_image_features(torch.tensor(ids, device=embeds.device), embeds, projected)
            self.lean.forward(embeds, self.buffer, first, [0] * len(group))
            for slot, row in enumerate(group, first):
                past = self.buffer.read(slot, prefix)
                if past.isfinite().all():
                    known[_prefix(row)] = past
                    self.prefixes.put(_prefix(row), past, past.nbytes)
                else:
                    self.buffer.clear(slot)
        return known

    def _read_texts(
        self, rows: list[Row], first: int, width: int, known: dict[Key, torch.Tensor | None]
    ) -> torch.Tensor:
        """The hidden state behind each prompt, `[R, D]`, for rows that go into the slots from `first` on, each with at
        most `width` tokens behind its last picture."""
        starts = [row.prompt.prefix for row in rows]
        self.buffer.reserve(first + len(rows), max(starts) + width)
        for slot, row in enumerate(rows, first):
            if row.prompt.prefix:
                self.buffer.write(slot, known[_prefix(row)])
        texts = [row.prompt.ids[row.prompt.prefix :] for row in rows]
        # Padding on the right: nothing sees it, and the answer's own keys and values overwrite it one by one.
        padded = [text + [0] * (width - len(text)) for text in texts]
        hidden = self.lean.forward(self.lean.embed(padded), self.buffer, first, starts)  # [R, T, D]
        last = torch.tensor([len(text) - 1 for text in texts], device=hidden.device)
        return hidden[torch.arange(len(rows), device=hidden.device), last]


def _groups(rows: list[Row], shape: Callable[[Row], Hashable]) -> dict[Hashable, list[Row]]:
    """Rows of the same shape together."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(shape(row), []).append(row)
    return groups


def _text_shape(row: Row) -> tuple[int, int]:
    """How many tokens a row's text is padded to and how many positions it reads, as `LeanLlama.forward` rounds them."""
    width = round_up(len(row.prompt.ids) - row.prompt.prefix, TEXT)
    return width, round_up(row.prompt.prefix + width, BLOCK)


def _prefix(row: Row) -> Key | None:
    """What a row's prompt shares with other questions about the same pictures; None without pictures."""
    prompt = row.prompt
    if not prompt.prefix:
        return None
    return tuple(prompt.ids[: prompt.prefix]), tuple(picture.key for picture in prompt.pictures)
