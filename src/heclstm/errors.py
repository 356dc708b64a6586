"""Everything that heclstm raises on purpose.

    HeclstmError                      catch this to catch all; the command line turns it into exit code 2
    ├── InputError                    what the hospital handed in
    │   ├── SequenceError             wrong length, size, channel count, NaN, no image
    │   │   └── NotAssessableError    too few frames for a decision; the command line ends with exit code 3
    │   ├── EnvelopeError             images unlike those of training, and nobody said why to encrypt them
    │   ├── RangeError                a value leaves its calibrated or fitted interval
    │   ├── PassphraseError           a passphrase does not open what it should
    │   └── KeyringError              the system's keyring cannot be asked, or does not hold the passphrase
    ├── ModelError                    a model that cannot be read, or that the compiler cannot express
    │   └── DivergedError             a training whose loss is no longer finite
    ├── LayoutError                   a tensor does not fit its slots, or two layouts do not match
    ├── LevelError                    a ciphertext has too few levels, or two have different ones
    ├── ScaleError                    two ciphertexts have different scales
    ├── ParameterError                parameters are inconsistent
    │   └── SecurityError             parameters are weaker than asked for
    ├── FileFormatError               truncated, oversized, foreign or newer files and messages
    │   └── DigestError               made for another program, or altered on the way
    │       └── SignatureError        not signed by the model owner whom the hospital trusts
    ├── ConfigError                   the configuration of a service has mistakes; the text names all of them
    ├── NetworkError                  a server cannot be reached, or does not speak as one of heclstm
    │   ├── CertificateError          who answers cannot prove to be that server
    │   └── RefusedError              the server answered with a problem; its code stands in docs/errors.md
    ├── OutputError                   a file cannot be written where it should go
    ├── ResourceError                 the system gives too little memory, or too few files or threads
    ├── MissingKeyError               an evaluation key is needed and absent
    ├── MissingLibraryError           a library is not installed; the text names the extra that brings it
    ├── Cancelled                     an evaluation was stopped by whoever asked for it
    ├── HandleError                   a native object was used after it was closed
    └── EngineError                   the native engine refused; the text says what and where

A message names place, got, expected, remedy. It never holds a pixel, a score or key material.
"""


class HeclstmError(Exception):
    """The root of all errors that heclstm raises on purpose."""


class InputError(HeclstmError):
    """What was handed in cannot be used."""


class SequenceError(InputError):
    """An image sequence has the wrong length, size, channel count or content."""


class NotAssessableError(SequenceError):
    """A sequence has too few frames, as a model was measured, for a decision."""


class EnvelopeError(InputError):
    """Prepared images are unlike those that a model was trained on."""


class RangeError(InputError):
    """A value leaves the interval on which a polynomial was fitted or a layer calibrated."""


class PassphraseError(InputError):
    """A passphrase does not open what it should."""


class KeyringError(InputError):
    """The system's keyring cannot be asked, or does not hold the passphrase that it should."""


class ModelError(HeclstmError):
    """A model cannot be read, or the compiler cannot express it."""


class DivergedError(ModelError):
    """A training went wrong: its loss is no longer finite."""


class LayoutError(HeclstmError):
    """A tensor does not fit into the slots, or two layouts do not match."""


class LevelError(HeclstmError):
    """A ciphertext has too few levels for an operation, or two operands have different ones."""


class ScaleError(HeclstmError):
    """Two operands have different scales."""


class ParameterError(HeclstmError):
    """Encryption parameters are inconsistent with each other or with the program."""


class SecurityError(ParameterError):
    """Encryption parameters are weaker than the security level that was asked for."""


class FileFormatError(HeclstmError):
    """A file or message is truncated, oversized, foreign, or of an unknown version."""


class DigestError(FileFormatError):
    """A file belongs to another program, or was altered."""


class SignatureError(DigestError):
    """A program is not signed by the model owner whom the hospital trusts."""


class ConfigError(HeclstmError):
    """The configuration of a service has mistakes."""


class NetworkError(HeclstmError):
    """A server cannot be reached, or does not speak as one of heclstm."""


class CertificateError(NetworkError):
    """Who answers cannot prove to be the server that was asked for."""


class RefusedError(NetworkError):
    """The server answered with a problem. code: of docs/errors.md. successor: of a retired program, its digest.

    passing: it may be otherwise in a while; else the same request is never answered otherwise.
    """

    def __init__(self, text: str, code: str = "", successor: str | None = None, *, passing: bool = False) -> None:
        super().__init__(text)
        self.code, self.successor, self.passing = code, successor, passing


class OutputError(HeclstmError):
    """A file cannot be written where it should go; what stood there is untouched."""


class ResourceError(HeclstmError):
    """The system gives this process too little memory, or too few open files or threads."""


class MissingKeyError(HeclstmError):
    """An evaluation key that an operation needs is absent."""


class MissingLibraryError(HeclstmError):
    """A library is not installed; the text names the extra that brings it."""


class Cancelled(HeclstmError):
    """An evaluation was stopped by whoever asked for it."""


class HandleError(HeclstmError):
    """A native object was used after it was closed."""


class EngineError(HeclstmError):
    """The native engine refused an operation."""
