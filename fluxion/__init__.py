"""Shared by every stage; imports none of them."""
