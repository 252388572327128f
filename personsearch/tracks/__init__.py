"""Tracks: one person's stretch of neighbouring video frames, linked by place and appearance."""

from personsearch.tracks.linking import link
from personsearch.tracks.spells import GAP, PeopleOf, Sightings, SpellFinder, check_gap, group_by_spell

__all__ = ["GAP", "PeopleOf", "Sightings", "SpellFinder", "check_gap", "group_by_spell", "link"]
