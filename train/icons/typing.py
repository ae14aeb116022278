"""How people type: other names, politeness, small letters, missing marks, the other spelling, mistakes."""

import random
import re

from train.router.typing import mistype
from vlm_demo.scenes.everyday.vocabulary import SYNONYMS

BEFORE = (  # with a bar between two of them
    "Please tell me: |Can you tell me, |Tell me, |Please, |Please: |Could you help me? |Help me: |I wonder: |"
    "Hey, |Hi, |Hello, |Hi there, |Good morning, |Good evening! |Hello again. |Hey you, |Yo, |Dear computer, |"
    "So, |And |Ok, |Okay, |Now |Well, |um |Hmm, |Erm, |Right, |Alright, |Oh, |Ah, |But |Then |Just wondering: |"
    "Question: |Quick question: |My question: |One question: |Another question: |Q: |Silly question: |Easy one: |"
    "Out of curiosity, |I am curious: |Just checking: |Just to be sure: |One more thing: |Last one: |Next: |"
    "First of all, |And finally, |Also, |By the way, |Look: |Look closely: |Listen, |Think: |Be honest: |"
    "Take your time: |Quick: |My daughter wants to know: |My son asks: |A friend asks: |The teacher asks: |"
    "For my homework: |For a quiz: |It's for school: |Exercise 3: |Riddle: |For the kids: |I forgot my glasses. |"
    "I can't see well. |I'm not sure. |Sorry, |Excuse me, |In your opinion, |As far as you can see, |"
    "If you had to say, |Thanks! |Great. |Nice picture! "
).split("|")
AFTER = (
    " please|, please| pls| plz| thanks|, thanks|, thank you| thx| ty| cheers| then| now| exactly| actually| really|"
    " precisely| again| though| today| right now|?|!|??|!!|?!|...| :)| lol| hmm| huh| eh| do you know|, do you know|"
    ", any idea| any idea|, any clue|, can you tell|, can you say| if you can|, if possible|, if you don't mind|"
    ", if I may ask|, if you know|, would you say| for me| for my son| for the kids|, I need it for school|"
    ", it's for a quiz|, for my homework| in your opinion|, do you think| you think|, what do you say|, I mean|"
    " i mean|, just curious| asap|, quick| quickly|, no rush|, hurry up|, I wonder|, just wondering|, I can't tell|"
    ", I forgot my glasses|, my eyes are bad|, help me out|, help|, let me know|, tell me|, ok| btw| mate|"
    ", my friend|, robot|, computer|, buddy|, sir| bro"
).split("|")
SHORT = {"what is": "whats", "where is": "wheres", "picture": "pic", "please": "pls", "you": "u", "how many": "howmany"}
# Behind these a question takes the order of words of a statement.
ASKING = (
    "Do you know|Can you tell me|Could you tell me|Would you tell me|Can you say|Can you see|Could you please tell me|"
    "Any idea|Do you have any idea|May I ask|Can you work out|Could you check|Please can you tell me"
).split("|")
SAYING = (
    "I wonder|I'd like to know|I want to know|I need to know|Tell me|Please tell me|Let me know|I was wondering|"
    "I can't tell|I'm not sure|I have no idea|Please say|My son wants to know|I am trying to find out"
).split("|")
_NOUN = r"(?:picture|image|photo|scene|pic|drawing)"
_REST = (  # what may stand behind the thing: "Where is the cat | located in this picture"
    r"((?: (?:located|placed|found|standing|sitting|situated|positioned|hiding|hidden|shown|drawn))?"
    rf"(?: (?:in|on) (?:(?:the|this) )?(?:\w+ )?{_NOUN}\b.*)?)"
)
_STATED = (
    (re.compile(rf"(where|what colou?r) (is|are) (the(?: (?!the\b)[^ ,:;?.]+)+?){_REST}"), r"\1 \3 \2\4"),
    (re.compile(r"(what) (is|are) (the (?:colou?r|number|setting|background|differences?)\b[^,:;?.]*)"), r"\1 \3 \2"),
    (re.compile(r"(how many [^,:;?.]+?) (is|are) there((?: [^,:;?.]*)?)"), r"\1 there \2\3"),
    (re.compile(r"(how many [^,:;?.]+?) do (you|we|they) ([^,:;?.]+)"), r"\1 \2 \3"),
    (re.compile(r"(how many [^,:;?.]+?) can (you|we|I) ([^,:;?.]+)"), r"\1 \2 can \3"),
    (re.compile(r"(which (?!.*\b(?:is|are|was|were|do|does|did|can|could|will|would|should)\b)[^,:;?.]+)"), r"\1"),
)
_YES_OR_NO = re.compile(r"(is|are) there (?!.*\b(?:or|what|which|where)\b)([^,:;?.]+)")


def indirect(question: str, rng: random.Random) -> str:
    """`Where is the cat?` as `Do you know where the cat is?`; a question of another form as it is."""
    bare = question.rstrip("?.")
    bare = bare[:1].lower() + bare[1:]
    if match := _YES_OR_NO.fullmatch(bare):
        if rng.random() < 0.2:
            return f"{question.rstrip('?.')}, {rng.choice(('yes or no', 'or not'))}?"
        stated = f"{rng.choice(('if', 'whether'))} there {match[1]} {match[2]}"
    else:
        found = [match.expand(order) for pattern, order in _STATED if (match := pattern.fullmatch(bare))]
        if not found:
            return question
        stated = found[0]
    return f"{rng.choice(ASKING)} {stated}?" if rng.random() < 0.5 else f"{rng.choice(SAYING)} {stated}."


def typed(text: str, rng: random.Random, mistakes: float = 0.15) -> str:
    """A question as somebody might type it; `mistakes` is the share of texts with mistakes."""
    if rng.random() < 0.1:
        text = indirect(text, rng)
    for word, names in SYNONYMS.items():
        if rng.random() < 0.12:
            text = re.sub(rf"\b{word}(?=s?\b)", rng.choice(names), text)
    if "colour" in text and rng.random() < 0.5:
        text = text.replace("colour", "color")
    if "centre" in text and rng.random() < 0.5:
        text = text.replace("centre", "center")
    mark = text[len(text.rstrip("?.")) :]
    if rng.random() < 0.2:
        text = rng.choice(BEFORE) + (text if re.match(r"I\b", text) else text[:1].lower() + text[1:])
    if rng.random() < 0.14:
        text = text.rstrip("?.") + rng.choice(AFTER) + mark
    if rng.random() < 0.35:
        text = re.sub(r"\b(what|who|where|that|it|there|how) is\b(?! *[?.,!]|$)", r"\1's", text, flags=re.IGNORECASE)
        if rng.random() < 0.3:
            text = text.replace("'", "")
    if rng.random() < 0.08:
        for long, short in SHORT.items():
            text = text.replace(long, short)
    if rng.random() < 0.35:
        text = text.lower()
    if rng.random() < 0.3:
        text = text.rstrip("?.") + rng.choice(("", "", "", "?", ".", "!", " ?", "??"))
    return mistype(text, rng) if rng.random() < mistakes else text
