package stillwatch.rivals;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.serialization.SerializationSchema.InitializationContext;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Writes decisions as JSON, keyed by tenant; the producer's own partitioner places them. */
final class DecisionWriter implements KafkaRecordSerializationSchema<Decision> {
    private final String topic;
    private transient JsonFactory json;

    DecisionWriter(String topic) {
        this.topic = topic;
    }

    @Override
    public void open(InitializationContext context, KafkaSinkContext sinkContext) {
        json = new JsonFactory();
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Decision decision, KafkaSinkContext context, Long timestampMs) {
        byte[] key = decision.tenant.getBytes(StandardCharsets.UTF_8);
        return new ProducerRecord<>(topic, null, decision.windowEndMs, key, value(decision));
    }

    private byte[] value(Decision decision) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(160);
        try (JsonGenerator writer = json.createGenerator(bytes)) {
            writer.writeStartObject();
            writer.writeStringField("tenant_id", decision.tenant);
            writer.writeNumberField("window_end_ms", decision.windowEndMs);
            writer.writeNumberField("count", decision.count);
            writer.writeNumberField("tokens", decision.tokens);
            writer.writeNumberField("errors", decision.errors);
            writer.writeNumberField("z", decision.z);
            writer.writeEndObject();
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return bytes.toByteArray();
    }
}
