"""A stand-in for the hub: the calls of its API that a download makes, over files in a folder, on this machine."""

import hashlib
import http.server
import json
import threading
import urllib.parse
from pathlib import Path

COMMIT = "a1b2c3d4" * 5


class Hub:
    """Serves `root/OWNER/NAME/...`.

    cut_after: bytes after which a large answer breaks off, and all that follow at once.  asked: what was asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cut_after: int | None = None
        self.lie = False  # names other hashes than the files have
        self.asked: list[tuple[str, str, str | None]] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                path = urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
                hub.asked.append((self.command, path, self.headers.get("Range")))
                parts = path.strip("/").split("/")
                if parts[:2] == ["api", "models"]:
                    hub.describe(self, "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
                elif len(parts) > 4 and parts[2] == "resolve":
                    hub.send(self, hub.root / parts[0] / parts[1] / "/".join(parts[4:]), body)
                else:
                    hub.refuse(self, "EntryNotFound")

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def describe(self, handler: http.server.BaseHTTPRequestHandler, repository: str, revision: str) -> None:
        folder = self.root / repository
        if not folder.is_dir():
            self.refuse(handler, "RepoNotFound")
            return
        if revision not in ("main", COMMIT):
            self.refuse(handler, "RevisionNotFound")
            return
        siblings = [self.sibling(path, path.relative_to(folder).as_posix()) for path in folder.rglob("*") if path.is_file()]
        data = json.dumps({"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def sibling(self, path: Path, name: str) -> dict[str, object]:
        size = path.stat().st_size
        described: dict[str, object] = {"rfilename": name, "size": size, "blobId": "0"}
        if path.suffix != ".json":
            described["lfs"] = {"sha256": self.digest(path), "size": size, "pointerSize": 1}
        return described

    def digest(self, path: Path) -> str:
        return "0" * 64 if self.lie else hashlib.sha256(path.read_bytes()).hexdigest()

    def send(self, handler: http.server.BaseHTTPRequestHandler, path: Path, body: bool) -> None:
        if not path.is_file():
            self.refuse(handler, "EntryNotFound")
            return
        data = path.read_bytes()
        begin = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        handler.send_response(206 if begin else 200)
        handler.send_header("X-Repo-Commit", COMMIT)
        handler.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        handler.send_header("Accept-Ranges", "bytes")
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        if not body:
            return
        rest = data[begin:]
        if self.cut_after is not None and len(rest) > self.cut_after:
            handler.wfile.write(rest[: self.cut_after])
            handler.wfile.flush()
            self.cut_after = 0
            handler.connection.close()
            handler.close_connection = True
            return
        handler.wfile.write(rest)

    def refuse(self, handler: http.server.BaseHTTPRequestHandler, code: str) -> None:
        handler.send_response(404)
        handler.send_header("X-Error-Code", code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
