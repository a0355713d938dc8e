"""A Hugging Face Hub on loopback: answers what `huggingface_hub` asks to read and to upload."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

TOKEN = "hf_of_the_owner"


class FakeHub:
    """Repositories of models, each a list of commits `{path: bytes}`.

    Attributes:
        repos: commits by repository, oldest first.
        private: names of repositories that are shown only for TOKEN.
        asked: method and path of each request.
        url: where it answers.
    """

    def __init__(self):
        self.repos, self.private, self.asked, self.url = {}, set(), [], ""

    def commit(self, repo, files):
        """Adds a commit that changes some files; returns its hash."""
        commits = self.repos.setdefault(repo, [])
        commits.append({**(commits[-1] if commits else {}), **files})
        return self.sha(repo, len(commits) - 1)

    def sha(self, repo, index):
        return hashlib.sha1(f"{repo} {index}".encode()).hexdigest()

    def files(self, repo, revision):
        """The hash and the files of a revision; `None` if there is none."""
        commits = self.repos[repo]
        names = {self.sha(repo, index): index for index in range(len(commits))}
        names |= {"main": len(commits) - 1, "v1": 0}
        if revision not in names:
            return None
        return self.sha(repo, names[revision]), commits[names[revision]]


@contextlib.contextmanager
def hub():
    """Yields a running `FakeHub`."""
    fake = FakeHub()

    class Handler(_Handler):
        hub = fake

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._read()

    def do_HEAD(self):
        self._read()

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        path = self._path()
        if path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, None, "Invalid credentials")
        elif path == "/api/repos/create":
            wanted = json.loads(body)
            repo = f"{wanted['organization']}/{wanted['name']}"
            if wanted["organization"] != "owner":
                self._refuse(403, None, "You don't have the rights to create a model there")
            elif repo in self.hub.repos:
                self._answer({"error": "It is there", "url": f"{self.hub.url}/{repo}"}, 409)
            else:
                self.hub.commit(repo, {})
                if wanted.get("visibility") == "private" or wanted.get("private"):
                    self.hub.private.add(repo)
                self._answer({"url": f"{self.hub.url}/{repo}"})
        elif match := re.fullmatch(r"/api/models/(\w+/\w+)/preupload/main", path):
            files = json.loads(body)["files"]
            modes = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in files
            ]
            self._answer({"files": modes})
        elif match := re.fullmatch(r"/api/models/(\w+/\w+)/commit/main", path):
            lines = [json.loads(line) for line in body.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            sha = self.hub.commit(
                match[1], {file["path"]: base64.b64decode(file["content"]) for file in files}
            )
            self._answer({"commitUrl": f"{self.hub.url}/{match[1]}/commit/{sha}", "commitOid": sha})
        else:
            self._refuse(404, None, f"No such address: {path}")

    def _read(self):
        path = self._path()
        match = re.fullmatch(
            r"/(?:api/models/)?(?P<repo>\w+/\w+)(?:/(?P<kind>revision|tree|resolve)/"
            r"(?P<revision>[\w-]+)(?:/(?P<file>.+))?)?",
            path,
        )
        repo = match["repo"] if match else ""
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo not in self.hub.repos or (repo in self.hub.private and not known):
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
            return
        found = self.hub.files(repo, match["revision"] or "main")
        if found is None:
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
            return
        sha, files = found
        if match["kind"] == "resolve":
            content = files.get(match["file"])
            if content is None:
                self._refuse(404, "EntryNotFound", "Entry not found")
            else:
                digest = hashlib.sha256(content).hexdigest()
                self._send(200, content, {"ETag": f'"{digest}"', "X-Repo-Commit": sha})
        elif match["kind"] == "tree":
            entries = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for name, content in files.items()
            ]
            self._answer(entries)
        else:
            siblings = [{"rfilename": name} for name in files]
            private = repo in self.hub.private
            self._answer({"id": repo, "sha": sha, "siblings": siblings, "private": private})

    def _path(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        return path

    def _answer(self, content, status=200):
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status, code, message):
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status, content, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass
