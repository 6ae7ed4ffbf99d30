"""One campaign spread over three providers: what each finds alone, and what all find with each other's bundles."""
