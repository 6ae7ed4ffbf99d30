"""NAB's real series by its own rule: the detector's baseline, what it could become, and rivals."""
