"""Questions as people ask them in their own words, with their true answers: many wordings of many kinds.

`vlm_demo.scenes.questions` holds the plain ones, with which quality is measured. `everyday(scene, seed)` is about one
scene; `across` has those about several, `named` words that pick things out.
"""

import random

from ..asking import QA
from ..objects import Layout
from . import neighbours, places, surroundings, things

MAKERS = (
    things.counts,
    things.colors,
    things.existence,
    things.listing,
    things.portraits,
    places.where,
    places.fields,
    places.extremes,
    neighbours.relations,
    surroundings.settings,
    surroundings.unknowable,
)


def everyday(scene: Layout, seed: int) -> list[QA]:
    """True questions of every everyday kind that the scene allows; `seed` varies wording and choice."""
    rng = random.Random(f"everyday {seed}")
    return [qa for maker in MAKERS for qa in maker(scene, rng)]
