"""The bytes of files: a folder, or a bucket of S3, Google or Azure, through obstore.

What a file is (its name, whose it is, how long it is kept) is a row of the store; here are only keys and
bytes. Bytes are written first and named by a row second, so a crash in between leaves bytes without a row,
which the sweep removes, and never a row without bytes.
"""

from webhookd.adapters.files.bucket import Bucket
from webhookd.adapters.files.opening import open_bucket

__all__ = ["Bucket", "open_bucket"]
