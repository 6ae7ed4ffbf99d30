package stillwatch.rivals;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/** Reads the few fields of an event that the job needs with Jackson's streaming parser; the tenant is the key. */
final class UsageReader implements Deserializer<Usage> {
    private final JsonFactory json = new JsonFactory();

    @Override
    public Usage deserialize(String topic, byte[] value) {
        try (JsonParser parser = json.createParser(value)) {
            return read(parser);
        } catch (IOException error) {
            throw new SerializationException(error);
        }
    }

    private static Usage read(JsonParser parser) throws IOException {
        long tokens = 0;
        int status = 0;
        parser.nextToken();
        for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
            JsonToken token = parser.nextToken();
            switch (field) {
                case "status_code" -> status = parser.getIntValue();
                case "input_tokens", "output_tokens" -> tokens += parser.getLongValue();
                default -> {
                    if (token.isStructStart()) {
                        parser.skipChildren();
                    }
                }
            }
        }
        return new Usage(tokens, status);
    }
}
