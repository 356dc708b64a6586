"""Key files, queries and results as tests take them apart and put them together."""

import json

from heclstm.storage.container import Message, received
from heclstm.storage.json import digest_of


def read_file(source, kind):
    """Its blobs by name, in order; the checksum is compared behind the last."""
    with received(source, kind) as message:
        yield from message.blobs()


def write_file(path, header, blobs):
    Message(header, blobs).save(path)


def sealed(data):
    """A case or diagnosis in plain JSON types, with the digest that fits: as whoever forges one would write it."""
    data = {name: value for name, value in data.items() if name != "digest"}
    return json.dumps({**data, "digest": digest_of(data)}).encode()
