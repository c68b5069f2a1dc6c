"""A small server of the OpenAI protocol, as a program: python chat_server.py PORT. "poison" in a prompt ends it."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.tell({"data": [{"id": "tiny"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        time.sleep(0.05)  # so that several are in it at once
        if "poison" in prompt:
            os._exit(3)
        choice = {"message": {"content": f"so: {prompt}"}, "finish_reason": "stop"}
        self.tell({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    def tell(self, what: object) -> None:
        known = self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
        text = json.dumps(what).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *given: object) -> None:
        pass


if __name__ == "__main__":
    print("begins", os.getpid(), flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
