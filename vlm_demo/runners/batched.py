"""Many answers at once on a Llama-shaped model: one forward pass writes one token for every sequence.

A prompt is read in two parts. What comes up to its last image is the same for every question about these images:
it is read once, and its keys and values are kept. Behind it comes the person's own text.

Company must not change an answer, not even in the last digit, which rounding to bfloat16 can blow up to another word.
So prompts share a pass only with those of the same shape, and the shape of each depends on its own lengths alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from transformers import PreTrainedModel

from vlm_demo.results import EngineError
from vlm_demo.runners.base import TokenSequence
from vlm_demo.runners.graphs import GraphedStep
from vlm_demo.runners.llama import BLOCK, BatchedLlama, LinearLayer, round_up
from vlm_demo.runners.lru import ByteLRU
from vlm_demo.runners.sampling import sample

Key = tuple[tuple[int, ...], tuple[bytes, ...]]  # token ids and the hashes of the images among them
TEXT = 8  # tokens: a person's own text is padded to a multiple of so many


class BatchDecoder:
    """All sequences in one buffer of keys and values.

    The sequences in use always hold the first slots: when one leaves, the last one moves into its slot.
    """

    @staticmethod
    def supports(text_config: object) -> bool:
        """Whether a language model is one that `BatchedLlama` can compute."""
        return BatchedLlama.supports(text_config)

    def __init__(
        self,
        model: PreTrainedModel,
        end_ids: set[int],
        suppressed: list[int],
        prefix_bytes: int = 64_000_000,
        linear: LinearLayer | None = None,
    ) -> None:
        """`model`: a MiniVLMForConditionalGeneration; at most `prefix_bytes` of read images are kept; `linear` is
        that of `BatchedLlama`."""
        self.model, self.end_ids, self.suppressed = model, end_ids, suppressed
        self.llama = BatchedLlama(model.model.language_model, model.lm_head, linear)
        self.buffer = self.llama.new_buffer()
        self.graphed = GraphedStep(self.llama) if self.llama.embedding.is_cuda else None
        self.prefixes = ByteLRU(prefix_bytes)
        self.sequences: list[TokenSequence] = []  # sequence.state is its place in this list and so its slot
        self.lengths: list[int] = []  # positions written in each slot

    @property
    def bytes(self) -> int:
        return self.llama.bytes + self.buffer.bytes + self.prefixes.bytes

    @torch.inference_mode()
    def prefill(self, sequences: list[TokenSequence]) -> None:
        """Read each sequence's prompt with its `features` (projected, `[N, D]` an image) and write its first token."""
        for sequence in sequences:
            self.release(sequence)  # from a pass that failed
        known = self._read_images(sequences)
        for sequence in sequences:
            if _prefix(sequence) and known[_prefix(sequence)] is None:
                sequence.error = EngineError("The model gave no valid numbers for this image. Try another one.")
        sequences = [sequence for sequence in sequences if sequence.error is None]
        if not sequences:
            return
        groups = _groups(sequences, _text_shape)
        read, first = [], len(self.sequences)
        for (width, _), group in groups.items():
            read.append(self._read_texts(group, first, width, known))
            first += len(group)
        sequences = [sequence for group in groups.values() for sequence in group]
        logits = self.llama.logits(torch.cat(read))  # [B, V]
        for slot, sequence in enumerate(sequences, len(self.sequences)):
            sequence.state = slot
            self.sequences.append(sequence)
            self.lengths.append(len(sequence.prompt.ids))
        sample(logits, sequences, self.end_ids, self.suppressed)

    @torch.inference_mode()
    def decode(self, sequences: list[TokenSequence]) -> None:
        """Write one more token for each sequence; fewer than all go one by one (after a pass that failed)."""
        if 1 < len(sequences) < len(self.sequences):
            for sequence in sequences:
                self.decode([sequence])
            return
        sequences = sorted(sequences, key=lambda sequence: sequence.state)
        first = sequences[0].state
        starts = self.lengths[first : first + len(sequences)]
        ids = [sequence.outputs[-1].id for sequence in sequences]
        if self.graphed is not None and len(sequences) == len(self.sequences):
            logits = self.graphed(ids, starts, self.buffer)  # [B, V]
        else:
            self.buffer.reserve(len(self.sequences), max(starts) + 1)
            embeds = self.llama.embed([[id] for id in ids])  # [B, 1, D]
            logits = self.llama.logits(self.llama.forward(embeds, self.buffer, first, starts)[:, 0])
        sample(logits, sequences, self.end_ids, self.suppressed)
        for sequence in sequences:
            self.lengths[sequence.state] += 1

    @torch.inference_mode()
    def release(self, sequence: TokenSequence) -> None:
        """Free a sequence's slot; harmless for a sequence that has none."""
        slot, sequence.state = sequence.state, None
        if slot is None:
            return
        if sequence.error is not None:  # NaNs would reach the slot's next sequence even through a mask
            self.buffer.clear(slot)
        moved, length = self.sequences.pop(), self.lengths.pop()
        if moved is not sequence:
            self.buffer.move(len(self.sequences), slot, length)
            self.sequences[slot], self.lengths[slot], moved.state = moved, length, slot
        if not self.sequences:
            self.buffer.shrink()

    def forget(self) -> None:
        """Let go of what was read and nobody needs now."""
        self.prefixes.clear()
        if not self.sequences:
            self.buffer.shrink()

    def _read_images(self, sequences: list[TokenSequence]) -> dict[Key, torch.Tensor | None]:
        """Keys and values of each sequence's prompt up to its last image, `[layers, length, 2 * heads, head_dim]`.

        What nobody has read yet is read now, each once, in free slots; None where the numbers were not finite.
        """
        wanted = {_prefix(sequence): sequence for sequence in sequences if sequence.prompt.prefix}
        known = {key: self.prefixes.get(key) for key in wanted}
        new = [sequence for key, sequence in wanted.items() if known[key] is None]
        if not new:
            return known
        first = len(self.sequences)
        for prefix, group in _groups(new, lambda sequence: sequence.prompt.prefix).items():
            self.buffer.reserve(first + len(group), prefix)
            ids = [sequence.prompt.ids[:prefix] for sequence in group]
            projected = torch.stack([image for sequence in group for image in sequence.features])  # [images, N, D]
            embeds = self.llama.embed(ids)  # [B, T, D]
            embeds = self.model.model.insert_image_features(torch.tensor(ids, device=embeds.device), embeds, projected)
            self.llama.forward(embeds, self.buffer, first, [0] * len(group))
            for slot, sequence in enumerate(group, first):
                past = self.buffer.read(slot, prefix)
                if past.isfinite().all():
                    known[_prefix(sequence)] = past
                    self.prefixes.put(_prefix(sequence), past, past.nbytes)
                else:
                    self.buffer.clear(slot)
        return known

    def _read_texts(
        self, sequences: list[TokenSequence], first: int, width: int, known: dict[Key, torch.Tensor | None]
    ) -> torch.Tensor:
        """The hidden state behind each prompt, `[B, D]`, for sequences that go into the slots from `first` on,
        each with at most `width` tokens behind its last image."""
        starts = [sequence.prompt.prefix for sequence in sequences]
        self.buffer.reserve(first + len(sequences), max(starts) + width)
        for slot, sequence in enumerate(sequences, first):
            if sequence.prompt.prefix:
                self.buffer.write(slot, known[_prefix(sequence)])
        texts = [sequence.prompt.ids[sequence.prompt.prefix :] for sequence in sequences]
        # Padding on the right: nothing sees it, and the answer's own keys and values overwrite it one by one.
        padded = [text + [0] * (width - len(text)) for text in texts]
        hidden = self.llama.forward(self.llama.embed(padded), self.buffer, first, starts)  # [B, T, D]
        last = torch.tensor([len(text) - 1 for text in texts], device=hidden.device)
        return hidden[torch.arange(len(sequences), device=hidden.device), last]


def _groups(
    sequences: list[TokenSequence], shape: Callable[[TokenSequence], Hashable]
) -> dict[Hashable, list[TokenSequence]]:
    """Sequences of the same shape together."""
    groups: dict[Hashable, list[TokenSequence]] = {}
    for sequence in sequences:
        groups.setdefault(shape(sequence), []).append(sequence)
    return groups


def _text_shape(sequence: TokenSequence) -> tuple[int, int]:
    """To how many tokens a sequence's text is padded and how many positions it reads, as `BatchedLlama` rounds them."""
    width = round_up(len(sequence.prompt.ids) - sequence.prompt.prefix, TEXT)
    return width, round_up(sequence.prompt.prefix + width, BLOCK)


def _prefix(sequence: TokenSequence) -> Key | None:
    """What a sequence's prompt shares with other questions about the same images; None without images."""
    prompt = sequence.prompt
    if not prompt.prefix:
        return None
    return tuple(prompt.ids[: prompt.prefix]), tuple(image.key for image in prompt.images)
