"""Text to words, and words to rows of the table of vectors: the same in training and in use."""

import re
import unicodedata
import zlib
from functools import lru_cache

MAX_CHARS = 4000  # of a longer text the beginning and, above all, the end are read: requests stand there
MAX_WORDS = 128
HEAD_WORDS = 32

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[?!.,;:&+]")  # other signs (quotes, brackets, emoji) say nothing about a task


def split_words(text: str) -> list[str]:
    """Lower-case words and single marks; never empty. A long text keeps its beginning and its end."""
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 4] + " " + text[-MAX_CHARS * 3 // 4 :]
    text = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'").replace("`", "'")
    words = _WORD.findall(text)
    if len(words) > MAX_WORDS:
        words = words[:HEAD_WORDS] + words[HEAD_WORDS - MAX_WORDS :]
    return words or ["<empty>"]


@lru_cache(maxsize=50_000)
def word_rows(word: str, rows: int) -> tuple[int, ...]:
    """The rows of the hashed table that make up a word: the word itself and its letter n-grams of 3 to 5."""
    word = f"<{word[:24]}>"
    grams = [word] + [word[i : i + n] for n in (3, 4, 5) if n < len(word) for i in range(len(word) - n + 1)]
    return tuple(zlib.crc32(gram.encode()) % rows for gram in grams)
