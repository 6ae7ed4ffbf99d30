package stillwatch.rivals;

import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Scores closed windows against their tenant's baseline, which it keeps in a store with a changelog. */
final class ScoreWindows implements Processor<Windowed<String>, Totals, String, Decision> {
    private static final String BASELINES = "baselines";

    private ProcessorContext<String, Decision> context;
    private KeyValueStore<String, Baseline> baselines;

    /** The processor and its store, on disk or in memory. */
    static ProcessorSupplier<Windowed<String>, Totals, String, Decision> supplier(boolean isOnDisk) {
        KeyValueBytesStoreSupplier store =
                isOnDisk ? Stores.persistentKeyValueStore(BASELINES) : Stores.inMemoryKeyValueStore(BASELINES);
        return new ProcessorSupplier<>() {
            @Override
            public Processor<Windowed<String>, Totals, String, Decision> get() {
                return new ScoreWindows();
            }

            @Override
            public Set<StoreBuilder<?>> stores() {
                return Set.of(
                        Stores.keyValueStoreBuilder(store, Serdes.String(), Baseline.serde()).withCachingEnabled());
            }
        };
    }

    @Override
    public void init(ProcessorContext<String, Decision> context) {
        this.context = context;
        baselines = context.getStateStore(BASELINES);
    }

    @Override
    public void process(Record<Windowed<String>, Totals> closed) {
        String tenant = closed.key().key();
        Totals totals = closed.value();
        Baseline known = baselines.get(tenant);
        Baseline baseline = known == null ? Baseline.NONE : known;
        double z = baseline.score(totals.count());
        baselines.put(tenant, baseline.learn(totals.count()));
        if (Baseline.isDecision(z)) {
            long endMs = closed.key().window().end();
            context.forward(new Record<>(tenant, new Decision(tenant, endMs, totals, z), endMs));
        }
    }
}
