"""Asks the service by OpenAI's protocol from Python, with the standard library alone."""
import base64
import json
import sys
import urllib.error
import urllib.request

SERVER = sys.argv[1] + "/v1"  # http://localhost:8081


def post(path, body):
    request = urllib.request.Request(SERVER + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=60)


def picture(name):
    with open(f"models/shapes/examples/{name}.png", "rb") as file:
        url = "data:image/png;base64," + base64.b64encode(file.read()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def text(words):
    return {"type": "text", "text": words}


# 1. A picture alone asks for a caption.
with post("/chat/completions", {"messages": [{"role": "user", "content": [picture("caption-query")]}]}) as response:
    print("caption:", json.load(response)["choices"][0]["message"]["content"])

# 2. Earlier turns are the shots of a few-shot prompt. The answer to the last turn is streamed as server-sent events: lines that begin
# with "data: ", each a piece of the answer, and "data: [DONE]" at the end.
messages = [
    {"role": "user", "content": [picture("vqa-shot-1"), text("is there a yellow star?")]},
    {"role": "assistant", "content": "no"},
    {"role": "user", "content": [picture("vqa-query"), text("how many shapes are there?")]},
]
print("answer: ", end="")
with post("/chat/completions", {"messages": messages, "stream": True, "stream_options": {"include_usage": True}}) as response:
    for line in response:
        if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
            chunk = json.loads(line[len(b"data: "):])
            for choice in chunk["choices"]:
                print(choice["delta"].get("content", ""), end="", flush=True)
            usage = chunk["usage"]  # null, except in the last chunk
print(f"\n{usage['prompt_tokens']} tokens of prompt, {usage['completion_tokens']} generated")

# 3. The next turn repeats the conversation. What was computed for it before is not computed again.
messages += [{"role": "assistant", "content": "one"}, {"role": "user", "content": [picture("vqa-query"), text("what shape is brown?")]}]
with post("/chat/completions", {"messages": messages}) as response:
    answer = json.load(response)
details = answer["usage"]["prompt_tokens_details"]
print("answer:", answer["choices"][0]["message"]["content"])
print(f"{details['cached_tokens']} tokens and {details['pictures_cached']} pictures came from caches")

# 4. Errors have OpenAI's shape: "param" names the field.
try:
    post("/chat/completions", {"messages": messages, "temperature": 3})
except urllib.error.HTTPError as refusal:
    error = json.load(refusal)["error"]
    print(f"{refusal.code} {error['code']} in {error['param']}: {error['message']}")
