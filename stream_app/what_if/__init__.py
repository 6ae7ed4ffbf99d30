"""Two policies over the same history: what each decides, and for whom that differs. No IO, no clock."""
