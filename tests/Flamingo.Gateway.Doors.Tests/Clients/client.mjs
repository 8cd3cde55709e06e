// Asks a server as npm's openai does, and prints what it got as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "none", maxRetries: 0 });
const picture = { type: "image_url", image_url: { url: "data:image/png;base64,ZG9n" } };
const messages = [{ role: "user", content: [picture, { type: "text", text: "what?" }] }];
const result = {};

const whole = await client.chat.completions.create({ model: "scripted", messages, flamingo: { zero_shot: false } });
result.whole = whole.choices[0].message.content;
result.reason = whole.choices[0].finish_reason;
result.cached = whole.usage.prompt_tokens_details.cached_tokens;
result.ids = whole.flamingo.choices[0].token_ids;

result.streamed = "";
const stream = await client.chat.completions.create({ model: "scripted", messages, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  result.streamed += chunk.choices[0]?.delta?.content ?? "";
  result.usage = chunk.usage?.total_tokens;
}

const likely = await client.chat.completions.create({ model: "scripted", messages, logprobs: true, top_logprobs: 1 });
result.bytes = likely.choices[0].logprobs.content[1].bytes;

const completion = await client.completions.create({ model: "scripted", prompt: "<image>Output:", images: [picture.image_url.url] });
result.completion = completion.choices[0].text;

const embedding = await client.embeddings.create({ model: "scripted", input: picture.image_url.url });
result.embedding = [...embedding.data[0].embedding];
result.models = (await client.models.list()).data.map((model) => model.id);

const file = await client.files.create({ purpose: "vision", file: new File(["dog"], "dog.png") });
result.file = file.id;

for (const [name, call] of [
  ["unknown", () => client.chat.completions.create({ model: "gpt-4o", messages })],
  ["unsupported", () => client.chat.completions.create({ model: "scripted", messages, modalities: ["audio"] })],
]) {
  try {
    await call();
  } catch (error) {
    result[name] = [error.status, error.code, error.param];
  }
}

console.log(JSON.stringify(result));
