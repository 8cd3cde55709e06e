// The page's request as text to copy: curl, C# and Python. `segments` are those of request.js; pictures are named by their files.

const shellText = text => text.replace(/[\\$`]/g, match => '\\' + match);
const shellWord = text => "'" + text.replaceAll("'", `'\\''`) + "'";
const quoted = text => JSON.stringify(text).replace(/[\u007f-\uffff]/g, c => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

// Python has no pairs of surrogates: a character beyond 16 bits has an escape of its own.
const pythonText = text => JSON.stringify(text).replace(/[\u{7f}-\u{10ffff}]/gu, c => c.length > 1
  ? '\\U' + c.codePointAt(0).toString(16).padStart(8, '0') : '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

function picturesOf(segments) {
  const names = new Map();
  for (const { card } of segments) if (card && !names.has(card)) names.set(card, { file: card.path ?? card.name, index: names.size + 1 });
  return names;
}

const besides = body => Object.entries(body).filter(([name]) => name !== 'segments');

export function curl(address, segments, body, key) {
  const names = picturesOf(segments);
  const files = [...names.values()].map(one => `P${one.index}=$(base64 -w0 ${shellWord(one.file.replace(/^-/, './-'))})\n`).join('');
  const lines = segments.map(({ card, text }) =>
    card ? `{"picture": "$P${names.get(card).index}"}` : `{"text": ${shellText(quoted(text))}}`);
  const rest = besides(body).map(([name, value]) => `,\n "${name}": ${shellText(JSON.stringify(value))}`).join('');
  return `${files}curl -fsSN '${address}flamingo/v1/generate' -H 'Content-Type: application/json'`
    + (key ? ` -H "Authorization: Bearer $FLAMINGO_KEY"` : '')
    + ` -d @- <<JSON\n{"segments": [\n  ${lines.join(',\n  ')}]${rest}}\nJSON\n`;
}

export function python(address, segments, body, key) {
  const lines = segments.map(({ card, text }) => card
    ? `    {"picture": picture(${pythonText(card.path ?? card.name)})},` : `    {"text": ${pythonText(text)}},`);
  const rest = besides(body).map(([name, value]) => `, "${name}": ${literal(value)}`).join('');
  return `import base64, json, os, urllib.request

def picture(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()

body = {"segments": [
${lines.join('\n')}
]${rest}}
request = urllib.request.Request(
    "${address}flamingo/v1/generate", json.dumps(body).encode(),
    {"Content-Type": "application/json"${key ? ', "Authorization": "Bearer " + os.environ["FLAMINGO_KEY"]' : ''}})
with urllib.request.urlopen(request) as answer:
    for line in answer:
        print(json.loads(line).get("tokens", {}).get("text", ""), end="", flush=True)
print()
`;
}

// A value as Python writes it. Bodies hold numbers, texts, lists and objects only.
function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'object') return `{${Object.entries(value).map(([name, one]) => `"${name}": ${literal(one)}`).join(', ')}}`;
  return typeof value === 'string' ? pythonText(value) : String(value);
}

const selections = {
  SHOT_SELECTION_ALL: 'All', SHOT_SELECTION_FIRST: 'First', SHOT_SELECTION_RANDOM: 'Random', SHOT_SELECTION_RICES: 'Rices',
};

export function csharp(address, segments, body, key) {
  const lines = segments.map(({ card, text }) => card
    ? `    .Picture(File.ReadAllBytes(${quoted(card.path ?? card.name)}))` : `    .Text(${quoted(text)})`);
  const { maxTokens, temperature, stopStrings } = body.sampling;
  const sampling = [`MaxTokens = ${maxTokens}`, ...(temperature ? [`Temperature = ${temperature}f`] : []),
    ...(stopStrings ? [`StopStrings = [${stopStrings.map(quoted).join(', ')}]`] : [])].join(', ');
  const set = body.supportSet;
  const count = set?.count ? `, Count: ${set.count}` : '';
  const choice = set ? `
{
    SupportSet = new SupportSetChoice(${quoted(set.name)}, ShotSelection.${selections[set.selection]}${count}),
}` : '';
  const server = key
    ? `new FlamingoClientOptions
{
    Addresses = ["${address.replace(/\/$/, '')}"], Key = Environment.GetEnvironmentVariable("FLAMINGO_KEY"),
}` : `"${address.replace(/\/$/, '')}"`;
  return `using Flamingo.Abstractions;
using Flamingo.Client;

using var flamingo = new FlamingoClient(${server});
var prompt = new Prompt()
${lines.join('\n')};
var request = new FlamingoRequest(prompt.Segments, new SamplingParameters { ${sampling} })${choice};
await foreach (AnswerEvent part in flamingo.GenerateAsync(request))
    if (part is AnswerTokens tokens) Console.Write(tokens.Text);
Console.WriteLine();
`;
}
