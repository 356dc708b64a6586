"""Key files, queries and results as tests take them apart and put them together."""

from heclstm.storage.container import Message, received


def read_file(source, kind):
    """Its blobs by name, in order; the checksum is compared behind the last."""
    with received(source, kind) as message:
        yield from message.blobs()


def write_file(path, header, blobs):
    Message(header, blobs).save(path)
