"""The purse: a day's budget in Redis, where reserving and settling are one step each."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import redis

from countersign.budget import Account, Allowance, Grant, Spent
from countersign.errors import Transient

_KEPT_S = 3 * 24 * 3600
_FILLING_S = 30

# Goes before every script. A server that started again may have read old counters (a snapshot, a log without its
# end): what was filled in another run of the server is as good as lost. One that does not tell its run is believed.
_OPENED = """
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and string.sub(epoch, 1, #run) ~= run then epoch = false end
"""
# KEYS: the account's sums, its calls. A call is `h<amount>` while it is held and `s<amount>` once it is settled.
_RESERVE = """
if not epoch then return {'closed', '', 0, 0} end
local used = tonumber(redis.call('HGET', KEYS[1], 'used') or '0')
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known then
  return {string.sub(known, 1, 1) == 'h' and 'granted' or 'refused', epoch, used, 0}
end
local amount = tonumber(ARGV[2])
if used + amount > tonumber(ARGV[3]) then return {'refused', epoch, used, 0} end
used = redis.call('HINCRBY', KEYS[1], 'used', amount)
redis.call('HSET', KEYS[2], ARGV[1], 'h' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
local warned = 0
if used >= tonumber(ARGV[4]) then warned = redis.call('HSETNX', KEYS[1], 'warned', '1') end
return {'granted', epoch, used, warned}
"""
# A closed account takes no settlement: the ledger has it, and the account is filled from there.
_SETTLE = """
if not epoch then return 0 end
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known and string.sub(known, 1, 1) == 's' then return 0 end
local held = known and tonumber(string.sub(known, 2)) or 0
redis.call('HINCRBY', KEYS[1], 'used', tonumber(ARGV[2]) - held)
redis.call('HSET', KEYS[2], ARGV[1], 's' .. ARGV[2])
redis.call('HINCRBY', KEYS[1], 'category:' .. ARGV[3], ARGV[2])
return 1
"""
_EPOCH = "return epoch or ''"
_BEGIN = """
if epoch then return '' end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'EX', ARGV[2]) then return ARGV[1] end
return ''
"""
_FILL = """
if epoch or redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
local used = 0
for _, row in ipairs(cjson.decode(ARGV[2])) do
  redis.call('HSET', KEYS[2], row[1], row[2])
  used = used + row[3]
  if row[4] then redis.call('HINCRBY', KEYS[1], 'category:' .. row[4], row[3]) end
end
redis.call('HSET', KEYS[1], 'epoch', run .. ARGV[1], 'used', string.format('%.0f', used))
redis.call('DEL', KEYS[3])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""


class RedisPurse:
    """The Purse port. A server that has lost its counters, or has old ones, is filled from the ledger again."""

    def __init__(self, url: str, *, prefix: str, timeout_s: float = 3.0) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, decode_responses=True
        )
        self._prefix = f"{prefix}budget:"
        self._reserve = self._redis.register_script(_OPENED + _RESERVE)
        self._settle = self._redis.register_script(_OPENED + _SETTLE)
        self._epoch = self._redis.register_script(_OPENED + _EPOCH)
        self._begin = self._redis.register_script(_OPENED + _BEGIN)
        self._fill = self._redis.register_script(_OPENED + _FILL)

    def reserve(self, account: Account, call_id: str, micro_usd: int, allowance: Allowance) -> Grant:
        """As the port says. Raises Transient when Redis can't be asked."""
        keys = self._keys(account)[:2]
        with _plainly():
            answer, epoch, used, warned = self._reserve(
                keys=keys, args=[call_id, micro_usd, allowance.limit, allowance.warn, _KEPT_S]
            )
        return Grant(answer=answer, epoch=epoch, used=int(used), warned=bool(warned))

    def settle(self, account: Account, call_id: str, micro_usd: int, *, category: str) -> None:
        with _plainly():
            self._settle(keys=self._keys(account)[:2], args=[call_id, micro_usd, category])

    def epoch(self, account: Account) -> str:
        with _plainly():
            return str(self._epoch(keys=self._keys(account)[:1]))

    def begin(self, account: Account) -> str:
        sums, _, filling = self._keys(account)
        with _plainly():
            return str(self._begin(keys=[sums, filling], args=[secrets.token_hex(8), _FILLING_S]))

    def fill(self, account: Account, token: str, rows: Sequence[Spent]) -> bool:
        entries = [
            [row.call_id, f"h{row.held}", row.held]
            if row.micro_usd is None
            else [row.call_id, f"s{row.micro_usd}", row.micro_usd, row.category]
            for row in rows
        ]
        # Lua's cjson reads {} and [] alike, so that no row is an empty table.
        with _plainly():
            return bool(self._fill(keys=self._keys(account), args=[token, json.dumps(entries), _KEPT_S]))

    def close(self) -> None:
        self._redis.close()

    def _keys(self, account: Account) -> list[str]:
        key = f"{self._prefix}{{{account.key}}}"
        return [f"{key}:sums", f"{key}:calls", f"{key}:filling"]


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as problem:
        raise Transient(
            f"Redis does not keep the budget now ({type(problem).__name__}); nothing is spent until it does.",
            where="redis",
        ) from None
