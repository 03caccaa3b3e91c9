"""Answers that were paid for, by the hash of what was asked: the same question within a day costs nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import redis
from pydantic import TypeAdapter, ValidationError

from countersign.ports import Completion

LIFE = timedelta(hours=24)
_COMPLETION: TypeAdapter[Completion] = TypeAdapter(Completion)


class RedisAnswers:
    """The Answers port. A Redis that is away remembers nothing, and that is no error."""

    def __init__(self, url: str, *, prefix: str, life: timedelta = LIFE, timeout_s: float = 1.0) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        self._prefix = f"{prefix}answer:"
        self._life = life

    def find(self, key: str) -> Completion | None:
        try:
            found: Any = self._redis.get(self._prefix + key)
            return None if found is None else _COMPLETION.validate_json(found)
        except (redis.RedisError, ValidationError):
            return None

    def keep(self, key: str, completion: Completion) -> None:
        try:
            self._redis.set(self._prefix + key, _COMPLETION.dump_json(completion), ex=self._life)
        except redis.RedisError:
            return

    def close(self) -> None:
        self._redis.close()
