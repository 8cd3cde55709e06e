"""Asks a server with Python's standard library alone, and prints what it got as JSON."""
import base64
import json
import struct
import sys
import urllib.error
import urllib.request

picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"dog").decode()}}
messages = [{"role": "user", "content": [picture, {"type": "text", "text": "what?"}]}]
result = {}


def post(path, body):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=30)


with post("/v1/chat/completions", {"model": "scripted", "messages": messages, "flamingo": {"zero_shot": False}}) as answer:
    whole = json.load(answer)
result["whole"] = whole["choices"][0]["message"]["content"]
result["reason"] = whole["choices"][0]["finish_reason"]
result["cached"] = whole["usage"]["prompt_tokens_details"]["cached_tokens"]
result["ids"] = whole["flamingo"]["choices"][0]["token_ids"]

result["streamed"] = ""
with post("/v1/chat/completions", {"messages": messages, "stream": True, "stream_options": {"include_usage": True}}) as answer:
    events = [line[6:].strip() for line in answer.read().decode().splitlines() if line.startswith("data: ")]
assert events.pop() == "[DONE]"
for event in map(json.loads, events):
    result["streamed"] += "".join(choice["delta"].get("content", "") for choice in event["choices"])
    result["usage"] = event["usage"] and event["usage"]["total_tokens"]

with post("/v1/chat/completions", {"messages": messages, "logprobs": True, "top_logprobs": 1}) as answer:
    result["bytes"] = json.load(answer)["choices"][0]["logprobs"]["content"][1]["bytes"]
with post("/v1/completions", {"prompt": "<image>Output:", "images": [picture["image_url"]]}) as answer:
    result["completion"] = json.load(answer)["choices"][0]["text"]
with post("/v1/embeddings", {"input": picture["image_url"]["url"], "encoding_format": "base64"}) as answer:
    result["embedding"] = list(struct.unpack("<3f", base64.b64decode(json.load(answer)["data"][0]["embedding"])))
with urllib.request.urlopen(sys.argv[1] + "/v1/models", timeout=30) as answer:
    result["models"] = [model["id"] for model in json.load(answer)["data"]]

form = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nvision\r\n--b\r\n" \
    b"Content-Disposition: form-data; name=\"file\"; filename=\"dog.png\"\r\n\r\ndog\r\n--b--\r\n"
upload = urllib.request.Request(sys.argv[1] + "/v1/files", form, {"Content-Type": "multipart/form-data; boundary=b"})
with urllib.request.urlopen(upload, timeout=30) as answer:
    result["file"] = json.load(answer)["id"]

for name, body in [("unknown", {"model": "gpt-4o"}), ("unsupported", {"modalities": ["audio"]})]:
    try:
        post("/v1/chat/completions", {"messages": messages, **body})
    except urllib.error.HTTPError as refusal:
        error = json.load(refusal)["error"]
        result[name] = [refusal.code, error["code"], error["param"]]

print(json.dumps(result))
