"""A small server of the OpenAI protocol, as a program: python chat_server.py PORT [family].

"poison" in a prompt ends it; "stroke" leaves it there and dead inside, as vLLM whose engine has died. With a family it
starts a process that is in a session of its own and does not end when it is told to.
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHILD = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begins", os.getpid(), flush=True)
time.sleep(600)
"""


class Handler(BaseHTTPRequestHandler):
    dead = False

    def do_GET(self) -> None:
        self.tell({"data": [{"id": "tiny"}]}, 503 if self.dead and self.path == "/health" else 200)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        time.sleep(0.05)  # so that several are in it at once
        if "poison" in prompt:
            os._exit(3)
        if "stroke" in prompt:
            Handler.dead = True
        if self.dead:
            return self.tell({"error": "the engine is dead"}, 500)
        choice = {"message": {"content": f"so: {prompt}"}, "finish_reason": "stop"}
        self.tell({"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

    def tell(self, what: object, status: int = 200) -> None:
        known = self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
        text = json.dumps(what).encode()
        self.send_response(status if known else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *given: object) -> None:
        pass


if __name__ == "__main__":
    print("begins", os.getpid(), flush=True)
    if sys.argv[2:] == ["family"]:
        subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True)
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
