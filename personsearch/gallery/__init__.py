"""Galleries: the people of a source and their embeddings, stored in one Lance table."""

from personsearch.gallery.gallery import Gallery
from personsearch.gallery.location import default_location
from personsearch.gallery.scenes import scene_embeddings
from personsearch.gallery.table import FileFacts, FramePeople, ImageRecord, ModelKey, People, Storage
from personsearch.gallery.temporary import temporary_gallery
from personsearch.gallery.videos import PeopleOfGalleries, PeopleOfVideos
from personsearch.gallery.where import Where, people_where, where_options

__all__ = [
    "FileFacts",
    "FramePeople",
    "Gallery",
    "ImageRecord",
    "ModelKey",
    "People",
    "PeopleOfGalleries",
    "PeopleOfVideos",
    "Storage",
    "Where",
    "default_location",
    "people_where",
    "scene_embeddings",
    "temporary_gallery",
    "where_options",
]
