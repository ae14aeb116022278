"""The decode step with static shapes, recorded once and replayed: on a GPU, starting its hundreds of small kernels one
by one would take longer than they do (CUDA graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from vlm_demo.runners.llama import BLOCK, BatchedLlama, KeyValues

Pass = Callable[[], torch.Tensor]


def cuda_graph(function: Pass) -> Pass:
    """Record what `function` does on the GPU; the result does it again on the same memory, whatever it holds then."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        function()  # kernels are chosen and workspaces allocated outside the recording
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = function()

    def replay() -> torch.Tensor:
        graph.replay()
        return output

    return replay


@dataclass(frozen=True)
class Recording:
    """One recorded step, its inputs `[B]`, and the memory that it was recorded on, which it keeps alive."""

    ids: torch.Tensor
    starts: torch.Tensor
    memory: tuple[torch.Tensor, ...]
    replay: Pass


class GraphedStep:
    """One token for the sequences in the first slots of a buffer.

    Rows and positions are rounded up to powers of two, so that few recordings serve all. Rows that nobody asked for sit
    in free slots and write to their first position, which the next prompt overwrites.
    """

    def __init__(self, llama: BatchedLlama, record: Callable[[Pass], Pass] = cuda_graph) -> None:
        self.llama, self.record = llama, record
        self.recordings: dict[tuple[int, int], Recording] = {}

    def __call__(self, ids: list[int], starts: list[int], buffer: KeyValues) -> torch.Tensor:
        """Logits `[B, V]` behind one more token of each sequence; `starts` tells how many positions its slot holds."""
        sequences, longest = _round_up(len(ids)), max(BLOCK, _round_up(max(starts) + 1))
        buffer.reserve(sequences, longest)
        self.llama.reach(longest)
        recording = self.recordings.get((sequences, longest))
        if recording is None or recording.memory[0] is not buffer.data:
            # What was recorded on a buffer that has moved is of no use any more.
            self.recordings = {key: one for key, one in self.recordings.items() if one.memory[0] is buffer.data}
            recording = self.recordings[sequences, longest] = self._record(sequences, longest, buffer)
        spare = [0] * (sequences - len(ids))
        recording.ids.copy_(torch.tensor(ids + spare))
        recording.starts.copy_(torch.tensor(starts + spare))
        return recording.replay()[: len(ids)]

    def _record(self, sequences: int, longest: int, buffer: KeyValues) -> Recording:
        ids = torch.zeros(sequences, dtype=torch.long, device=buffer.data.device)
        # At the last position while it is recorded: that is free, or is written again by the very step that follows.
        starts = torch.full_like(ids, longest - 1)

        def step() -> torch.Tensor:
            x = torch.nn.functional.embedding(ids[:, None], self.llama.embedding)  # [B, 1, D]
            return self.llama.logits(self.llama.run(x, buffer, 0, starts[:, None], longest)[:, 0])  # [B, V]

        return Recording(ids, starts, (buffer.data, self.llama.rotations), self.record(step))


def _round_up(count: int) -> int:
    """The next power of two."""
    return 1 << (count - 1).bit_length()
