"""The rows of staged data: what is stored (Content), what people call it (Item), and what is still arriving (Upload).

A content lies in the store at a place of its own, named by the id of the upload that brought it, and never changes. So
no two processes ever write or delete at the same place with different things in mind: an object whose place neither a
content nor a living upload names is garbage, whoever was killed where, and a sweep removes it.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from neurocaas.server.jobs.kinds import Look
from neurocaas.server.jobs.models import Group
from neurocaas.storage import keys


class Form(models.TextChoices):
    """A file, or a folder of files."""

    FILE = "file"
    FOLDER = "folder"


class State(models.TextChoices):
    """Where an upload is. CHECKING: everything arrived, digests are being computed. GONE: given up, or too old."""

    RECEIVING = "receiving"
    CHECKING = "checking"
    COMPLETE = "complete"
    FAILED = "failed"
    GONE = "gone"


ARRIVING = (State.RECEIVING, State.CHECKING)


class Content(models.Model):
    """Bytes of a group, stored once however often they were uploaded. Its id is its place in the store.

    parts: a folder's files: path, SHA-256, size. head, whole_zip: what tells a file's kind. unused_since: when the last
    item of it was deleted; it is removed a while later, since a job that was staged before may be on its way.
    """

    id = models.UUIDField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="contents")
    sha256 = models.CharField(max_length=64)
    form = models.CharField(max_length=6, choices=Form)
    size_bytes = models.BigIntegerField()
    parts: models.JSONField[list[tuple[str, str, int]], list[tuple[str, str, int]]] = models.JSONField(default=list)
    head = models.BinaryField(max_length=16, default=b"")
    whole_zip = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    unused_since = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "sha256", "form"], name="stored_once_per_group")
        ]
        indexes: ClassVar = [models.Index(fields=["unused_since"])]

    def __str__(self) -> str:
        return f"content {self.id}"

    @property
    def key(self) -> str:
        """The key of the file, or the prefix of the folder's files."""
        named = keys.content_file if self.form == Form.FILE else keys.content_folder
        return named(self.group_id, self.id.hex)

    @property
    def look(self) -> Look:
        return Look(head=bytes(self.head), zip=self.whole_zip)


class Item(models.Model):
    """One staged file or folder of a group, as people see it. origin: the URL that it came from, if it was fetched."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="items")
    content = models.ForeignKey(Content, on_delete=models.PROTECT, related_name="items")
    name = models.CharField(max_length=255)
    uploaded_by = models.CharField(max_length=80)
    origin = models.TextField(blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    keep = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["content", "name"], name="one_item_of_a_name")]
        indexes: ClassVar = [models.Index(fields=["group", "-created_at", "-id"]), models.Index(fields=["expires_at"])]

    def __str__(self) -> str:
        return f"item {self.name}"


class Tag(models.Model):
    """A word that people find an item by."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="tags")
    text = models.CharField(max_length=60)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["item", "text"], name="a_tag_once")]
        indexes: ClassVar = [models.Index(fields=["text"])]

    def __str__(self) -> str:
        return self.text


class Upload(models.Model):
    """Something on its way. item: what it became. message: why it failed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="uploads")
    user = models.CharField(max_length=80)
    name = models.CharField(max_length=255)
    form = models.CharField(max_length=6, choices=Form)
    tags: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    origin = models.TextField(blank=True)
    size_bytes = models.BigIntegerField()
    state = models.CharField(max_length=9, choices=State, default=State.RECEIVING)
    message = models.TextField(blank=True)
    item = models.ForeignKey(Item, on_delete=models.SET_NULL, null=True, related_name="uploads")
    created_at = models.DateTimeField()
    touched_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["group", "state"]), models.Index(fields=["state", "touched_at"])]

    def __str__(self) -> str:
        return f"upload {self.id}"


class UploadFile(models.Model):
    """One file of an upload. expected_sha256: as the sender says; sha256: as found. multipart: S3's name for it."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="files")
    index = models.PositiveIntegerField()
    path = models.TextField()
    size_bytes = models.BigIntegerField()
    expected_sha256 = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    received_bytes = models.BigIntegerField(default=0)
    multipart = models.TextField(blank=True)
    done = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["upload", "index"], name="upload_file_index")]

    def __str__(self) -> str:
        return f"file {self.path}"

    @property
    def key(self) -> str:
        """Where it lies, or will lie, in the store."""
        upload, place = self.upload, self.upload.id.hex
        if upload.form == Form.FILE:
            return keys.content_file(upload.group_id, place)
        return keys.content_folder_file(upload.group_id, place, self.path)
