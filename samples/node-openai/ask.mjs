// Asks the service with npm's client of OpenAI's API: only baseURL tells that it is not OpenAI's own service.
import { readFile } from "node:fs/promises";
import OpenAI from "openai";

// The client insists on a key. A server without keys ignores it.
const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: process.env.FLAMINGO_KEY ?? "none" });
const [model] = (await client.models.list()).data;
console.log(`model: ${model.id}`);

async function picture(name) {
  const file = await readFile(new URL(`../../models/shapes/examples/${name}.png`, import.meta.url));
  return { type: "image_url", image_url: { url: `data:image/png;base64,${file.toString("base64")}` } };
}

const text = (words) => ({ type: "text", text: words });

// A few-shot prompt, word for word: eight pictures of two things whose names the model has never seen, and a ninth to be named.
const words = ["jano", "pilu", "jano", "pilu", "jano", "jano", "pilu", "pilu"];
const content = [];
for (const [index, word] of words.entries())
  content.push(await picture(`new-word-shot-${index + 1}`), text(`This is a ${word}<|endofchunk|>`));
content.push(await picture("new-word-query"), text("This is a"));

// "raw" says that the prompt shall stay as it is. Without it, a conversation becomes a prompt by the model's own template.
const request = { model: model.id, messages: [{ role: "user", content }], flamingo: { task: "raw" } };

// The answer arrives piece by piece. The last chunk has no choice but the usage.
async function ask() {
  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  process.stdout.write("This is a");
  for await (const chunk of stream) {
    process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
    if (chunk.usage) {
      const { cached_tokens, pictures_encoded, pictures_cached } = chunk.usage.prompt_tokens_details;
      console.log(`\n  ${chunk.usage.prompt_tokens} tokens of prompt, ${cached_tokens} of them computed before`);
      console.log(`  pictures encoded: ${pictures_encoded}, from the cache: ${pictures_cached}`);
    }
  }
}

await ask();
await ask(); // the same again: nothing is encoded, and almost nothing of the prompt is computed

// Errors are the client's own classes, with the field in "param".
try {
  await client.chat.completions.create({ ...request, model: "gpt-4o" });
} catch (error) {
  console.log(`${error.status} ${error.code} in ${error.param}`);
}
