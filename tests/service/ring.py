"""A keyring that encrypts, as it says, in memory."""

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Ring(KeyringBackend):
    """kept: {(service, account): passphrase}. locked: refuses all."""

    priority = 5

    def __init__(self):
        super().__init__()
        self.kept, self.locked = {}, False

    def _open(self):
        if self.locked:
            raise KeyringLocked("the passphrase is hunter2")
        return self.kept

    def get_password(self, service, username):
        return self._open().get((service, username))

    def set_password(self, service, username, password):
        self._open()[service, username] = password

    def delete_password(self, service, username):
        del self._open()[service, username]
