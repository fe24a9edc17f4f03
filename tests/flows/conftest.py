"""The HTTP face on either database."""

from tests.support.api_face import face, sqlite_face

__all__ = ["face", "sqlite_face"]
