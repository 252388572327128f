"""Galleries: the people of a source and their embeddings, stored in one Lance table."""

from personsearch.gallery.gallery import Gallery
from personsearch.gallery.location import default_location
from personsearch.gallery.scenes import scene_embeddings
from personsearch.gallery.table import FileFacts, FramePeople, ImageRecord, ModelKey, People, Storage
from personsearch.gallery.temporary import temporary_gallery
from personsearch.gallery.videos import PeopleOfVideos

__all__ = [
    "FileFacts",
    "FramePeople",
    "Gallery",
    "ImageRecord",
    "ModelKey",
    "People",
    "PeopleOfVideos",
    "Storage",
    "default_location",
    "scene_embeddings",
    "temporary_gallery",
]
