// What the page asks: cards (a picture and its words) become the request of POST flamingo/v1/generate. Nothing here touches the page
// or the network, so that Node can test it.

/** The template of a task: `{picture}` and `{answer}`, and `{question}` for questions. Null if the model was not trained on the task. */
export function templateOf(model, task) {
  if (task === 'continue') return { text: '{picture}{answer}' + model.language.endOfChunkToken, zeroShot: [], cutAt: [] };
  const name = task === 'describe' ? 'caption' : 'answer';
  const template = model.language.prompts?.[name];
  return template?.text ? template : null;
}

/** Puts a space into a special token that a user wrote, so that the model reads it as plain text. */
export function plain(model, text) {
  return model.language.specialTokens.reduce((now, token) => now.replaceAll(token, token[0] + ' ' + token.slice(1)), text);
}

/** Neighbouring texts become one, and empty ones none. */
function joined(pieces) {
  const all = [];
  for (const piece of pieces) {
    const last = all[all.length - 1];
    if (piece.text && last?.text) all[all.length - 1] = { text: last.text + piece.text };
    else if (piece.card || piece.text) all.push(piece);
  }
  return all;
}

/** The pieces of one example or, if `answer` is null, of the question: text before the picture, the picture, and text after it. */
export function piecesOf(template, picture, question, answer) {
  const parts = template.text.split(/(\{picture\}|\{question\}|\{answer\})/);
  const written = answer === null ? parts.slice(0, parts.indexOf('{answer}')) : parts;
  const meant = { '{picture}': { card: picture }, '{question}': { text: question }, '{answer}': { text: answer } };
  return joined(written.map(part => meant[part] ?? { text: part }));
}

/** The text of an example as a support set stores it: what follows the picture, without the token that ends an example. */
export function storedText(model, task, card) {
  const pieces = piecesOf(templateOf(model, task), card, plain(model, card.question), plain(model, card.text));
  const text = pieces[pieces.length - 1].text;
  return text.endsWith(model.language.endOfChunkToken) ? text.slice(0, -model.language.endOfChunkToken.length) : text;
}

/**
 * The segments of the prompt: the cards in their order, the last of which is the question. Neighbouring texts become one segment.
 * A segment is `{ text }` or `{ card }`; `pictureOf(card)` later says what is sent for a card.
 */
export function segmentsOf(model, task, cards, fromSet) {
  const template = templateOf(model, task);
  const [shots, query] = [cards.slice(0, -1), cards[cards.length - 1]];
  // Without any example, the examples without pictures go first that the checkpoint was trained with, as in the papers.
  const primed = shots.length === 0 && !fromSet ? template.zeroShot : [];
  const pieces = [
    ...primed.flatMap(one => piecesOf(template, null, one.question, one.answer)),
    ...shots.flatMap(card => piecesOf(template, card, plain(model, card.question), plain(model, card.text))),
    ...(task === 'continue'
      ? [{ card: query }, { text: plain(model, query.text) }]
      : piecesOf(template, query, plain(model, query.question), null)),
  ];
  return joined(pieces);
}

/** What is sent: `segments` with each card replaced by its id, or by its file where the server is not known to hold it. */
export const filled = (segments, pictureOf) => segments.map(segment => segment.card ? pictureOf(segment.card) : segment);

/** The request body of an answer that streams, with probabilities and with what each word looked at. */
export function generateBody(model, task, segments, settings, set) {
  return {
    segments,
    sampling: {
      maxTokens: settings.maxTokens,
      ...(settings.temperature > 0 ? { temperature: settings.temperature } : {}),
      ...(templateOf(model, task).cutAt.length ? { stopStrings: templateOf(model, task).cutAt } : {}),
    },
    ...(set ? { supportSet: set } : {}),
  };
}

/** Candidates, one a line. After a beginning such as "This is a", a word needs the space that separates them. */
export function candidatesOf(text, segments) {
  const before = segments[segments.length - 1]?.text ?? '';
  const space = /[^\s:]$/.test(before) ? ' ' : '';
  return [...new Set(text.split('\n').map(line => line.trim()).filter(Boolean))].map(line => space + line);
}

/** Candidates with their share of the probability of all candidates, the likeliest first; a score is the log-likelihood of the text. */
export function shares(candidates) {
  const scored = candidates.map(one => ({
    text: one.text, score: one.tokenLogLikelihoods.reduce((sum, value) => sum + value, 0),
  }));
  const best = Math.max(...scored.map(one => one.score));
  const total = scored.reduce((sum, one) => sum + Math.exp(one.score - best), 0);
  return scored.map(one => ({ ...one, share: Math.exp(one.score - best) / total, chance: Math.exp(one.score) }))
    .sort((a, b) => b.score - a.score);
}

/** Bytes that stand in JSON as base64. */
export const bytesOf = text => Uint8Array.from(atob(text), character => character.charCodeAt(0));

/** The numbers of a tensor in JSON, which is little-endian f32. */
export function numbersOf(tensor) {
  const bytes = bytesOf(tensor.data);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

export const emptyAnswer = () => ({ words: [], open: { logs: [], top: null, maps: [] } });

/**
 * Adds the tokens of one message to an answer. A word begins at a space; it has the log-probabilities of its tokens, the likeliest
 * alternatives of its first token, and the maps of what its tokens looked at. Tokens without text, such as a part of a character or the
 * token that ends the answer, stay in `open` until text follows.
 */
export function addTokens(answer, tokens) {
  const { words, open } = answer;
  for (const log of tokens.logProbabilities ?? []) {
    open.logs.push(log.logProbability);
    open.top ??= log.top.map(top => ({ text: new TextDecoder().decode(bytesOf(top.text)), chance: Math.exp(top.logProbability) }));
  }
  for (const map of tokens.attention ?? []) if (map?.map) open.maps.push(map);
  for (const [index, text] of (tokens.text.match(/\s+\S*|\S+/g) ?? []).entries()) {
    if (words.length === 0 || /^\s/.test(text)) words.push({ text: '', logs: [], top: null, maps: [] });
    const word = words[words.length - 1];
    word.text += text;
    word.maps.push(...open.maps);
    if (index > 0) continue;
    word.logs.push(...open.logs);
    word.top ??= open.top;
  }
  if (tokens.text) answer.open = emptyAnswer().open;
  return answer;
}

/** The mean map of a word for each picture that its tokens looked at: `[{ picture, rows, columns, values }]`, values from 0 to 1. */
export function mapsOf(word) {
  const byPicture = new Map();
  for (const { picture, map } of word.maps) {
    const values = numbersOf(map);
    const sum = byPicture.get(picture) ?? { picture, rows: map.shape[0], columns: map.shape[1], values: new Float32Array(values.length) };
    values.forEach((value, index) => { sum.values[index] += value; });
    byPicture.set(picture, sum);
  }
  return [...byPicture.values()].map(sum => {
    const [least, most] = [Math.min(...sum.values), Math.max(...sum.values)];
    return { ...sum, values: sum.values.map(value => most > least ? (value - least) / (most - least) : 0) };
  });
}

/** Probability of an answer or of a word: the product over its tokens. */
export const chanceOf = (...parts) => Math.exp(parts.flatMap(part => part.logs).reduce((sum, value) => sum + value, 0));
