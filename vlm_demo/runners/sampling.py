"""From logits to tokens."""

from __future__ import annotations

import math

import torch

from vlm_demo.results import EngineError
from vlm_demo.runners.base import TokenOutput, TokenSequence

TOP = 5  # alternatives reported for each token
NUCLEUS = 1024  # most probable tokens among which the nucleus is sought before all of them are sorted


def sample(logits: torch.Tensor, sequences: list[TokenSequence], end_ids: set[int], suppressed: list[int]) -> None:
    """Append a TokenOutput to each sequence, or set its `error` when its logits are not numbers.

    What is bound to a form takes the most probable of the tokens that it allows.

    Greedy sequences take the most probable token; the others draw one number from their own source and look it up in
    the cumulative distribution of the nucleus (Holtzman et al. 2020), so that company cannot change what they draw.

    Args:
        logits: `[B, V]`, the raw logits of the next token.
        end_ids: Tokens that end an answer.
        suppressed: Tokens that are never written.
    """
    logits = logits.float()  # [B, V]
    if suppressed:
        logits = logits.index_fill(-1, torch.tensor(suppressed, device=logits.device), -torch.inf)
    whole = logits.logsumexp(-1, keepdim=True)  # [B, 1], finite only where all logits are numbers
    allowed = without_forbidden(logits, sequences)  # [B, V]
    chosen = allowed.argmax(-1, keepdim=True)  # [B, 1]
    if any(sequence.temperature > 0 or sequence.constraint for sequence in sequences):
        for index, finite in enumerate(whole.isfinite().flatten().tolist()):
            if finite:
                chosen[index] = _choose(allowed[index], sequences[index], chosen[index], end_ids)
    own = (logits.gather(-1, chosen) - whole).exp()  # [B, 1]
    top = logits.topk(min(TOP, logits.shape[-1]))
    # One transfer from the device for all that is needed; double holds the ids exactly.
    columns = [whole, chosen, own, top.indices, (top.values - whole).exp()]
    table = torch.cat([column.double() for column in columns], dim=-1).tolist()
    for sequence, (total, chosen_id, probability, *rest) in zip(sequences, table, strict=True):
        if not math.isfinite(total):
            sequence.error = EngineError("The model gave no valid numbers for this request.")
            continue
        half = len(rest) // 2
        best = [(int(id), p) for id, p in zip(rest[:half], rest[half:], strict=True)]
        id = int(chosen_id)
        if all(id != other for other, _ in best):
            best[-1] = (id, probability)
        if sequence.constraint:
            sequence.constraint.advance(id)
        sequence.outputs.append(TokenOutput(id, probability, best, id in end_ids))


def without_forbidden(logits: torch.Tensor, sequences: list[TokenSequence]) -> torch.Tensor:
    """The logits `[B, V]` without the tokens that a sequence must not write next."""
    forbidden = {index: ids for index, sequence in enumerate(sequences) if (ids := forbidden_next(sequence))}
    if forbidden:
        logits = logits.clone()
        for index, ids in forbidden.items():
            logits[index, ids] = -torch.inf
    return logits


def forbidden_next(sequence: TokenSequence) -> list[int]:
    """The tokens that must not begin the answer, or would repeat `no_repeat_ngram_size` tokens in a row that already
    stand there."""
    if not sequence.outputs:
        return list(sequence.prompt.begin_suppress_tokens)
    size = sequence.no_repeat_ngram_size
    if not 0 < size <= len(sequence.outputs):
        return []
    ids = [output.id for output in sequence.outputs]
    last = ids[len(ids) - size + 1 :]
    return [ids[end] for end in range(size - 1, len(ids)) if ids[end - size + 1 : end] == last]


def _choose(logits: torch.Tensor, sequence: TokenSequence, best: torch.Tensor, end_ids: set[int]) -> torch.Tensor:
    """One token id `[1]` for `logits` `[V]`, of which `best` is the most probable."""
    if sequence.constraint:
        allowed = torch.tensor(sequence.constraint.allowed(end_ids), device=logits.device)
        logits = torch.full_like(logits, -torch.inf).index_copy_(0, allowed, logits[allowed])
        best = logits.argmax(keepdim=True)
    return best if sequence.temperature <= 0 else _draw(logits, sequence)[None]


def _draw(logits: torch.Tensor, sequence: TokenSequence) -> torch.Tensor:
    """One token id for `logits` `[V]` with the sequence's temperature, top-p and source of chance."""
    probabilities = (logits / max(sequence.temperature, 1e-3)).softmax(-1)
    best, ids = probabilities.topk(min(NUCLEUS, len(probabilities)))
    if best.sum() < sequence.top_p:
        best, ids = probabilities.sort(descending=True)
    cumulative = best.cumsum(-1)
    kept = cumulative - best < sequence.top_p  # the smallest set that holds top_p, at least one token
    cumulative = cumulative[kept]
    index = torch.searchsorted(cumulative, sequence.random.random() * cumulative[-1], right=True)
    return ids[index.clamp(max=len(cumulative) - 1)]
