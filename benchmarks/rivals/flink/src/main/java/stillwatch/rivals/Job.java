package stillwatch.rivals;

import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.util.ParameterTool;

/** Reads a topic to the end it has now, scores each tenant's windows of 60 s every 10 s, and writes decisions. */
public final class Job {
    private static final Duration OUT_OF_ORDERNESS = Duration.ofSeconds(5);
    private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(5);
    private static final Duration WINDOW_SIZE = Duration.ofSeconds(60);
    private static final Duration WINDOW_STEP = Duration.ofSeconds(10);

    private Job() {}

    public static void main(String[] args) throws Exception {
        ParameterTool flags = ParameterTool.fromArgs(args);
        boolean isOptimised = flags.has("optimised");
        StreamExecutionEnvironment environment = environment(Path.of(flags.getRequired("dir")));
        DataStream<Usage> usages =
                environment.fromSource(
                        source(flags, isOptimised ? new FastUsageReader() : new UsageReader()),
                        WatermarkStrategy.forBoundedOutOfOrderness(OUT_OF_ORDERNESS),
                        "events");
        DataStream<Decision> decisions = isOptimised ? scorePanes(usages) : scoreWindows(usages);
        decisions.sinkTo(sink(flags)).name("decisions");
        environment.execute("windows");
    }

    private static StreamExecutionEnvironment environment(Path folder) {
        Configuration settings = new Configuration();
        settings.set(StateBackendOptions.STATE_BACKEND, "hashmap");
        settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT_INTERVAL);
        settings.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, folder.resolve("checkpoints").toUri().toString());
        settings.set(PipelineOptions.OBJECT_REUSE, true);
        // Flink would start a failing job again for ever; here a failure has to be seen.
        settings.set(RestartStrategyOptions.RESTART_STRATEGY, "none");
        return StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    }

    private static KafkaSource<Usage> source(ParameterTool flags, KafkaRecordDeserializationSchema<Usage> reader) {
        return KafkaSource.<Usage>builder()
                .setBootstrapServers(flags.getRequired("bootstrap"))
                .setTopics(flags.getRequired("input"))
                .setGroupId(flags.getRequired("group"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest())
                .setDeserializer(reader)
                .build();
    }

    private static DataStream<Decision> scoreWindows(DataStream<Usage> usages) {
        return usages.keyBy(usage -> usage.tenant)
                .window(SlidingEventTimeWindows.of(WINDOW_SIZE, WINDOW_STEP))
                .aggregate(new WindowTotals(), new ScoreWindows());
    }

    private static DataStream<Decision> scorePanes(DataStream<Usage> usages) {
        // One task holds every key, so the events need not be serialised and sent to it; with a second task they must.
        return DataStreamUtils.reinterpretAsKeyedStream(usages, usage -> usage.tenant, Types.STRING)
                .process(new ScorePanes());
    }

    private static KafkaSink<Decision> sink(ParameterTool flags) {
        return KafkaSink.<Decision>builder()
                .setBootstrapServers(flags.getRequired("bootstrap"))
                .setRecordSerializer(new DecisionWriter(flags.getRequired("output")))
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .build();
    }
}
