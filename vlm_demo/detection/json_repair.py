"""Reads the records, ``{"key": value, ...}``, out of text that a model meant to be JSON.

A strict reader gives nothing for an answer that was cut off or lost a bracket. This one never raises, never evaluates,
does not recurse, does bounded work, gives every record that it can make out, and says what it had to overlook.
"""

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, field

MAX_TEXT = 50_000  # characters; beyond them an answer counts as cut off

Value = str | float | list | None

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<mark>[{}\[\],:])
      | (?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?P<unit>\ ?%|\ ?px\b)?)
      | (?P<word>[-+]?[^\W\d]\w*)"?  # dog": its opening quote is missing
    """,
    re.VERBOSE,
)
_BEGIN = re.compile(r'[{\[]|"\w{1,20}"\s*:')  # a bracket, or the key of a record that lost its first bracket
_NOT_WORDS = re.compile(r"```\w*|[\s,}\]]+")  # and what is left over when brackets were closed too early
_ENDS_STRING = re.compile(r"""\s*(?:[,:{}\[\]"']|\Z)""")
_ENDS_VALUE = re.compile(r"\s*[,}\]]")
_COLON = re.compile(r"\s*:")
_BREAK = re.compile(r"[{}\[\]\n]")
_ANY_MARK = re.compile(r"[,:{}\[\]\n]")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"null": None, "None": None, "NaN": math.nan, "Infinity": math.nan, "-Infinity": math.nan}


@dataclass
class Record:
    """One ``{...}``: values by key, where the text values stand, whether it holds other records, whether it was cut."""

    start: int
    fields: dict[str, Value] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    holder: bool = False
    torn: bool = False


@dataclass
class Reading:
    """`records` in the order in which they begin, `notes` on what was overlooked, and how the text ended."""

    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cut_off: bool = False
    bare_empty_list: bool = False  # the whole text is [] and nothing else

    def note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)


@dataclass
class _Open:
    """A bracket that is open: a record when `record` is set, else a list. `key` waits for its value, `word` may yet
    turn out to be a key, `last` is the key that was filled last."""

    record: Record | None
    items: list = field(default_factory=list)
    holder: bool = False
    key: str | None = None
    word: tuple[str, int, int] | None = None
    last: str | None = None


