package stillwatch.rivals;

/** One window of one tenant that was far above the tenant's baseline. */
public final class Decision {
    public String tenant;
    public long windowEndMs;
    public long count;
    public long tokens;
    public long errors;
    public double z;

    public Decision() {}

    Decision(String tenant, long windowEndMs, Totals totals, double z) {
        this.tenant = tenant;
        this.windowEndMs = windowEndMs;
        this.count = totals.count;
        this.tokens = totals.tokens;
        this.errors = totals.errors;
        this.z = z;
    }
}
