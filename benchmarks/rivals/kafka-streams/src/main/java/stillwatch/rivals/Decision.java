package stillwatch.rivals;

/** One window of one tenant that was far above the tenant's baseline. */
record Decision(String tenant, long windowEndMs, Totals totals, double z) {}
