"""What went wrong with a server, in plain words, and what to make of it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled, TextGenerationError

from vlm_demo.results import EngineError

# What a connection, a server's refusal, or an answer that is none can raise.
EXPECTED = (
    httpx2.HTTPError,
    httpx2.StreamError,
    HfHubHTTPError,
    InferenceTimeoutError,
    OfflineModeIsEnabled,
    TextGenerationError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
)
MAX_WORDS = 300  # characters of a server's own message
MAX_DELAY = 10.0  # seconds that a server may ask us to wait


@dataclass(frozen=True)
class Trouble:
    """The words for people; whether to ask `again`, after how many seconds if the server said so; whether the server
    is to be left out; and its own message."""

    words: EngineError
    again: bool = False
    after: float | None = None
    dead: bool = False
    message: str = ""


class BrokenOff(ValueError):
    """An answer ended without saying that it ended."""


def understand(error: Exception, name: str, key: str) -> Trouble:
    """What an EXPECTED error means; `name` is what people call the server, and `key`, if there is one, must not be seen
    by anybody."""
    if isinstance(error, OfflineModeIsEnabled):
        return Trouble(EngineError(f"{name} cannot be asked while HF_HUB_OFFLINE is set. Start again without it."))
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return _refusal(error.response, name, key)
    if isinstance(error, InferenceTimeoutError | httpx2.TimeoutException):
        if isinstance(error, httpx2.ConnectTimeout) or isinstance(error.__cause__, httpx2.ConnectTimeout):
            return Trouble(EngineError(f"{name} cannot be reached. Please try again soon."), again=True, dead=True)
        return Trouble(EngineError(f"{name} took too long to answer. Please try again, or ask for less."))
    if isinstance(error, TextGenerationError):
        message = _message_of(error.args[0] if error.args else "", key)
        return Trouble(EngineError(f"{name} could not answer: {message}"), again=True, message=message)
    if isinstance(error, BrokenOff):
        return Trouble(EngineError(f"{name} broke off its answer. Please ask again."), again=True)
    if isinstance(error, httpx2.HTTPError | httpx2.StreamError):
        return Trouble(EngineError(f"{name} cannot be reached. Please try again soon."), again=True, dead=True)
    return Trouble(EngineError(f"{name} sent something that is no answer. Please ask again."), again=True)


def _refusal(response: httpx2.Response, name: str, key: str) -> Trouble:
    """A status that is not 200."""
    try:
        message = _message_of(response.json(), key)
    except (ValueError, httpx2.StreamError):
        message = ""
    status = response.status_code
    reason = f": {message}" if message else f" (status {status})."
    if status in (401, 403):
        return Trouble(EngineError(f"{name} refuses our key. The owner of this page has to set another one."))
    if status == 429:
        words = EngineError(f"{name} has too much to do. Please try again soon.")
        return Trouble(words, again=True, after=_delay(response), message=message)
    if status >= 500:
        words = EngineError(f"{name} failed{reason}")
        return Trouble(words, again=True, after=_delay(response), dead=status in (502, 503, 504), message=message)
    return Trouble(EngineError(f"{name} refuses this request{reason}"), message=message)


def _message_of(payload: object, key: str) -> str:
    """The message in an error as OpenAI, vLLM, FastAPI or TGI send it, on one line, without the key."""
    while isinstance(payload, dict):
        payload = payload.get("error") or payload.get("message") or payload.get("detail") or ""
    if isinstance(payload, list):  # of FastAPI: what is wrong with each field
        payload = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in payload)
    message = " ".join((str(payload).replace(key, "***") if key else str(payload)).split())
    return message if len(message) <= MAX_WORDS else f"{message[: MAX_WORDS - 1]}…"


def _delay(response: httpx2.Response) -> float | None:
    try:
        return min(max(float(response.headers["retry-after"]), 0.0), MAX_DELAY)
    except (KeyError, ValueError):
        return None
