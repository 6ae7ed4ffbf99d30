package stillwatch.rivals;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import org.apache.flink.api.common.serialization.DeserializationSchema.InitializationContext;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** Reads the few fields of an event that the job needs with Jackson's streaming parser, its cheapest way. */
final class UsageReader implements KafkaRecordDeserializationSchema<Usage> {
    private transient JsonFactory json;

    @Override
    public void open(InitializationContext context) {
        json = new JsonFactory();
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Usage> out) throws IOException {
        Usage usage = new Usage();
        try (JsonParser parser = json.createParser(record.value())) {
            parser.nextToken();
            for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
                JsonToken token = parser.nextToken();
                switch (field) {
                    case "tenant_id" -> usage.tenant = parser.getText();
                    case "status_code" -> usage.status = parser.getIntValue();
                    case "input_tokens", "output_tokens" -> usage.tokens += parser.getLongValue();
                    default -> {
                        if (token.isStructStart()) {
                            parser.skipChildren();
                        }
                    }
                }
            }
        }
        out.collect(usage);
    }

    @Override
    public TypeInformation<Usage> getProducedType() {
        return TypeInformation.of(Usage.class);
    }
}
