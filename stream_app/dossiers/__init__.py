"""Dossiers: everything known of one campaign, put down so that others can read it, check it and keep it."""
