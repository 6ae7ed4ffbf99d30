package stillwatch.rivals;

/** A tenant's exponentially weighted mean and variance of the counts of its windows. */
public final class Baseline {
    private static final int WARM_UP_WINDOWS = 10;
    private static final double THRESHOLD = 3;

    public long windows;
    public double mean;
    public double variance;

    /** Whether a score is reason for a decision. */
    static boolean isDecision(double z) {
        return z >= THRESHOLD;
    }

    /** The z-score of {@code count} before it is learned, or 0 while warming up. */
    double scoreThenLearn(long count) {
        double d = count - mean;
        double z = windows >= WARM_UP_WINDOWS ? d / Math.sqrt(variance + 1) : 0;
        mean += .05 * d;
        variance = .95 * (variance + .05 * d * d);
        windows += 1;
        return z;
    }
}
