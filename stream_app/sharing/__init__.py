"""Indicators of campaigns between providers: signed STIX 2.1 bundles of keyed sketches, and what of one is believed."""
