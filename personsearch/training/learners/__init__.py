"""Learners: a network together with its losses."""
