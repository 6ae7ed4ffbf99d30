package stillwatch.rivals;

import java.util.Arrays;

/** A tenant's open panes of 10 s, oldest first, and its baseline; bounded by how far the watermark is behind. */
public final class TenantPanes {
    static final long PANE_MS = 10_000;
    static final int PANES_PER_WINDOW = 6;
    static final long NONE = Long.MAX_VALUE;

    public int size;
    public long[] panes = new long[8];
    public long[] counts = new long[8];
    public long[] tokens = new long[8];
    public long[] errors = new long[8];
    /** End of the earliest window a timer is set for, in panes. */
    public long nextEnd = NONE;
    public Baseline baseline = new Baseline();

    /** Add an event; whether its pane was not open before. */
    boolean add(long pane, Usage usage) {
        int at = size - 1;
        while (at >= 0 && panes[at] > pane) {
            at--;
        }
        boolean isNew = at < 0 || panes[at] != pane;
        if (isNew) {
            insert(++at, pane);
        }
        counts[at] += 1;
        tokens[at] += usage.tokens;
        errors[at] += usage.isError() ? 1 : 0;
        return isNew;
    }

    /** The totals of the window that ends at {@code end}, none of whose panes has been dropped. */
    Totals totals(long end) {
        Totals totals = new Totals();
        for (int at = 0; at < size && panes[at] < end; at++) {
            totals.count += counts[at];
            totals.tokens += tokens[at];
            totals.errors += errors[at];
        }
        return totals;
    }

    /** Forget what no window after {@code end} holds, and set {@code nextEnd}. */
    void close(long end) {
        if (size > 0 && panes[0] == end - PANES_PER_WINDOW) {
            size--;
            for (long[] column : new long[][] {panes, counts, tokens, errors}) {
                System.arraycopy(column, 1, column, 0, size);
            }
        }
        nextEnd = size == 0 ? NONE : Math.max(end, panes[0]) + 1;
    }

    private void insert(int at, long pane) {
        if (size == panes.length) {
            panes = Arrays.copyOf(panes, size * 2);
            counts = Arrays.copyOf(counts, size * 2);
            tokens = Arrays.copyOf(tokens, size * 2);
            errors = Arrays.copyOf(errors, size * 2);
        }
        for (long[] column : new long[][] {panes, counts, tokens, errors}) {
            System.arraycopy(column, at, column, at + 1, size - at);
            column[at] = 0;
        }
        panes[at] = pane;
        size++;
    }
}
