"""The words of the photograph model: COCO's 80 classes, what people call them, and the wordings of questions."""

LABELS = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")
# COCO's category ids of the labels above, in the same order; the detector's classes are these ids.
COCO_IDS = [n for n in range(1, 91) if n not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
PLURALS = {
    "person": "people", "bus": "buses", "bench": "benches", "sheep": "sheep", "skis": "skis", "knife": "knives",
    "sandwich": "sandwiches", "broccoli": "broccoli", "couch": "couches", "mouse": "mice", "toothbrush": "toothbrushes",
    "scissors": "scissors", "wine glass": "wine glasses", "tv": "tvs",
}  # fmt: skip
# Other words under which a caption may speak of a class.
SYNONYMS = {
    "person": "people man men woman women boy boys girl girls child children kid kids lady guy guys player players "
    "baby toddler skier surfer skateboarder snowboarder rider cyclist biker crowd someone couple family batter pitcher "
    "catcher passenger pedestrian officer policeman he she him her",
    "bicycle": "bike bikes bicyclist cyclist biking", "car": "vehicle vehicles taxi cab suv automobile traffic",
    "motorcycle": "motorbike motorbikes bike bikes scooter moped biker", "airplane": "plane planes jet jets aircraft",
    "train": "locomotive subway tram trolley", "truck": "trucks pickup vehicle vehicles", "bus": "vehicle vehicles",
    "boat": "ship ships sailboat canoe kayak raft ferry", "traffic light": "light lights signal signals stoplight",
    "fire hydrant": "hydrant", "bird": "seagull duck pigeon parrot owl goose geese flock eagle peacock",
    "cat": "kitten kitty", "dog": "puppy puppies dogs", "horse": "pony horses", "cow": "cattle bull calf ox",
    "sheep": "lamb lambs", "backpack": "bag bags pack", "handbag": "bag bags purse", "tie": "necktie bowtie",
    "suitcase": "luggage bag bags", "skis": "ski skiing skier skiers", "snowboard": "snowboarding snowboarder",
    "sports ball": "ball balls soccer baseball basketball football", "baseball bat": "bat",
    "baseball glove": "glove mitt",
    "skateboard": "skateboarding skateboarder board", "surfboard": "board surfing surfer",
    "tennis racket": "racket racquet",
    "wine glass": "glass glasses wine", "cup": "mug cups glass coffee", "hot dog": "hotdog hotdogs",
    "donut": "doughnut doughnuts",
    "couch": "sofa", "potted plant": "plant plants flowers", "bed": "beds bedroom", "dining table": "table tables",
    "tv": "television televisions screen monitor", "laptop": "computer laptops", "cell phone": "phone phones cellphone",
    "remote": "controller wii wiimote", "oven": "stove", "refrigerator": "fridge", "book": "books bookshelf",
    "teddy bear": "teddy stuffed bear", "bear": "bears teddy", "orange": "oranges fruit", "apple": "apples fruit",
    "banana": "bananas fruit", "hair drier": "dryer hairdryer blowdryer", "kite": "kites parasail",
    "chair": "chairs seat stool",
    "bottle": "bottles", "bowl": "bowls dish", "knife": "knives", "mouse": "mice", "toilet": "toilets bathroom urinal",
    "sink": "sinks bathroom", "clock": "clocks watch tower", "vase": "vases", "cake": "cakes cupcake",
    "frisbee": "disc",
}  # fmt: skip

DESCRIBE = (
    "What do you see?", "Describe the picture.", "Describe this image.", "What is in the picture?",
    "What is happening here?", "What's going on in this photo?", "What does the image show?",
    "Tell me about this picture.", "Can you describe what is shown?", "What is this a picture of?", "Caption this.",
    "Explain the image.", "Describe the picture in one sentence.", "What is shown here?", "Describe it.",
    "Tell me what you see.", "What's in this image?", "Describe this photo briefly.", "What is happening?",
    "What can you see?", "What's happening in the picture?", "Give me a caption.", "Summarize the image.",
)  # fmt: skip
LIST = (
    "List everything.", "What objects are there?", "Which things can be seen?", "List the objects in the image.",
    "Name everything you see.", "What things are in this picture?", "List everything in the picture.",
)  # fmt: skip
PRESENT = (
    "Is there {a} in the image?", "Is there {a} in the picture?", "Is there {a}?", "Can you see {a}?",
    "Do you see {a} here?", "Does the picture show {a}?", "Are there any {many}?",
    "Are there any {many} in this photo?",
    "Is {a} visible?",
)  # fmt: skip
COUNT = (
    "How many {many} are there?", "How many {many} are in the picture?", "How many {many} can you see?",
    "Count the {many}.", "What number of {many} is shown?", "How many {many} do you see in this image?",
)  # fmt: skip
WHERE = (
    "Where is the {one}?", "Where in the picture is the {one}?", "Where can the {one} be seen?",
    "In which part of the image is the {one}?",
)  # fmt: skip
AT = ("What is at {box}?", "What is in the box {box}?", "What do you see at {box}?", "What is this: {box}?")
TRUE = (
    "Is this true: {caption}", "Does this describe the picture: {caption}", "True or false: {caption}",
    "Does the image show this: {caption}",
)  # fmt: skip
WHICH = (
    "Which image shows this: {caption}", "Which image fits: {caption}", "Which picture shows this: {caption}",
    "Which image shows {bare}?", "Which picture is of {bare}?", "In which image is there {bare}?",
)  # fmt: skip
WHICH_LABEL = (
    "Which image shows {a}?", "Which picture shows {a}?", "In which image is there {a}?", "Which image has {a}?",
    "Where is there {a}?",
)  # fmt: skip
NTH = (
    "Describe image {n}.", "Describe the {nth} image.", "What does image {n} show?", "What is in the {nth} picture?",
    "What do you see in image {n}?", "Caption the {nth} image.",
)  # fmt: skip
DIFFER = (
    "What changed?", "What is different?", "What is the difference between them?", "How do the images differ?",
    "What is the difference between the pictures?", "Compare the images.", "Spot the difference.",
)  # fmt: skip
ACROSS = ("What happens across these images?", "Tell the story of these images.", "Describe the images in order.")
NTHS = ("first", "second", "third", "fourth")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NONE = "None of them."
UNKNOWN = "The picture does not show that."


def plural(label: str) -> str:
    """The plural of a label."""
    return PLURALS.get(label, f"{label}s")


def article(label: str) -> str:
    """The label with its article; what has no singular gets "some"."""
    if label in ("skis", "scissors", "broccoli"):
        return f"some {label}"
    return f"{'an' if label[0] in 'aeiou' else 'a'} {label}"


NAMES = {label: {label, plural(label), *SYNONYMS.get(label, "").split()} for label in LABELS}


def mentions(text: str, label: str) -> bool:
    """Whether a text speaks of a class, by any of its names; too often rather than too seldom."""
    padded = f" {''.join(char if char.isalnum() else ' ' for char in text.lower())} "
    return any(f" {name} " in padded for name in NAMES[label])
