package stillwatch.rivals;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** A tenant's exponentially weighted mean and variance of the counts of its windows. */
record Baseline(long windows, double mean, double variance) {
    static final Baseline NONE = new Baseline(0, 0, 0);

    private static final int WARM_UP_WINDOWS = 10;
    private static final double THRESHOLD = 3;

    /** Whether a score is reason for a decision. */
    static boolean isDecision(double z) {
        return z >= THRESHOLD;
    }

    /** The z-score of {@code count}, or 0 while warming up. */
    double score(long count) {
        return windows >= WARM_UP_WINDOWS ? (count - mean) / Math.sqrt(variance + 1) : 0;
    }

    Baseline learn(long count) {
        double d = count - mean;
        return new Baseline(windows + 1, mean + .05 * d, .95 * (variance + .05 * d * d));
    }

    static Serde<Baseline> serde() {
        return Serdes.serdeFrom((topic, baseline) -> baseline.encode(), (topic, bytes) -> decode(bytes));
    }

    private byte[] encode() {
        return ByteBuffer.allocate(Long.BYTES + 2 * Double.BYTES)
                .putLong(windows)
                .putDouble(mean)
                .putDouble(variance)
                .array();
    }

    private static Baseline decode(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        return new Baseline(buffer.getLong(), buffer.getDouble(), buffer.getDouble());
    }
}
