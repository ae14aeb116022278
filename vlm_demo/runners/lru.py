"""A cache bounded in bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class ByteLRU:
    """Keeps values up to `limit` bytes in all and forgets the least recently used first. One thread only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any | None:
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep `value`, which takes `size` bytes; one that is larger than the whole cache is not kept."""
        self.bytes -= self._items.pop(key, (None, 0))[1]
        if size > self.limit:
            return
        self._items[key] = (value, size)
        self.bytes += size
        while self.bytes > self.limit:
            self.bytes -= self._items.popitem(last=False)[1][1]

    def clear(self) -> None:
        self._items.clear()
        self.bytes = 0
