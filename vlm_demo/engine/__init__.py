"""The model of this process: `get_engine()` gives the engine, behind which stand queue, scheduler and model.

Importing this package loads neither torch nor a model.
"""

from vlm_demo.engine.engine import BUNDLED, Engine, get_engine
from vlm_demo.engine.generation import Generation
from vlm_demo.results import (
    EngineError,
    Novelty,
    Position,
    QueueFull,
    Result,
    SamplingParameters,
    Status,
    Timings,
    Token,
)

__all__ = [
    "BUNDLED",
    "Engine",
    "EngineError",
    "Generation",
    "Novelty",
    "Position",
    "QueueFull",
    "Result",
    "SamplingParameters",
    "Status",
    "Timings",
    "Token",
    "get_engine",
]
