package stillwatch.rivals;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** The same windows from panes of 10 s: one state access an event instead of six, one timer a tenant and pane. */
final class ScorePanes extends KeyedProcessFunction<String, Usage, Decision> {
    private transient ValueState<TenantPanes> state;

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext().getState(new ValueStateDescriptor<>("panes", TenantPanes.class));
    }

    @Override
    public void processElement(Usage usage, Context context, Collector<Decision> out) throws Exception {
        TenantPanes tenant = state.value();
        if (tenant == null) {
            tenant = new TenantPanes();
            state.update(tenant);
        }
        long pane = Math.floorDiv(context.timestamp(), TenantPanes.PANE_MS);
        // The heap backend hands out its own object (a copy while a snapshot is taken), so adding is storing.
        if (tenant.add(pane, usage) && pane + 1 < tenant.nextEnd) {
            tenant.nextEnd = pane + 1;
            context.timerService().registerEventTimeTimer(timerMs(tenant.nextEnd));
        }
    }

    @Override
    public void onTimer(long timestampMs, OnTimerContext context, Collector<Decision> out) throws Exception {
        TenantPanes tenant = state.value();
        long end = (timestampMs + 1) / TenantPanes.PANE_MS;
        Totals totals = tenant.totals(end);
        double z = tenant.baseline.scoreThenLearn(totals.count);
        if (Baseline.isDecision(z)) {
            out.collect(new Decision(context.getCurrentKey(), end * TenantPanes.PANE_MS, totals, z));
        }
        tenant.close(end);
        if (tenant.nextEnd != TenantPanes.NONE) {
            context.timerService().registerEventTimeTimer(timerMs(tenant.nextEnd));
        }
    }

    // Flink's watermark t says that no event at or before t is to come.
    private static long timerMs(long end) {
        return end * TenantPanes.PANE_MS - 1;
    }
}
