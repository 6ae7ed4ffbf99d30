"""The partitioner against values of Kafka's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.detection.partitions import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),
    [  # as in Kafka's UtilsTest.testMurmur2
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@given(tenant=st.text(st.characters(exclude_categories=["Cs"])), partitions=st.integers(1, 1000))
def test_every_tenant_has_one_partition(tenant: str, partitions: int) -> None:
    assert 0 <= partition_of(tenant, partitions) < partitions


def test_tenants_spread_over_all_partitions() -> None:
    assert {partition_of(f"tenant-{k}", 12) for k in range(200)} == set(range(12))
