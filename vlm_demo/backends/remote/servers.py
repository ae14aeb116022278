"""The servers behind one name: their addresses and key, the model they have, and how they are spoken to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.utils import get_async_session, get_session, hf_raise_for_status

from vlm_demo.backends.remote.huggingface_hub_private import inference_client
from vlm_demo.backends.remote.reader import Reader
from vlm_demo.backends.remote.replicas import Replica, Replicas
from vlm_demo.backends.remote.trouble import EXPECTED, Trouble, understand
from vlm_demo.results import EngineError

NO_KEY = "-"  # without any key, huggingface_hub would send the one it keeps for the Hub
PROBE = 5.0  # seconds in which a server has to say which models it has, to count as alive


class Servers:
    """One or several servers that have the same model. May be used from any thread."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        model: str | None,
        key_variable: str,
        connect_seconds: float,
        read_seconds: float,
        probe_seconds: float,
    ) -> None:
        """See RemoteBackend."""
        self.name = name
        bases = [url.rstrip("/").removesuffix("/v1") + "/v1" for url in urls]
        self.replicas = Replicas(name, bases, self.answers, probe_seconds)
        self.reader = Reader(f"answers of {name}")
        self.refused: set[str] = set()  # parameters that they do not know
        self._http: httpx2.AsyncClient | None = None  # the reader's
        self.model = model  # as the servers call it, None until it is known
        self._key_variable = key_variable
        # huggingface_hub holds at most a hundred connections; more answers wait for one of them, however long it takes.
        self._timeout = httpx2.Timeout(read_seconds, connect=connect_seconds, pool=None)

    def client(self, replica: Replica) -> AsyncInferenceClient:
        """A client for one request, which only the reader uses."""
        if self._http is None:
            self._http = get_async_session()
            self._http.event_hooks["response"].append(_read_refusal)
        return inference_client(self._http, base_url=replica.url, api_key=self._key, timeout=self._timeout)

    def model_on(self, replica: Replica) -> str:
        """What the servers call the model; asks a server where that is not known yet."""
        if self.model is None:
            models = self._list(replica.url)
            if not models:
                raise EngineError(f"{self.name} has no model.")
            self.model = models[0]
        return self.model

    def models(self) -> list[str]:
        """The names of the models that the servers have; raises EngineError when none of them tells."""
        for _ in self.replicas.all:
            with self.replicas.borrow() as replica:
                try:
                    return self._list(replica.url)
                except EXPECTED as error:
                    trouble = self.understand(error)
            if trouble.dead:
                self.replicas.leave_out(replica)
        raise trouble.words

    def answers(self, url: str) -> bool:
        """Whether a server is there at all, be it that it keeps no list of models or wants another key."""
        try:
            return self._get_models(url, PROBE).status_code < 500
        except EXPECTED:
            return False

    def understand(self, error: Exception) -> Trouble:
        """What an EXPECTED error means, without the key."""
        return understand(error, self.name, os.environ.get(self._key_variable, ""))

    @property
    def _key(self) -> str:
        return os.environ.get(self._key_variable) or NO_KEY

    def _list(self, url: str) -> list[str]:
        response = self._get_models(url, self._timeout)
        hf_raise_for_status(response)
        return [str(model["id"]) for model in response.json()["data"]]

    def _get_models(self, url: str, timeout: Any) -> httpx2.Response:
        return get_session().get(f"{url}/models", headers={"Authorization": f"Bearer {self._key}"}, timeout=timeout)

    def close(self) -> None:
        """Read no more, and ask no more whether dead servers are back."""
        self.reader.close()
        self.replicas.close()


async def _read_refusal(response: httpx2.Response) -> None:
    """A refusal is read whole, for it says why; huggingface_hub does that only where its length is told."""
    if response.is_error:
        await response.aread()
