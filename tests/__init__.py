"""Tests run against the real services of the local stack."""
