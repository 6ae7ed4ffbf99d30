package stillwatch.rivals;

/** Sums over a span of event time. */
public final class Totals {
    public long count;
    public long tokens;
    public long errors;

    void add(Usage usage) {
        count += 1;
        tokens += usage.tokens;
        errors += usage.isError() ? 1 : 0;
    }

    void add(Totals other) {
        count += other.count;
        tokens += other.tokens;
        errors += other.errors;
    }
}
