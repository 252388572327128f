"""Galleries: the people of a source and their embeddings, stored in one Lance table."""

from personsearch.gallery.changes import add_files, settle_index, write_files
from personsearch.gallery.clusters import Person
from personsearch.gallery.gallery import Gallery
from personsearch.gallery.location import default_location
from personsearch.gallery.records import NEVER, ImageRecords, Replaced
from personsearch.gallery.removal import rows_a_file
from personsearch.gallery.scenes import scene_embeddings
from personsearch.gallery.shards import file_count, people_of_files
from personsearch.gallery.snapshot import next_time
from personsearch.gallery.stored import GalleryInfo, describe, galleries_of, stored_galleries
from personsearch.gallery.table import FileFacts, FramePeople, ImageRecord, ModelKey, People, Storage
from personsearch.gallery.temporary import temporary_gallery
from personsearch.gallery.unseen import PARTIAL, AllUnseen, Unseen
from personsearch.gallery.unseen import change as change_unseen
from personsearch.gallery.videos import PeopleOfGalleries, PeopleOfVideos, people_of
from personsearch.gallery.where import Where, people_where, where_options

__all__ = [
    "NEVER",
    "PARTIAL",
    "AllUnseen",
    "FileFacts",
    "FramePeople",
    "Gallery",
    "GalleryInfo",
    "ImageRecord",
    "ImageRecords",
    "ModelKey",
    "People",
    "PeopleOfGalleries",
    "PeopleOfVideos",
    "Person",
    "Replaced",
    "Storage",
    "Unseen",
    "Where",
    "add_files",
    "change_unseen",
    "default_location",
    "describe",
    "file_count",
    "galleries_of",
    "next_time",
    "people_of",
    "people_of_files",
    "people_where",
    "rows_a_file",
    "scene_embeddings",
    "settle_index",
    "stored_galleries",
    "temporary_gallery",
    "where_options",
    "write_files",
]
