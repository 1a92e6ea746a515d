"""Servers on this machine that stand for those in the net: they may cut, lie, refuse and disappear."""
import http.server
import re
import socket


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` ({path: bytes}) and notes in `asked` the (path, Range header) of each request.

    cut      the number of bytes after which each answer ends, though its header promises all
    ranges   whether it understands Range
    """
    daemon_threads = True

    def __init__(self, files, cut=None, ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.cut, self.ranges, self.asked = files, cut, ranges, []
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for a Mirror."""

    def do_GET(self):
        content, start = self.server.files.get(self.path[1:]), 0
        self.server.asked.append((self.path[1:], self.headers.get("Range")))
        if content is None:
            return self.send_error(404)
        if self.server.ranges and "Range" in self.headers:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:self.server.cut])

    def log_message(self, *arguments):
        pass


def dead():
    """The address of a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"
