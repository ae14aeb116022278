"""What a page on a ZeroGPU Space does, as JSON: python visit.py CHECKPOINT"""

import asyncio
import json
import sys
import threading

from PIL import Image

from vlm_demo.engine import Engine
from vlm_demo.results import EngineError, Message, Request, SamplingParameters

engine = Engine(sys.argv[1], dtype="float32")
engine.load()
image = Image.new("RGB", (90, 60), (200, 30, 30))


async def followed() -> list[str]:
    request = Request("caption", (Message("user", (image, "brief")),), SamplingParameters(max_new_tokens=6))
    return [state.text async for state in engine.stream(request).updates()]


running = engine.caption_stream(image, settings=SamplingParameters(max_new_tokens=200))
texts = []
for state in running:
    texts.append(state.text)
    if len(texts) == 4:
        running.cancel()
cancelled = running.result()
try:
    engine.answer(image, "why " * 5000)
    refused = ""
except EngineError as error:
    refused = str(error)
print(
    json.dumps(
        {
            "caption": engine.caption(image, settings=SamplingParameters(max_new_tokens=6)).text,
            "boxes": engine.detect(image).parsed is not None,
            "followed": asyncio.run(followed()),
            "cancelled": [cancelled.finish_reason, cancelled.new_tokens],
            "refused": refused,
            "threads": [thread.name for thread in threading.enumerate()],
            "loaded_here": engine.runner is not None,
        }
    )
)
