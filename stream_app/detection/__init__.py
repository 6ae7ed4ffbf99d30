"""The decision logic, without IO: it reads no clock, no environment, no socket and no global random state."""
