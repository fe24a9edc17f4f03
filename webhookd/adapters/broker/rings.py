"""What a ring is to the broker: its keys, the permit that is put in, and the script that does it.

Without Dramatiq, which processes that only ring do not need.
"""

PERMIT = b"permit"
RING = """
local rung = 0
for _, key in ipairs(KEYS) do
  if redis.call('LLEN', key) < tonumber(ARGV[1]) then
    redis.call('RPUSH', key, ARGV[2])
    rung = rung + 1
  end
end
return rung
"""
"""Puts the permit ARGV[2] into each of the lists KEYS that holds fewer than ARGV[1]; says into how many."""


def list_key(namespace: str, queue: str) -> str:
    """The Redis list of the queue's permits, where Dramatiq has it."""
    return f"{namespace}:{queue}"


def keys_of(namespace: str, queue: str) -> tuple[str, ...]:
    """All keys that a queue may have: the list, the bodies of what Dramatiq itself sent, its heartbeats."""
    key = list_key(namespace, queue)
    return key, f"{key}.msgs", f"{namespace}:__heartbeats__"


def is_wrong_type(error: Exception) -> bool:
    """Whether somebody put a key of another kind in the place of one of ours."""
    return "WRONGTYPE" in str(error)
