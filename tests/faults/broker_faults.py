"""What happens between workers and brokers: restarts, a bad network, refused records, a lost leader."""

from stream_app.adapters.partitions import CHECKPOINT_S
from stream_app.topology import TopicName
from tests.faults.forms import Form
from tests.faults.trials import Trial

#: What the broker has begun to take before a topic changes is done with by then.
_UNDER_WAY_S = 1.0


def restart_broker(trial: Trial, form: Form) -> None:
    """The broker is stopped in order, and comes back."""
    _restart(trial, form, is_clean=True)


def kill_broker(trial: Trial, form: Form) -> None:
    """kill -9 of the broker, which comes back."""
    _restart(trial, form, is_clean=False)


def _restart(trial: Trial, form: Form, *, is_clean: bool) -> None:
    (node,) = trial.cluster.nodes
    for _ in range(form.rounds):
        if is_clean:
            node.stop()
        else:
            node.kill()
        trial.go_on(form.run_s)
        node.launch()
        trial.cluster.wait_until_ready()
        trial.go_on(form.run_s)
        trial.until_shared()


def kill_leader(trial: Trial, form: Form) -> None:
    """kill -9 of the broker that leads a partition, with two others left; later it comes back."""
    for round_ in range(form.rounds):
        node = trial.cluster.leader(trial.settings.topic(TopicName.REQUESTS), round_ % trial.settings.partitions)
        node.kill()
        trial.go_on(form.cut_s / 2)
        node.launch()
        trial.cluster.wait_until_ready()
        trial.go_on(form.run_s)
        trial.until_shared()


def slow_network(trial: Trial, form: Form) -> None:
    """Every answer takes half a second more."""
    with trial.proxy.toxic("latency", latency=250):
        trial.go_on(form.cut_s / 2)
    trial.until_shared()


def narrow_network(trial: Trial, form: Form) -> None:
    """Hardly more than the traffic passes."""
    with trial.proxy.toxic("bandwidth", rate=100):
        trial.go_on(form.cut_s / 2)
    trial.until_shared()


def reset_connections(trial: Trial, form: Form) -> None:
    """Every connection is reset as soon as something is sent."""
    for _ in range(form.rounds):
        with trial.proxy.toxic("reset_peer", timeout=0):
            trial.go_on(form.cut_s / 2)
        trial.go_on(form.run_s)
    trial.until_shared()


def cut_network(trial: Trial, form: Form) -> None:
    """Nothing arrives any more, and no connection ends: longer than the session."""
    with trial.proxy.toxic("timeout", timeout=0):
        trial.go_on(form.cut_s)
    trial.until_shared()


def refuse_large_records(trial: Trial, form: Form) -> None:
    """A topic takes no state, or no decision, until its limit is put right."""
    for name, limit_bytes in ((TopicName.TENANT_STATE, 300), (TopicName.DECISIONS, 200)):
        _refuse(trial, name, limit_bytes)


def lack_replicas(trial: Trial, form: Form) -> None:
    """The changelog must have as many replicas as there are brokers, and one of these is away for a while."""
    topic, records = trial.settings.topic(TopicName.TENANT_STATE), trial.topics[TopicName.TENANT_STATE]
    trial.until(lambda: bool(records.read_to_end()), f"{topic} is written to")
    trial.cluster.set_topic(topic, {"min.insync.replicas": "3"})
    node = trial.cluster.leader(topic, 0)
    node.kill()
    trial.go_on(form.cut_s / 2)
    records.read_to_end()
    trial.go_on(CHECKPOINT_S + _UNDER_WAY_S)
    assert not records.read_to_end(), f"{topic} takes records on two brokers"
    trial.cluster.set_topic(topic, {"min.insync.replicas": "2"})
    trial.until(lambda: bool(records.read_to_end()), f"{topic} is written to again")
    node.launch()
    trial.cluster.wait_until_ready()
    trial.until_shared()


def _refuse(trial: Trial, name: TopicName, limit_bytes: int) -> None:
    topic, records = trial.settings.topic(name), trial.topics[name]
    trial.until(lambda: bool(records.read_to_end()), f"{topic} is written to")
    trial.cluster.set_topic(topic, {"max.message.bytes": str(limit_bytes)})
    trial.go_on(_UNDER_WAY_S)
    records.read_to_end()
    trial.go_on(CHECKPOINT_S + _UNDER_WAY_S)
    assert not records.read_to_end(), f"{topic} takes records of more than {limit_bytes} bytes"
    trial.cluster.set_topic(topic, {"max.message.bytes": "1048588"})
    trial.until(lambda: bool(records.read_to_end()), f"{topic} is written to again")
    trial.until_shared()
