"""An S3 server of this machine, as moto gives it, with one bucket."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from personsearch.boxes import Array

BUCKET = "bucket"


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """Start the server; yields the options that name it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    application, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_by_one(environ: Any, start_response: Any) -> Any:
        """One request at a time: moto's check of If-None-Match and its write are two steps, between which another write is lost."""
        with lock:
            return list(application(environ, start_response))

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            """Print nothing."""

    server = make_server("127.0.0.1", 0, one_by_one, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    options = {
        "aws_endpoint": f"http://{host}:{port}",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "aws_region": "us-east-1",
        "allow_http": "true",
    }
    try:
        client(options).create_bucket(Bucket=BUCKET)
        yield options
    finally:
        server.shutdown()


def client(options: dict[str, str]) -> Any:
    """A client of the server."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=options["aws_endpoint"],
        aws_access_key_id=options["aws_access_key_id"],
        aws_secret_access_key=options["aws_secret_access_key"],
        region_name=options["aws_region"],
    )


def put_picture(options: dict[str, str], key: str, pixels: Array) -> None:
    """Store a picture as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    client(options).put_object(Bucket=BUCKET, Key=key, Body=file.getvalue())
