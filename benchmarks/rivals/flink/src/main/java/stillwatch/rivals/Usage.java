package stillwatch.rivals;

/** What the job reads of one event; public fields and an empty constructor make it a Flink POJO. */
public final class Usage {
    public String tenant;
    public long tokens;
    public int status;

    public boolean isError() {
        return status >= 400;
    }
}
