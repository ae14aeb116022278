"""The models that a request may name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from vlm_demo.backends.base import Backend, Generation
from vlm_demo.backends.local import LocalBackend
from vlm_demo.engine.zerogpu import ZeroGpuBackend, on_zero_gpu
from vlm_demo.results import EngineError
from vlm_demo.runners.base import ModelRunner
from vlm_demo.runners.choose import open_runner
from vlm_demo.runners.untrained import UNTRAINED


class Models:
    """Backends by name, in the order in which they came, and the untrained selves of those where someone has asked for
    them. `device` and `dtype` are those of models of this process, whose requests go to `submit`."""

    def __init__(self, device: str, dtype: str, submit: Callable[..., Generation]) -> None:
        self.device, self.dtype = device, dtype
        self._submit = submit
        self._backends: dict[str, Backend] = {}
        self._untrained: dict[str, Backend] = {}

    @property
    def names(self) -> list[str]:
        """The names that a request may carry."""
        return list(self._backends)

    def __contains__(self, name: str) -> bool:
        return name in self._backends

    def __iter__(self) -> Iterator[Backend]:
        return iter([*self._backends.values(), *self._untrained.values()])

    def new_runner(self, model: str) -> ModelRunner:
        """What writes for a model of this process, not loaded yet."""
        return open_runner(model, self.device, self.dtype)

    def add(self, model: str | Path, runner: ModelRunner | None = None) -> str:
        """Add a model unless it is there; returns the name by which requests call it."""
        name = str(model)
        if "=http" in name:  # a server, of which nobody but the owner shall see the address
            from vlm_demo.backends.remote import open_remote

            remote = open_remote(name)
            self._backends.setdefault(remote.name, remote)
            return remote.name
        if name not in self._backends and runner is None and on_zero_gpu():
            self._backends[name] = ZeroGpuBackend(name, self.dtype)
        elif name not in self._backends:
            self._backends[name] = LocalBackend(runner or self.new_runner(name), self._submit)
        return name

    def remove(self, name: str) -> None:
        """Forget a model."""
        del self._backends[name]

    def find(self, name: str) -> Backend:
        """A model by the name that it was added under, or by the one that people see; raises EngineError for others."""
        backend = self._backends.get(name) or self._untrained.get(name)
        if backend is not None:
            return backend
        shown = {short(key): key for key in self._backends}
        trained = name.removesuffix(UNTRAINED)
        key = trained if trained in self._backends else shown.get(trained)
        if key is not None and trained == name:
            return self._backends[key]
        if key is not None and self.untrained(key) is not None:
            twin = LocalBackend(runner_of(self._backends[key]).untrained(), self._submit)
            return self._untrained.setdefault(f"{key}{UNTRAINED}", twin)
        raise EngineError(f"There is no model {name!r} here; choose one of {', '.join(shown)}.")

    def untrained(self, name: str) -> str | None:
        """The name of a model's architecture with random weights, which is made on first use; None where there is none,
        as of a server's model."""
        make = getattr(runner_of(self.find(name)), "untrained", None)
        return None if make is None or name.endswith(UNTRAINED) else f"{name}{UNTRAINED}"


def short(model: str) -> str:
    """A model's name for people: of a folder, the last part of its path, which nobody else need know."""
    return Path(model).name if os.sep in model and Path(model).is_dir() else model


def runner_of(backend: Backend) -> ModelRunner | None:
    """What writes in this process for a backend, if anything does."""
    return backend.runner if isinstance(backend, LocalBackend) else None
