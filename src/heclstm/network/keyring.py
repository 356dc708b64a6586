"""The system's keyring, which keeps the passphrase of a site's secret keys for whoever is logged in: Secret Service or
KWallet on Linux, those of macOS and Windows. The library keyring lives here.
"""

from __future__ import annotations

from typing import Any

from heclstm.errors import KeyringError, MissingLibraryError

SERVICE = "heclstm"  # its entries are named so, with the account that site.json holds
ENCRYPTED_PRIORITY = 1  # below it, says keyring, a backend is not recommended: files in clear


def keep(account: str, passphrase: str) -> None:
    """Raises KeyringError where there is no keyring that encrypts, or it refuses."""
    _asked(lambda ring: ring.set_password(SERVICE, account, passphrase))


def kept(account: str) -> str:
    """Raises KeyringError if it cannot be asked, or holds nothing of this account."""
    passphrase: str | None = _asked(lambda ring: ring.get_password(SERVICE, account))
    if passphrase is None:
        raise KeyringError(
            "keyring: holds no passphrase of this site, perhaps as another user or another machine made it; "
            "give --passphrase-file or set HECLSTM_PASSPHRASE; `heclstm connect --keyring` keeps it here again"
        )
    return passphrase


def forget(account: str) -> None:
    """Raises KeyringError if it cannot be asked. An entry that is not there is forgotten."""
    if _asked(lambda ring: ring.get_password(SERVICE, account)) is not None:
        _asked(lambda ring: ring.delete_password(SERVICE, account))


def require() -> None:
    """Raise KeyringError or MissingLibraryError unless there is a keyring that encrypts what it keeps."""
    try:
        import keyring
    except ModuleNotFoundError as error:
        text = "keyring: needs keyring, which is not installed; pip install 'heclstm[keyring]'"
        raise MissingLibraryError(text) from error
    chosen: Any = keyring.get_keyring()
    first = next(iter(getattr(chosen, "backends", ())), chosen)  # several, chained: the first one keeps
    if first.priority < ENCRYPTED_PRIORITY:
        raise KeyringError(
            f"keyring: none here that encrypts what it keeps (found {type(first).__module__}); unlock the desktop's "
            "own, or give --passphrase-file or set HECLSTM_PASSPHRASE"
        )


def _asked(question: Any) -> Any:
    require()
    import keyring

    try:
        return question(keyring)
    except Exception as error:  # of whatever stands behind it: D-Bus, a dialogue that was closed; its text may tell all
        raise KeyringError(
            f"keyring: did not answer ({type(error).__name__}); unlock it, or give --passphrase-file or set "
            "HECLSTM_PASSPHRASE"
        ) from error