def read_records(text: str) -> Reading:
    """All records of `text`, nested ones included; a list value holds numbers, strings and lists of them."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self.reading = Reading(cut_off=len(text) > MAX_TEXT)
        self.text = text[:MAX_TEXT]
        self.stack: list[_Open] = []
        self.open_marks = {"{": 0, "[": 0}  # how many of each the stack holds
        self.outside: list[str] = []  # what stands before, between and after the brackets
        self.previous = ""  # the kind of the last token, or the mark itself
        # Where unescaped quotes stand, once for the whole text, so that broken strings cannot make the work quadratic.
        self.quotes: dict[str, list[int]] = {'"': [], "'": []}
        escaped = False
        for place, char in enumerate(self.text):
            if char in self.quotes and not escaped:
                self.quotes[char].append(place)
            escaped = char == "\\" and not escaped

    def read(self) -> Reading:
        at = 0
        while at < len(self.text):
            at = self._step(at) if self.stack else self._begin(at)
        self._end()
        self.reading.records.sort(key=lambda record: record.start)
        return self.reading

    def _begin(self, at: int) -> int:
        """Outside all brackets: skip to the next thing that may hold records."""
        mark = _BEGIN.search(self.text, at)
        self.outside.append(self.text[at : mark.start() if mark else None])
        if mark is None:
            return len(self.text)
        self.previous = mark[0]
        if mark[0] in "{[":
            self._open(mark[0], mark.start())
            return mark.end()
        self.reading.note("missing bracket")
        self._open("{", mark.start())
        return mark.start()

    def _step(self, at: int) -> int:
        """Inside brackets: take one token and return where the next begins."""
        char = self.text[at]
        if char == '"' or (char == "'" and self.previous in ("{", "[", ",", ":")):
            return self._string(at)
        token = _TOKEN.match(self.text, at)
        if token is None:
            return at + 1
        kind = token.lastgroup
        if kind == "mark":
            self._mark(token[0], at)
        elif kind == "number":
            self._value(token[0] if token["unit"] else float(token[0]), at, token.end())
        elif kind == "word":
            self._word(token["word"], at, token.end("word"))
        if kind != "space":
            self.previous = token[0] if kind == "mark" else kind
        return token.end()

    def _mark(self, mark: str, at: int) -> None:
        top = self.stack[-1]
        if mark in "{[":
            self._open(mark, at)
        elif mark in "}]":
            if self.previous == ",":
                self.reading.note("trailing comma")
            self._close(mark)
        elif mark == ",":
            top.key = top.word = None
        elif top.word is not None:  # a colon after text: that was a key
            name, start, end = top.word
            if top.record is None:  # ... in a list, so the record's opening bracket is missing
                self.reading.note("missing bracket")
                del top.items[-1:]
                top.word = None
                top = self._open("{", start)
            elif name in top.record.fields:  # ... for the second time, so another record has begun
                self.reading.note("missing bracket")
                self._close("}")
                top = self._open("{", start)
            top.key, top.word = name, None

    def _open(self, mark: str, at: int) -> _Open:
        top = self.stack[-1] if self.stack else None
        if top and top.record and top.key is None and top.word:  # the colon is missing
            top.key, top.word = top.word[0], None
        self.open_marks[mark] += 1
        self.stack.append(_Open(Record(at) if mark == "{" else None))
        return self.stack[-1]

    def _pop(self) -> _Open:
        self.open_marks["[" if self.stack[-1].record is None else "{"] -= 1
        return self.stack.pop()

    def _close(self, mark: str) -> None:
        """Close down to the bracket that `mark` belongs to; what lies above it lost its own closing bracket."""
        closed = not self.open_marks["{" if mark == "}" else "["]
        if closed or (self.stack[-1].record is None) != (mark == "]"):
            self.reading.note("missing bracket")
        while not closed:
            closed = (self.stack[-1].record is None) == (mark == "]")
            self._finish(self._pop())

    def _finish(self, item: _Open) -> None:
        """Hand a closed record to the reading, a closed list to what holds it."""
        parent = self.stack[-1] if self.stack else None
        self._keep(item, parent)
        if parent is not None and item.record is None:
            self._store(parent, item.items)
        elif parent is not None:
            parent.key = None
        elif item.record is None and not item.items and not item.holder:
            self.reading.bare_empty_list = True

    def _keep(self, item: _Open, parent: _Open | None) -> None:
        if item.record is not None:
            item.record.holder = item.holder
            self.reading.records.append(item.record)
        if parent is not None:
            parent.holder |= item.holder or item.record is not None

    def _store(self, holder: _Open, value: Value, span: tuple[int, int] | None = None) -> None:
        if holder.record is None:
            holder.items.append(value)
        elif holder.key is not None:
            holder.record.fields[holder.key] = value
            if span:
                holder.record.spans[holder.key] = span
            holder.last, holder.key = holder.key, None

    def _value(self, value: Value, start: int, end: int) -> None:
        top = self.stack[-1]
        if top.record is not None and top.key is None and isinstance(value, float) and top.last is not None:
            listed = top.record.fields[top.last]  # "bbox": 0.1, 0.2: numbers that lost their bracket
            if isinstance(listed, float | list):
                self.reading.note("missing bracket")
                top.record.fields[top.last] = [*(listed if isinstance(listed, list) else [listed]), value]
            return
        is_text = isinstance(value, str)
        if top.record is not None and top.key is None:
            if top.word is None:
                top.word = (value, start, end) if is_text else None  # a key, once its colon has come
                return
            top.key, top.word = top.word[0], None  # "label" "dog": the colon is missing
        elif top.record is None and is_text:
            top.word = (value, start, end)
        self._store(top, value, (start, end) if is_text else None)

    def _word(self, word: str, start: int, end: int) -> None:
        """A word without quotes: a constant, a key, or (a part of) a text value."""
        top = self.stack[-1]
        if word in _WORDS:
            self._value(_WORDS[word], start, end)
            return
        self.reading.note("missing quotes")
        if self.previous == "word" and top.record is not None and top.last in top.record.spans and top.key is None:
            begun = top.record.spans[top.last][0]
            top.record.fields[top.last] = self.text[begun:end]
            top.record.spans[top.last] = (begun, end)
        else:
            self._value(word, start, end)

    def _string(self, at: int) -> int:
        """A quoted text: to its closing quote, or to the next bracket when that quote is missing."""
        if self.text[at] == "'":
            self.reading.note("single quotes")
        self.previous, top = "string", self.stack[-1]
        end = self._closing_quote(at)
        if end is not None and not (top.key is not None and _COLON.match(self.text, end + 1)):
            self._value(_unescape(self.text[at + 1 : end]), at + 1, end)
            return end + 1
        # No closing quote, or one that can only belong to the next key: the text ends at the next mark.
        mark = _ANY_MARK.search(self.text, at + 1)
        if mark is None:  # the text ends within this string, so its value is not known
            top.word = None
            self._tear(top)
            return len(self.text)
        self.reading.note("missing quotes")
        self._value(_unescape(self.text[at + 1 : mark.start()]), at + 1, mark.start())
        return mark.start()

    def _closing_quote(self, at: int) -> int | None:
        """Where the text that opens at `at` closes: a quote within it is not followed by what follows a text."""
        places = self.quotes[self.text[at]]
        first = bisect_right(places, at)
        for place in places[first : first + 4]:
            broken = _BREAK.search(self.text, at + 1, place)  # a bracket in a label is rare, a lost quote is not
            if broken and place > places[first]:
                return None
            if (_ENDS_VALUE if broken else _ENDS_STRING).match(self.text, place + 1):
                return place
        return None

    def _end(self) -> None:
        """The text is over: what is still open was cut off."""
        self.reading.cut_off |= bool(self.stack)
        while self.stack:
            item = self._pop()
            parent = self.stack[-1] if self.stack else None
            self._keep(item, parent)
            if item.record is not None:
                item.record.torn |= item.key is not None or item.word is not None
            elif parent is not None:
                self._tear(parent)  # its list has no end: the last number may lack digits
        around = " ".join(self.outside)
        if "```" in around:
            self.reading.note("code fence")
        if _NOT_WORDS.sub("", around):
            self.reading.note("text around the JSON")

    def _tear(self, holder: _Open) -> None:
        """The value that was being read did not come to its end, and is not known."""
        if holder.record is not None:
            holder.record.torn = True
            if holder.key is not None:
                holder.record.fields[holder.key] = None


def _unescape(text: str) -> str:
    """Undo JSON's escapes; half a surrogate pair becomes a replacement character, so that any result can be saved."""
    if "\\" in text:
        text = _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) == 5 else _ESCAPED.get(m[1], m[1]), text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
