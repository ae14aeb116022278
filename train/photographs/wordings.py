"""How people word everyday questions, and the words that their answers are made of; see `everyday.py`."""

KINDS = {
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "vehicle": ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    "food": ("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"),
    "fruit": ("banana", "apple", "orange"),
    "furniture": ("chair", "couch", "bed", "dining table", "bench"),
}
KINDS_PLURAL = {
    "animal": "animals", "vehicle": "vehicles", "food": "food", "fruit": "fruit", "furniture": "furniture",
}  # fmt: skip
# What nobody calls "the thing in the picture".
WHOLES = {"person", "dining table", "bed", "chair"}
ROOMS = ("kitchen", "bathroom", "bedroom", "living room", "dining room", "office", "classroom")
ON_TABLES = {
    "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "vase", "laptop", "book", "cell phone", "scissors",
}  # fmt: skip
CLOTHES = (
    "shirt t-shirt hat cap jacket coat suit tie dress helmet glasses sunglasses shorts jeans uniform jersey vest "
    "sweater hoodie wetsuit scarf costume bikini swimsuit backpack apron kilt skirt goggles bandana robe"
).split()
THINGS = set(
    "bus car truck train motorcycle bike bicycle boat airplane plane cat dog horse cow bird bear umbrella kite frisbee "
    "surfboard skateboard snowboard couch chair bed vase bowl plate cup bottle refrigerator toilet sink wall shirt "
    "hat jacket tie dress hydrant sign clock flower flowers table bench bag suitcase phone laptop house "
    "building van taxi tree ball helmet".split()
)
# Where what somebody holds ends in a caption.
ENDS = (
    "and in on at to with while that next near from by over up out for of into as is are under outside behind beside "
    "around along through above during who which inside off down across against between"
).split()
PRONOUNS = {
    "man": "he", "boy": "he", "guy": "he", "woman": "she", "girl": "she", "lady": "she", "person": "the person",
    "men": "they", "women": "they", "people": "they", "children": "they", "kids": "they", "boys": "they",
    "girls": "they", "child": "the child", "player": "the player", "skier": "the skier", "surfer": "the surfer",
}  # fmt: skip
SOMEBODY = ("he", "she", "the man", "the woman", "the person", "the boy", "the girl", "the child")

WHICH_KIND = (
    "What {kind} is this?", "What {kind} is it?", "Which {kind} is this?", "What {kind} do you see?",
    "What kind of {kind} is this?", "What kind of {kind} is in the picture?", "Which {kind} can you see?",
    "What type of {kind} is shown?", "What {kind} is in the image?", "Name the {kind}.",
)  # fmt: skip
ANY_KIND = (
    "Are there any {kinds}?", "Is there any {kinds}?", "Do you see any {kinds}?", "Can you see {kinds}?",
    "Any {kinds} in the picture?", "Does the picture show {kinds}?",
)  # fmt: skip
ANYONE = (
    "Are there any people?", "Is there anybody in the picture?", "Is anyone there?", "Do you see anyone?",
    "Is somebody in the image?", "Are there people in this photo?", "Can you see a person?", "Is there a human?",
)  # fmt: skip
IS_IT = {
    "outdoors": (
        "Is it outdoors?", "Is this outside?", "Was this taken outdoors?", "Is this an outdoor scene?",
        "Is the photo taken outside?", "Are they outside?",
    ),
    "indoors": (
        "Is it indoors?", "Is this inside?", "Was this taken indoors?", "Is this an indoor scene?",
        "Is the photo taken inside?", "Are they inside?",
    ),
}  # fmt: skip
IN_OR_OUT = (
    "Is it {one} or {other}?", "Is it {other} or {one}?", "Was this taken {other} or {one}?",
    "Is this {one} or {other}?", "Is the picture taken {one} or {other}?", "{other} or {one}?",
)  # fmt: skip
TAKEN = (
    "Where was this taken?", "Where is this?", "Where was this photo taken?", "Where are they?", "What place is this?",
    "Where does this take place?", "What is the location?", "Where is it?", "What is the setting?",
    "Where was the picture taken?",
)  # fmt: skip
IS_PLACE = ("Is this {a}?", "Is it {a}?", "Was this taken at {a}?", "Does this look like {a}?", "Could this be {a}?")
WHICH_ROOM = (
    "What room is this?", "Which room is it?", "What room was this taken in?", "What kind of room is this?",
    "Which room is shown?", "In what room are we?",
)  # fmt: skip
DAY_OR_NIGHT = (
    "Is it day or night?", "What time of day is it?", "Is it night or day?", "Was this taken by day or at night?",
    "What time of the day was this taken?", "Day or night?",
)  # fmt: skip
IS_NIGHT = ("Is it night?", "Is it dark outside?", "Was this taken at night?", "Is it nighttime?")
IS_DAY = ("Is it day?", "Is it daytime?", "Was this taken during the day?", "Is it light outside?")
WHICH_WEATHER = (
    "What is the weather like?", "How is the weather?", "What's the weather?", "What kind of weather is it?",
    "What weather is shown?", "Describe the weather.",
)  # fmt: skip
IS_WEATHER = ("Is it {weather}?", "Is it {weather} outside?", "Is the weather {weather}?", "Is it a {weather} day?")
WHICH_SPORT = (
    "What sport is this?", "Which sport is it?", "What sport are they playing?", "What game is being played?",
    "What are they playing?", "What kind of sport is shown?",
)  # fmt: skip
DOING = (
    "What {be} {who} doing?", "What {be} {who} doing here?", "What {be} {who} doing in the picture?",
    "Tell me what {who} {be} doing.", "What activity {be} {who} doing?",
)  # fmt: skip
WEARING = (
    "What is {who} wearing?",
    "What is {who} dressed in?",
    "What does {who} have on?",
    "What clothes is {who} wearing?",
)
HOLDING = ("What is {who} holding?", "What is in the hand?", "What does {who} hold?", "What is {who} carrying?")
WHICH_COLOR = (
    "What color is {what}?", "What colour is {what}?", "Which color is {what}?", "What is the color of {what}?",
    "Which colour does {what} have?",
)  # fmt: skip
LEFT_OR_RIGHT = (
    "Is the {one} on the left or on the right?", "Is the {one} on the left or right?", "On which side is the {one}?",
    "Which side is the {one} on?", "Is the {one} left or right?",
)  # fmt: skip
WHAT_IS_IT = (
    "What is this?", "What is it?", "What's this?", "What is that?", "What is the main object?", "What thing is shown?",
    "What is the picture of?", "What am I looking at?", "What is the main subject?",
)  # fmt: skip
ON_TABLE = (
    "What is on the table?", "What's on the table?", "What things are on the table?", "What do you see on the table?",
    "What lies on the table?",
)  # fmt: skip
UNKNOWABLE = (
    "Who is this?", "What is his name?", "What is her name?", "How old is he?", "How old is she?", "What is the name?",
    "What does the sign say?", "What is written on it?", "What does the text say?", "Read the sign.", "Read the text.",
    "Which city is this?", "Which country is this?", "When exactly was this taken?", "What year is it?",
    "What is the date?", "Who took this photo?", "What is he thinking?", "What is she called?", "What is the address?",
    "How much does it cost?", "What is the phone number?", "What is the license plate number?", "Where do they live?",
    "What brand is it?", "What happened before?", "What will happen next?", "How tall is he?", "What language is that?",
    "Who are they?", "Who is the man?", "Who is she?", "What does it say?", "What time does the clock show?",
)  # fmt: skip
