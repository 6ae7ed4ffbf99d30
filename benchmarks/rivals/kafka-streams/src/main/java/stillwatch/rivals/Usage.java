package stillwatch.rivals;

/** What the job reads of one event. */
record Usage(long tokens, int status) {
    boolean isError() {
        return status >= 400;
    }
}
