"""An S3 server on loopback for the tests: moto's, in a process of its own. Nobody checks a signature there."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import httpx

from service.kit import ENVIRONMENT, free_port, plain_client, wait_until

# what is erased must at least look signed
UNCHECKED = "AWS4-HMAC-SHA256 Credential=anybody/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@dataclass
class Store:
    """environment: how a process finds it. Buckets are looked at as anybody would, by HTTP and without fsspec."""

    process: subprocess.Popen
    http: httpx.Client
    environment: dict[str, str]

    def bucket(self, name: str) -> str:
        """A new one, with something of somebody else's beside our prefix; the URL for `blobs`."""
        self.http.put(f"/{name}").raise_for_status()
        self.put(f"{name}/heclstm-of-another", b"?")
        return f"s3://{name}/heclstm"

    def put(self, path: str, content: bytes) -> None:
        self.http.put(f"/{path}", content=content).raise_for_status()

    def delete(self, path: str) -> None:
        self.http.delete(f"/{path}", headers={"authorization": UNCHECKED}).raise_for_status()

    def names(self, bucket: str) -> set[str]:
        """Of all blobs below our prefix."""
        found = ElementTree.fromstring(self.http.get(f"/{bucket}", params={"prefix": "heclstm/"}).content)
        keys = {each.text for each in found.iter() if each.tag.endswith("}Key")}
        return {key.removeprefix("heclstm/") for key in keys}

    def close(self) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait()


def start_store() -> Store:
    port = free_port()
    log = Path(tempfile.mkdtemp()) / "store.log"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=ENVIRONMENT)
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    store = Store(process, plain_client(url), environment)
    try:
        wait_until(lambda: _answers(store), 30, log.read_text)
    except BaseException:
        store.close()
        raise
    return store


def _answers(store: Store) -> bool:
    assert store.process.poll() is None
    try:
        return store.http.get("/").status_code == 200
    except httpx.TransportError:
        return False
