"""The models of this process: `get_engine()` gives the engine, behind which stand queue, scheduler and models.

Importing this package loads neither torch nor a model.
"""

from vlm_demo.backends.base import Generation
from vlm_demo.engine.engine import ICONS, PHOTOGRAPHS, Engine, get_engine
from vlm_demo.results import (
    EngineError,
    Message,
    Novelty,
    Position,
    QueueFull,
    Request,
    Result,
    SamplingParameters,
    Status,
    Timings,
    Token,
    Visitor,
)

__all__ = [
    "ICONS",
    "PHOTOGRAPHS",
    "Engine",
    "EngineError",
    "Generation",
    "Message",
    "Novelty",
    "Position",
    "QueueFull",
    "Request",
    "Result",
    "SamplingParameters",
    "Status",
    "Timings",
    "Token",
    "Visitor",
    "get_engine",
]
