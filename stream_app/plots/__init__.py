"""Pictures of a subject's windows: the core is re-run on its events, and what it knew is drawn."""
