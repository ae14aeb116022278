"""What a model takes, known before any of its weights are brought here or read: disk, memory, packages."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlm_demo import memory
from vlm_demo.dialects import Dialect, dialect_of
from vlm_demo.results import EngineError, size
from vlm_demo.runners.device import choose_device, choose_dtype
from vlm_demo.runners.transformers_private import image_text_to_text_names
from vlm_demo.runners.trouble import explain_source, install_command, needs_code, no_config, no_weights, unsupported

# What a model is made of; other files beside it (images, other formats, other frameworks) are left where they are.
SUFFIXES = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".safetensors")
DUPLICATES = "consolidated"  # how some repositories call the same weights for another library
TIMEOUT = 10.0  # seconds for the Hub to answer
SPARE = 2_000_000_000  # bytes of the disk that no download takes: uploads, logs and the system need some, too
HALF = ("bfloat16", "float16")


@dataclass(frozen=True)
class Needs:
    """What a folder or Hub name takes.

    `disk` counts the bytes of all its `files`, `download` those of them that are not on this machine, `memory` about
    those of the weights once they are loaded. `missing` are packages that have to be installed first. `dialect` is
    None for our own class, `revision` the Hub's commit.
    """

    source: str
    files: tuple[str, ...]
    disk: int
    download: int
    parameters: int
    memory: int
    missing: tuple[str, ...] = ()
    dialect: Dialect | None = None
    revision: str | None = None

    def __str__(self) -> str:
        """A sentence for people."""
        parts = [f"{self.parameters / 1e6:,.0f} M parameters"] if self.parameters else []
        parts.append(f"{size(self.download)} to download" if self.download else f"{size(self.disk)} on this machine")
        return f"{', '.join(parts)}, about {size(self.memory)} of memory."

    def check(self, device: str) -> None:
        """Raise EngineError where a package, the disk or the memory is too short for the model to be loaded now."""
        if self.missing:
            commands = " and ".join(install_command(package) for package in self.missing)
            raise EngineError(f"{self.source} needs what is not installed. Install it and start again: {commands}")
        free = max(0, shutil.disk_usage(_existing(hub_cache())).free - SPARE)
        if self.download > free:
            raise EngineError(
                f"{self.source} takes {size(self.download)} on the disk, where {size(free)} are to spare."
            )
        available = _available(device)
        if available is not None and self.memory > available:
            raise EngineError(
                f"{self.source} takes about {size(self.memory)} of memory, and {size(available)} are free. "
                "Choose a smaller model, or free memory first."
            )


@dataclass(frozen=True)
class _Parts:
    """What lies in a folder or repository: bytes by file name, those files that are `here`, and what they say."""

    sizes: dict[str, int]
    here: set[str]
    config: dict[str, Any]
    parameters: int
    revision: str | None = None


def look_up(source: str, device: str = "auto", dtype: str = "auto") -> Needs:
    """What a folder or Hub name takes; raises EngineError where it is no model that could be opened."""
    try:
        parts = _folder(Path(source)) if Path(source).is_dir() else _repository(source)
        dialect = _dialect(parts.config, source)
    except Exception as error:  # whatever the Hub, the network or a broken file raises
        raise explain_source(error, source) from error
    weights = sum(bytes for name, bytes in parts.sizes.items() if name.endswith(".safetensors"))
    if not weights:
        raise no_weights(source)
    packages = dialect.packages if dialect else ()
    return Needs(
        source=source,
        files=tuple(sorted(parts.sizes)),
        disk=sum(parts.sizes.values()),
        download=sum(bytes for name, bytes in parts.sizes.items() if name not in parts.here),
        parameters=parts.parameters,
        memory=parts.parameters * _bytes_each(device, dtype) or weights,
        missing=tuple(package for package in packages if importlib.util.find_spec(package) is None),
        dialect=dialect,
        revision=parts.revision,
    )


def check_there(source: str) -> None:
    """Raise EngineError where a Hub name is neither on this machine nor to be had now: opening it would first try again
    and again to reach the Hub."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        if not Path(source).is_dir() and not isinstance(try_to_load_from_cache(source, "config.json"), str):
            HfApi().model_info(source, timeout=TIMEOUT)
    except Exception as error:  # whatever the Hub or the network raises
        raise explain_source(error, source) from error


def hub_cache() -> Path:
    """Where models from the Hub lie on this machine."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _folder(folder: Path) -> _Parts:
    from huggingface_hub import parse_local_safetensors_file_metadata

    sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file() and _is_part(file.name)}
    if "config.json" not in sizes:
        raise no_config(str(folder))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    counts = [
        parse_local_safetensors_file_metadata(folder / name).parameter_count
        for name in sizes
        if name.endswith(".safetensors")
    ]
    return _Parts(sizes, set(sizes), config, sum(sum(count.values()) for count in counts))


def _repository(source: str) -> _Parts:
    import httpx2
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import OfflineModeIsEnabled

    api = HfApi()
    try:
        info = api.model_info(source, files_metadata=True, timeout=TIMEOUT)
    except (httpx2.TransportError, OfflineModeIsEnabled):  # without a network, what was brought here before will do
        folder = Path(snapshot_download(source, local_files_only=True))
        return replace(_folder(folder), revision=folder.name)
    if info.gated:
        api.auth_check(source)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if _is_part(file.rfilename)}
    if "config.json" not in sizes:
        raise no_config(source)
    # By the branch's name, so that it is found by that where there is no network later.
    config = json.loads(Path(hf_hub_download(source, "config.json")).read_text(encoding="utf-8"))
    here = {name for name in sizes if isinstance(try_to_load_from_cache(source, name, revision=info.sha), str)}
    return _Parts(sizes, here, config, info.safetensors.total if info.safetensors else 0, info.sha)


def _is_part(name: str) -> bool:
    return "/" not in name and name.endswith(SUFFIXES) and not name.startswith(DUPLICATES)


def _dialect(config: dict[str, Any], source: str) -> Dialect | None:
    """The dialect of a config, None for our own class; raises EngineError for what cannot be opened here."""
    kind = config.get("model_type", "")
    architecture = (config.get("architectures") or [""])[0]
    if kind == "minivlm":
        return None
    dialect = dialect_of(kind, architecture)
    if kind not in image_text_to_text_names() and architecture not in dialect.model_types:
        raise needs_code(source) if "auto_map" in config else unsupported(kind)
    return dialect


def _bytes_each(device: str, dtype: str) -> int:
    """Bytes of a parameter while a model is loaded; integers are made of float32."""
    chosen = choose_dtype(dtype, choose_device(device), shape=None)
    return 2 if chosen in HALF else 4


def _available(device: str) -> int | None:
    """Bytes free for a model; None where nobody knows."""
    chosen = choose_device(device)
    if chosen.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(chosen)[0]
    return memory.available() if chosen == "cpu" else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return folder if folder.exists() else _existing(folder.parent)
