"""Asks the service over gRPC from Python: a stream of words, the same pictures by their ids, and a ranking."""
import sys

import grpc
from flamingo.v1 import flamingo_pb2 as v1, flamingo_pb2_grpc, language_model_pb2

flamingo = flamingo_pb2_grpc.FlamingoStub(grpc.insecure_channel(sys.argv[1]))  # host:port, without http://
sampling = language_model_pb2.Sampling(max_tokens=14)


def picture(name):
    with open(f"models/shapes/examples/{name}.png", "rb") as file:
        return v1.PromptSegment(picture=file.read())


def text(words):
    return v1.PromptSegment(text=words)


# 1. Shots, then the query. The model has never seen the words jano and pilu.
words = ["jano", "pilu", "jano", "pilu", "jano", "jano", "pilu", "pilu"]
prompt = []
for number, word in enumerate(words, 1):
    prompt += [picture(f"new-word-shot-{number}"), text(f"This is a {word}<|endofchunk|>")]
prompt += [picture("new-word-query"), text("This is a")]

# 2. The answer is a stream: first what became of the pictures, then the words, and at the end the counts.
for event in flamingo.Generate(v1.GenerateRequest(segments=prompt, sampling=sampling)):
    kind = event.WhichOneof("event")
    if kind == "pictures":
        ids = [report.id for report in event.pictures.pictures]
        print(f"{len(ids)} pictures, the last has the id {ids[-1][:8]}…")
    elif kind == "tokens":
        print(event.tokens.text, end="", flush=True)
    elif kind == "finished":
        print(f"\n{event.finished.prompt_tokens} tokens of prompt, {event.finished.generated_tokens} generated")

# 3. The same prompt without any picture's bytes. The service holds what it computed of them under their ids.
known = iter(ids)
by_ids = [segment if segment.HasField("text") else v1.PromptSegment(picture_id=next(known)) for segment in prompt]
ranking = flamingo.Rank(v1.RankRequest(segments=by_ids, candidates=[" jano", " pilu"]))
for candidate in ranking.candidates:
    print(f"{candidate.text.strip()}: log-probability {sum(candidate.token_log_likelihoods):.1f}")
print(f"encoded for this call: {ranking.cache.encoded}, tokens of the prompt that were computed before: {ranking.cached_tokens}")

# 4. What is wrong comes back as a status, whose message names the field and the remedy.
try:
    flamingo.Rank(v1.RankRequest(segments=[text("This is a")], candidates=[""]))
except grpc.RpcError as error:
    print(f"{error.code().name}: {error.details()}")
