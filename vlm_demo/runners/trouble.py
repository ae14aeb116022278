"""Why a model could not be opened, in words that say what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vlm_demo.results import EngineError, is_out_of_memory

# Packages that some families need beside ours; torchvision has to fit the torch that is installed.
PACKAGES = ("torchvision", "num2words", "sentencepiece", "tiktoken", "protobuf", "timm", "einops")


def explain_source(error: BaseException, source: str) -> EngineError:
    """What transformers or the Hub said about `source` (a folder or a Hub name), as words for people."""
    if isinstance(error, EngineError):
        return error
    import httpx2
    from huggingface_hub import errors as hub

    chain = list(_causes(error))
    words = " ".join(str(one) for one in chain)

    def any_is(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in chain)

    if any_is(hub.GatedRepoError):
        return EngineError(
            f"{source} is gated: accept its terms at https://huggingface.co/{source}, log in with `hf auth login`, "
            "and try again."
        )
    if any_is(hub.RepositoryNotFoundError):
        return EngineError(
            f"The Hub has no model {source}, or it is private. Check the name, or log in with `hf auth login`."
        )
    if any_is(hub.HFValidationError):
        return EngineError(f"{source} is neither a folder on this machine nor the name of a model on the Hub.")
    if any_is(hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, ConnectionError, httpx2.TransportError):
        return EngineError(
            f"{source} is not on this machine, and the Hub cannot be reached. Connect to the network, or name a folder."
        )
    if "trust_remote_code" in words:
        return needs_code(source)
    package = next((package for package in PACKAGES if re.search(rf"\b{package}\b", words, re.IGNORECASE)), None)
    if package:
        command = install_command(package)
        return EngineError(f"{source} needs a package that is missing. Install it and start again: {command}")
    if re.search(r"(?<!\w)config\.json", words):
        return no_config(source)
    if "safetensors" in words:
        return no_weights(source)
    if any(is_out_of_memory(one) for one in chain):
        return EngineError(f"{source} does not fit into the memory. Choose a smaller model, or free memory first.")
    return EngineError(f"{source} could not be opened: {error}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def needs_code(source: str) -> EngineError:
    """A model that brings code."""
    return EngineError(
        f"{source} needs code of its own, which is not run here. Choose a model that transformers knows."
    )


def no_config(source: str) -> EngineError:
    """A folder or repository that is no model."""
    return EngineError(f"{source} holds no model that transformers could open: it has no config.json.")


def no_weights(source: str) -> EngineError:
    """A model in files that are not opened."""
    return EngineError(f"{source} has no weights as safetensors; other files could run code and are not opened.")


def unsupported(model_type: str) -> EngineError:
    """A model of another kind."""
    return EngineError(f"A model of the type {model_type} does not write text about images. Choose another one.")


def install_command(package: str) -> str:
    """How a package is installed."""
    if package != "torchvision":
        return f"pip install {package}"
    import torch

    return f"pip install torchvision torch=={torch.__version__.partition('+')[0]}"
