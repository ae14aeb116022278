"""Where and when a photograph was taken, as far as its captions and objects tell."""

import re
from dataclasses import dataclass

from train.photographs.conversations import Seen

# A place, and how an answer names it.
OUTDOORS = {
    "beach": "on a beach", "street": "on a street", "field": "in a field", "park": "in a park", "road": "on a road",
    "sidewalk": "on a sidewalk", "forest": "in a forest", "lake": "on a lake", "river": "by a river",
    "ocean": "in the ocean", "mountain": "in the mountains", "ski slope": "on a ski slope", "yard": "in a yard",
    "garden": "in a garden", "farm": "on a farm", "harbor": "in a harbor", "parking lot": "in a parking lot",
    "baseball field": "on a baseball field", "tennis court": "on a tennis court", "skate park": "in a skate park",
    "airport": "at an airport", "desert": "in a desert", "city": "in a city", "playground": "on a playground",
    "zoo": "in a zoo", "swimming pool": "in a swimming pool",
}  # fmt: skip
INDOORS = {
    "kitchen": "in a kitchen", "bathroom": "in a bathroom", "bedroom": "in a bedroom",
    "living room": "in a living room", "dining room": "in a dining room", "office": "in an office",
    "restaurant": "in a restaurant", "store": "in a store", "classroom": "in a classroom", "bar": "in a bar",
    "museum": "in a museum", "gym": "in a gym", "bakery": "in a bakery", "library": "in a library",
}  # fmt: skip
PLACES = OUTDOORS | INDOORS
# Other words that a caption has for a place.
ALSO = {
    "beach": "shore|sandy", "street": "streets", "ocean": "sea|waves?", "ski slope": "slopes?|skiing|snowboarding",
    "baseball field": "baseball game|batter|umpire", "tennis court": "tennis", "forest": "woods", "road": "highway",
    "mountain": "mountains?|mountainside", "field": "fields|pasture|meadow", "yard": "backyard|lawn",
    "office": "cubicle", "store": "shop|supermarket|market", "skate park": "skatepark|half ?pipe",
    "airport": "runway|tarmac", "harbor": "marina|docked", "swimming pool": "pool", "living room": "livingroom",
    "bathroom": "restroom|toilets?", "restaurant": "cafe|diner",
}  # fmt: skip
OUTSIDE = re.compile(
    r"\b(outside|outdoors?|sky|snow|snowy|grass|grassy|trees?|hill|water|sand|sunny|traffic|sidewalk|hillside|surf\w*|"
    r"skateboard\w*|skiing|skiers?|giraffes?|zebras?|elephants?|cliffs?|dirt|trail|rocks?|motorcycles?|kites?)\b"
)
INSIDE = re.compile(
    r"\b(inside|indoors?|couch|sofa|bed|desk|counter|stove|oven|sink|refrigerator|toilet|rug|carpet|laptop|"
    r"computer|room|ceiling|curtains?|shelf|shelves|microwave)\b"
)
OUT_LABELS = {"traffic light", "fire hydrant", "stop sign", "parking meter", "airplane", "elephant", "zebra", "giraffe",
              "skis", "snowboard", "surfboard", "kite"}  # fmt: skip
IN_LABELS = {"toilet", "bed", "couch", "oven", "refrigerator", "sink", "microwave", "toaster", "tv", "keyboard"}
NIGHT = re.compile(r"\b(night|nighttime|at dark|dark street|dark sky)\b")
WEATHER = {
    "snow(?!board)|snowy|blizzard": "snowy", "rain|rainy|raining": "rainy", "sunny|blue sky|sunshine": "sunny",
    "cloudy|overcast|cloud filled": "cloudy",
}  # fmt: skip
SPORTS = {
    "baseball|batter": "baseball", "tennis": "tennis", "skateboard": "skateboarding", "surf(ing|er|board)": "surfing",
    "ski(s|ing|er|ers)?\\b": "skiing", "snowboard": "snowboarding", "soccer": "soccer", "basketball": "basketball",
    "frisbee": "frisbee", "football": "football", "hockey": "hockey", "volleyball": "volleyball", "golf": "golf",
    "(bicycle|bike) race|cyclists": "cycling", "rugby": "rugby",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """`place` (name, how an answer names it), all places that are `mentioned`; None where nothing tells."""

    outdoors: bool | None
    place: tuple[str, str] | None
    mentioned: frozenset[str]
    night: bool
    weather: str | None


def setting(seen: Seen) -> Setting:
    """What captions and objects say of where and when."""
    captions = [text.lower() for text in seen.photo.captions]
    text = " ".join(captions)
    counts = {name: sum(bool(_of(name).search(one)) for one in captions) for name in PLACES}
    mentioned = frozenset(name for name, n in counts.items() if n)
    labels = {label for label, _ in seen.boxes()}
    out = len(OUTSIDE.findall(text)) + sum(counts[name] for name in OUTDOORS) + 2 * len(labels & OUT_LABELS)
    into = len(INSIDE.findall(text)) + sum(counts[name] for name in INDOORS) + 2 * len(labels & IN_LABELS)
    outdoors = True if out >= 3 and not into else False if into >= 3 and not out else None
    # What two captions name, the longer name first: a baseball field is more than a field.
    sure = [name for name in PLACES if counts[name] >= 2]
    best = max(sure, key=lambda name: (counts[name], len(name)), default=None)
    kinds = [kind for pattern, kind in WEATHER.items() if re.search(rf"\b({pattern})\b", text)]
    return Setting(
        outdoors,
        (best, PLACES[best]) if best else None,
        mentioned,
        bool(NIGHT.search(text)),
        kinds[0] if len(kinds) == 1 and outdoors else None,
    )


def _of(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(filter(None, (name, ALSO.get(name))))})\b")
