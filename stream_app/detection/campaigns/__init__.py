"""Campaigns: accounts that look ordinary one by one, seen as one operation."""
