"""Which models are in memory."""

from __future__ import annotations

from collections.abc import Collection

from vlm_demo.runners.base import ModelRunner


class Residents:
    """The loaded models, kept within a budget: the least recently used ones go first. The worker thread's
    alone, but `fits` may be asked from any thread.

    A model's size is known once it has been loaded. One model is loaded even where it is larger than the budget.
    """

    def __init__(self, budget: int) -> None:
        """`budget`: bytes for all models together."""
        self.budget = budget
        self._sizes: dict[ModelRunner, int] = {}  # bytes after loading, in the order of last use

    def fits(self, runner: ModelRunner, busy: Collection[ModelRunner]) -> bool:
        """Whether a model may be in memory now, without any of the `busy` ones having to go."""
        kept = sum(self._size(one) for one in busy if one is not runner)
        return runner.loaded or not kept or kept + self._size(runner) <= self.budget

    def load(self, runner: ModelRunner, busy: Collection[ModelRunner] = ()) -> None:
        """Load a model unless it is there, and unload others that are not busy until all fit."""
        if not runner.loaded:
            self.make_room(self._size(runner), {runner, *busy})
            runner.load()
            self.adopt(runner, busy)
        self._sizes[runner] = self._sizes.pop(runner, 0)

    def make_room(self, size: int, busy: Collection[ModelRunner] = ()) -> None:
        """Unload models that are not busy until another one of so many bytes fits."""
        self._shrink(self.budget - size, busy)

    def adopt(self, runner: ModelRunner, busy: Collection[ModelRunner] = ()) -> None:
        """Count a model that has been loaded, and unload others that are not busy until all fit."""
        self._sizes[runner] = runner.memory()[0]
        self._shrink(self.budget, {runner, *busy})

    def unload(self) -> None:
        """Unload all models."""
        for runner in list(self._sizes):
            runner.unload()

    def _size(self, runner: ModelRunner) -> int:
        return self._sizes.get(runner, 0)

    def _shrink(self, budget: int, kept: Collection[ModelRunner]) -> None:
        for runner in [runner for runner in self._sizes if runner.loaded and runner not in kept]:
            if sum(size for one, size in self._sizes.items() if one.loaded) <= budget:
                return
            runner.unload()
