"""Diagnoses from encrypted sequences of medical images.

    hospital       Client         makes keys, encrypts images, decrypts results
                   ImageSequence  the images of one patient, as a program takes them
                   Diagnosis      score, decision, what each frame contributed
                   Remote         a server at a URL, which all of this is done with; AsyncRemote in an event loop
    server         Server         evaluates a program on what is encrypted; holds no secret key
                   TenantKeys     one hospital's evaluation keys, opened by a server
    model owner    Model          a trained network; `load_model` reads one
                   compile_model  model → program, with `Options`
                   Program        what is deployed; `save_program`, `load_program`
    all            load_card      what a hospital may know of a program, a ProgramCard
                   Message        a key file, query or result: bytes that travel
                   HeclstmError   the root of all errors (`heclstm.errors`)

Names are loaded when they are used: importing heclstm loads neither NumPy nor the native engine.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which takes longer to load than all of this
if TYPE_CHECKING:
    from heclstm.card.program_card import ProgramCard
    from heclstm.compiler.compile import Options, compile_model
    from heclstm.data.sequence import ImageSequence
    from heclstm.deploy.client import Client
    from heclstm.deploy.diagnosis import Diagnosis
    from heclstm.deploy.server import Server, TenantKeys
    from heclstm.errors import HeclstmError
    from heclstm.model.weights import Model, load_model
    from heclstm.network.remote import AsyncRemote, Remote
    from heclstm.program.files import load_program, save_program
    from heclstm.program.program import Program
    from heclstm.program.public import load_card
    from heclstm.storage.container import Message

__version__: str  # see __getattr__
__all__ = [
    "AsyncRemote",
    "Client",
    "Diagnosis",
    "HeclstmError",
    "ImageSequence",
    "Message",
    "Model",
    "Options",
    "Program",
    "ProgramCard",
    "Remote",
    "Server",
    "TenantKeys",
    "compile_model",
    "load_card",
    "load_model",
    "load_program",
    "save_program",
]

# Where each name lives; a test holds it to what type checkers read above.
_HOMES = {
    "AsyncRemote": "network.remote",
    "Client": "deploy.client",
    "Diagnosis": "deploy.diagnosis",
    "HeclstmError": "errors",
    "ImageSequence": "data.sequence",
    "Message": "storage.container",
    "Model": "model.weights",
    "Options": "compiler.compile",
    "Program": "program.program",
    "ProgramCard": "card.program_card",
    "Remote": "network.remote",
    "Server": "deploy.server",
    "TenantKeys": "deploy.server",
    "compile_model": "compiler.compile",
    "load_card": "program.public",
    "load_model": "model.weights",
    "load_program": "program.files",
    "save_program": "program.files",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _HOMES:
        raise AttributeError(f"heclstm has no {name!r}; it has {', '.join(__all__)}")
    try:
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        from heclstm.extras import missing

        if told := missing(error, name):
            raise told from error
        raise
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
