package stillwatch.rivals;

import org.apache.flink.api.common.functions.AggregateFunction;

/** Sums a window as its events arrive, so that a window costs three numbers. */
final class WindowTotals implements AggregateFunction<Usage, Totals, Totals> {
    @Override
    public Totals createAccumulator() {
        return new Totals();
    }

    @Override
    public Totals add(Usage usage, Totals totals) {
        totals.add(usage);
        return totals;
    }

    @Override
    public Totals getResult(Totals totals) {
        return totals;
    }

    @Override
    public Totals merge(Totals left, Totals right) {
        left.add(right);
        return left;
    }
}
