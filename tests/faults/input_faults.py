"""What happens to the source topic: wrong clocks, compression, transactions, records gone before they are read."""

from confluent_kafka import Producer

from stream_app.detection.state import PARTITION_KEY, decode_partition
from stream_app.topology import TopicName
from tests.faults.forms import Form
from tests.faults.oracles import Lost
from tests.faults.traffic import DELIVERY_TIMEOUT_S, Population, new_producer, put
from tests.faults.trials import Trial

HOUR_MS = 3_600_000
CODECS = ("gzip", "snappy", "lz4", "zstd")
RECORDS = 120
_STEPS = 40


def run_ahead(trial: Trial, form: Form) -> None:
    """One tenant's clock is an hour ahead, every other time that of its producer, too."""
    population = Population(seed=2)
    for number in range(_STEPS * form.rounds):
        now_ms = trial.traffic.now_ms()
        early = population.draw_for("early", 1, now_ms + HOUR_MS)
        trial.traffic.put(early if number % 2 else early._replace(timestamp_ms=now_ms))
        trial.go_on(form.run_s / _STEPS)


def compress(trial: Trial, form: Form) -> None:
    """Producers that compress, each in its way."""
    for seed, codec in enumerate(CODECS, start=3):
        _send(new_producer(trial.cluster.bootstrap, compression_type=codec), trial, Population(seed), form)


def transact(trial: Trial, form: Form) -> None:
    """A producer whose transactions are committed or aborted, some open for a while, among the other records."""
    name = f"{trial.settings.group}-source"
    producer, population = (
        new_producer(trial.cluster.bootstrap, transactional_id=name, transaction_timeout_ms=1_000 * DELIVERY_TIMEOUT_S),
        Population(seed=7),
    )
    producer.init_transactions(DELIVERY_TIMEOUT_S)
    for is_committed in (True, False, True, True, False) * form.rounds:
        producer.begin_transaction()
        _send(producer, trial, population, form)
        trial.go_on(form.run_s / 5)
        if is_committed:
            producer.commit_transaction(DELIVERY_TIMEOUT_S)
        else:
            producer.abort_transaction(DELIVERY_TIMEOUT_S)


def _send(producer: Producer, trial: Trial, population: Population, form: Form) -> None:
    for _ in range(RECORDS * form.rounds):
        put(producer, trial.settings.topic(TopicName.REQUESTS), population.draw(trial.traffic.now_ms()))
    assert producer.flush(DELIVERY_TIMEOUT_S) == 0


def outrun(trial: Trial, form: Form) -> None:
    """Retention takes records that no worker has read; they are counted, and work goes on behind them."""
    for worker in trial.running():
        worker.end()
    trial.go_on(form.run_s)
    trial.traffic.stop()
    source, states = trial.topics[TopicName.REQUESTS], trial.topics[TopicName.TENANT_STATE]
    source.read_to_end()
    states.read_to_end()
    for number in range(trial.settings.partitions):
        begin = _position(trial, number)
        offsets = [record.offset for record in source.records if record.partition == number]
        end = (begin + offsets[-1]) // 2
        trial.cluster.delete_records(trial.settings.topic(TopicName.REQUESTS), number, end)
        trial.lost[number] = Lost(begin, end)
    (worker,) = trial.start_workers(1)
    trial.traffic.start()
    missing = sum(lost.end - lost.start for lost in trial.lost.values())
    trial.until(lambda: worker.missed() == missing, f"{missing} records are missed")
    trial.start_worker()
    trial.until_shared()


def _position(trial: Trial, partition: int) -> int:
    """The source position that the newest checkpoint holds."""
    records = trial.topics[TopicName.TENANT_STATE].records
    own = [r.value for r in records if r.partition == partition and r.key == PARTITION_KEY.encode()]
    return decode_partition(own[-1] or b"").position
