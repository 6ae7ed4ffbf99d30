package stillwatch.rivals;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serializer;

/** Writes decisions as JSON. */
final class DecisionWriter implements Serializer<Decision> {
    private final JsonFactory json = new JsonFactory();

    @Override
    public byte[] serialize(String topic, Decision decision) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(160);
        try (JsonGenerator writer = json.createGenerator(bytes)) {
            writer.writeStartObject();
            writer.writeStringField("tenant_id", decision.tenant());
            writer.writeNumberField("window_end_ms", decision.windowEndMs());
            writer.writeNumberField("count", decision.totals().count());
            writer.writeNumberField("tokens", decision.totals().tokens());
            writer.writeNumberField("errors", decision.totals().errors());
            writer.writeNumberField("z", decision.z());
            writer.writeEndObject();
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return bytes.toByteArray();
    }
}
