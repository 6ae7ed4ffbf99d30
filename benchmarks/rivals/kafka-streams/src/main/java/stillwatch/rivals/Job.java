package stillwatch.rivals;

import static org.apache.kafka.streams.kstream.Suppressed.BufferConfig.unbounded;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;

/** Scores each tenant's windows of 60 s every 10 s and writes decisions, until SIGTERM. */
public final class Job {
    private static final TimeWindows WINDOWS =
            TimeWindows.ofSizeAndGrace(Duration.ofSeconds(60), Duration.ofSeconds(5)).advanceBy(Duration.ofSeconds(10));
    private static final Duration COMMIT_INTERVAL = Duration.ofSeconds(5);

    private Job() {}

    public static void main(String[] args) throws InterruptedException {
        Map<String, String> flags = flags(args);
        boolean isOnDisk = flags.containsKey("rocksdb");
        KafkaStreams streams = new KafkaStreams(topology(flags, isOnDisk), settings(flags, isOnDisk));
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.setStateListener((now, before) -> {
            if (now.hasCompletedShutdown()) {
                closed.countDown();
            }
        });
        streams.start();
        closed.await();
    }

    private static Topology topology(Map<String, String> flags, boolean isOnDisk) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(
                        flags.get("input"),
                        Consumed.with(Serdes.String(), Serdes.serdeFrom((topic, usage) -> null, new UsageReader())))
                .groupByKey()
                .windowedBy(WINDOWS)
                .aggregate(
                        () -> Totals.NONE,
                        (tenant, usage, totals) -> totals.plus(usage),
                        Materialized.with(Serdes.String(), Totals.serde()))
                .suppress(Suppressed.untilWindowCloses(unbounded()))
                .toStream()
                .process(ScoreWindows.supplier(isOnDisk))
                .to(
                        flags.get("output"),
                        Produced.with(Serdes.String(), Serdes.serdeFrom(new DecisionWriter(), (topic, bytes) -> null)));
        return builder.build();
    }

    private static Properties settings(Map<String, String> flags, boolean isOnDisk) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, flags.get("group"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, flags.get("bootstrap"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, flags.get("dir"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL.toMillis());
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(
                StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG,
                isOnDisk
                        ? BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers.class
                        : BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return settings;
    }

    private static Map<String, String> flags(String[] args) {
        Map<String, String> flags = new HashMap<>();
        for (int at = 0; at < args.length; at++) {
            String name = args[at].substring("--".length());
            boolean isSwitch = at + 1 == args.length || args[at + 1].startsWith("--");
            flags.put(name, isSwitch ? "" : args[++at]);
        }
        return flags;
    }
}
