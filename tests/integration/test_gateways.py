"""Gateways obey decisions: nginx, HAProxy, Redis and, where there is one, Envoy, as they are shipped in Debian."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from shutil import which

import pytest
from confluent_kafka import Producer

from stream_app.adapters.embedded_broker import EmbeddedBroker
from tests.integration.gateways import Ask, Stage, decision, eventually, provider_api
from tests.unit.streams import operator_record

PREFIX = "gateways"


#: What is mirrored goes on while the limiter is away; what asks it fails open, as shipped.
MIRRORS = {"haproxy", "redis"}


class World:
    """A stage with all gateways, and the topics that its limiter reads."""

    def __init__(self, stage: Stage, gateways: dict[str, Ask], broker: str) -> None:
        self.stage = stage
        self.gateways = gateways
        self._producer = Producer({"bootstrap.servers": broker, "partitioner": "murmur2", "linger.ms": 1})

    def tell(self, *records: tuple[bytes, bytes | None], topic: str = "decisions") -> None:
        for key, value in records:
            self._producer.produce(f"{PREFIX}.{topic}.v1", key=key, value=value)
        assert self._producer.flush(20) == 0

    def statuses(self, tenant_id: str, account_id: str = "a1") -> dict[str, int]:
        return {name: ask(tenant_id, account_id).status for name, ask in self.gateways.items()}

    def everywhere(self, status: int) -> dict[str, int]:
        return dict.fromkeys(self.gateways, status)

    def becomes(self, tenant_id: str, status: int, account_id: str = "a1") -> None:
        for name, ask in self.gateways.items():
            is_so = partial(lambda ask: ask(tenant_id, account_id).status == status, ask)
            eventually(is_so, f"{status} for {tenant_id} at {name}")


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("g")  # a socket's path has to be short
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker({f"{PREFIX}.decisions.v1": 2, f"{PREFIX}.operator.v1": 1}))
        stage = Stage(folder, broker.bootstrap, PREFIX)
        api_port = stack.enter_context(provider_api())
        gateways = {
            "nginx": stack.enter_context(stage.nginx(api_port)),
            "haproxy": stack.enter_context(stage.haproxy(api_port)),
            "redis": stack.enter_context(stage.redis()),
        }
        if which("envoy"):  # Debian has no package of it
            gateways["envoy"] = stack.enter_context(stage.envoy(api_port))
        stage.start_limiter()
        stack.callback(stage.stop_limiter)
        yield World(stage, gateways, broker.bootstrap)


def test_who_is_blocked_gets_429_and_others_never(world: World) -> None:
    """One limiter's life, since each start takes seconds: decided, away, expired, deleted, switched off."""
    world.tell(
        decision("tenant:acme"),
        decision("account:shop/bad"),
        decision("tenant:shadow", simulated=True),
        decision("tenant:watched", "observe"),
        decision("tenant:freed", "allow", origin="operator"),
        decision("account:freed/a1"),
        decision("tenant:slow", "throttle", limit={"requests_per_minute": 2}),
        decision("tenant:a b%", lasts_s=15),
    )
    world.becomes("a b%", 429)
    world.becomes("acme", 429)
    world.becomes("shop", 429, "bad")
    for ask in world.gateways.values():
        denied = ask("acme", "a1")
        assert 3500 < int(denied.headers["retry-after"]) <= 3600
        assert denied.headers["x-stillwatch-reason"] == "requests_surge"
        assert denied.headers["x-stillwatch-decision-id"] == "d-acme"
        slowed = [answer for answer in (ask("slow", "a1") for _ in range(8)) if answer.status == 429]
        assert all(0 < int(answer.headers["retry-after"]) <= 60 for answer in slowed)
        assert slowed
    for tenant_id in ("other", "shop", "shadow", "watched", "freed"):
        assert world.statuses(tenant_id) == world.everywhere(200), tenant_id

    world.stage.stop_limiter()
    assert world.statuses("acme") == {name: 429 if name in MIRRORS else 200 for name in world.gateways}
    world.tell(decision("tenant:meanwhile"))
    world.stage.start_limiter()
    world.becomes("meanwhile", 429)
    assert world.statuses("acme") == world.everywhere(429)
    assert world.statuses("other") == world.everywhere(200)

    world.stage.restart_haproxy()
    assert world.gateways["haproxy"]("acme", "a1").status == 429  # from its first request on
    world.tell(decision("tenant:after"))
    world.becomes("after", 429)
    haproxy_obeys_wider_scopes(world)

    world.stage.restart_redis()
    world.becomes("acme", 429)
    world.stage.stop_limiter()
    world.stage.restart_haproxy()  # nobody is there to fill it again, and its file has everything
    for tenant_id, status in (("acme", 429), ("meanwhile", 429), ("after", 429), ("other", 200)):
        assert world.gateways["haproxy"](tenant_id, "a1").status == status, tenant_id
    world.stage.restart_redis()  # nobody is there to fill it again
    assert world.gateways["redis"]("acme", "a1").status == 200
    world.stage.start_limiter()
    world.becomes("acme", 429)
    assert world.statuses("other") == world.everywhere(200)

    world.becomes("a b%", 200)
    world.tell((b"tenant:acme", None), decision("account:shop/bad", "allow", revision=2))
    world.becomes("acme", 200)
    world.becomes("shop", 200, "bad")
    world.tell((b"", operator_record("enforcement", 0, body={"enforced": False})), topic="operator")
    world.becomes("meanwhile", 200)
    world.tell((b"", operator_record("enforcement", 1, body={"enforced": True})), topic="operator")
    world.becomes("meanwhile", 429)


def haproxy_obeys_wider_scopes(world: World) -> None:
    """What members of a campaign share: a payment, a sign-up, the network that a request comes from."""
    haproxy = world.gateways["haproxy"]
    paid, signed_up = {"x-payment-fp": "card/1"}, {"x-signup-fp": "s-1"}

    def status(tenant_id: str = "other", **headers: str) -> int:
        return haproxy(tenant_id, "a1", **headers).status

    world.tell(
        decision("payment_fp:card/1", decision_id="d-card"),
        decision("signup_fp:s-1", "throttle", limit={"requests_per_minute": 2}),
    )
    eventually(lambda: status(**paid) == 429, "denied by its payment")
    assert haproxy("other", "a1", **paid).headers["x-stillwatch-decision-id"] == "d-card"
    slowed = [status(tenant_id, **signed_up) for tenant_id in ("one", "two", "three", "four")]
    assert (slowed[0], slowed[-1]) == (200, 429)  # all who came by it are counted together
    assert (status(), status("freed", **paid)) == (200, 200)
    world.tell(decision("ip_prefix:127.0.0.0/24"))
    eventually(lambda: status() == 429, "denied by its network")
    world.tell((b"ip_prefix:127.0.0.0%2F24", None))
    eventually(lambda: status() == 200, "let in again")
