"""Which partition a tenant belongs to, as Kafka's Java client decides it."""

_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C
_M = 0x5BD1E995


def partition_of(tenant_id: str, partitions: int) -> int:
    """Partition of a tenant among ``partitions``: Kafka's default partitioner over the UTF-8 bytes of the key."""
    return (murmur2(tenant_id.encode()) & 0x7FFFFFFF) % partitions


def murmur2(key: bytes) -> int:
    """32-bit MurmurHash2 with Kafka's seed (``org.apache.kafka.common.utils.Utils.murmur2``), unsigned."""
    length = len(key)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15
