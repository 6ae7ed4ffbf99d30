package stillwatch.rivals;

import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** Scores a tenant's windows, which close in the order of their ends; the baseline outlives the window. */
final class ScoreWindows extends ProcessWindowFunction<Totals, Decision, String, TimeWindow> {
    private static final ValueStateDescriptor<Baseline> BASELINE =
            new ValueStateDescriptor<>("baseline", Baseline.class);

    @Override
    public void process(String tenant, Context context, Iterable<Totals> closed, Collector<Decision> out)
            throws Exception {
        Totals totals = closed.iterator().next();
        ValueState<Baseline> state = context.globalState().getState(BASELINE);
        Baseline baseline = state.value();
        if (baseline == null) {
            baseline = new Baseline();
        }
        double z = baseline.scoreThenLearn(totals.count);
        state.update(baseline);
        if (Baseline.isDecision(z)) {
            out.collect(new Decision(tenant, context.window().getEnd(), totals, z));
        }
    }
}
