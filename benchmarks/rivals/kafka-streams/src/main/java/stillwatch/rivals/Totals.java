package stillwatch.rivals;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Sums over a window. */
record Totals(long count, long tokens, long errors) {
    static final Totals NONE = new Totals(0, 0, 0);

    Totals plus(Usage usage) {
        return new Totals(count + 1, tokens + usage.tokens(), errors + (usage.isError() ? 1 : 0));
    }

    static Serde<Totals> serde() {
        return Serdes.serdeFrom(
                (topic, totals) -> totals == null ? null : totals.encode(), (topic, bytes) -> decode(bytes));
    }

    private byte[] encode() {
        return ByteBuffer.allocate(3 * Long.BYTES).putLong(count).putLong(tokens).putLong(errors).array();
    }

    private static Totals decode(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        return new Totals(buffer.getLong(), buffer.getLong(), buffer.getLong());
    }
}
