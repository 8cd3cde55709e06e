// The page, from top to bottom: what it holds, how pictures come in, what is asked, and what is shown of the answer.
import * as api from './api.js';
import { examples } from './gallery.js';
import * as request from './request.js';
import * as snippets from './snippets.js';
import {
  $, bars, cardView, darken, h, light, many, milliseconds, percent, show, wordButtons,
} from './view.js';

const state = {
  model: null, task: 'continue', cards: [], // a card: name, path, file, url, text, question, hidden; id, source and cost once known
  sets: [], known: new Map(), // addresses of pictures by their ids, for the examples that the server picks
  run: null, chosen: null, fault: null, language: 'curl',
};
const address = new URL('.', location.href).href;
let running = null; // the AbortController of what runs

// ---- Pictures come in: files, drops, pastes, the gallery ----

function addPictures(files) {
  const pictures = [...files].filter(file => file.type.startsWith('image/'));
  if (pictures.length < files.length) problem(new Error(`${files.length - pictures.length} of the files are no pictures.`));
  for (const file of pictures) addCard({ file, name: file.name || 'pasted picture' });
  if (pictures.length > 0) refresh();
}

function addCard(given) {
  const card = { text: '', question: '', hidden: false, url: URL.createObjectURL(given.file), ...given };
  card.view = cardView(card, {
    input: () => { card.fault = null; refresh(); },
    hide: () => { card.hidden = !card.hidden; refresh(); },
    last: () => { state.cards.push(...state.cards.splice(state.cards.indexOf(card), 1)); refresh(); },
    remove: () => {
      const place = state.cards.indexOf(card);
      state.cards.splice(place, 1);
      refresh();
      (state.cards[Math.min(place, state.cards.length - 1)]?.view.element.querySelector('.remove') ?? $('files')).focus();
    },
  });
  state.cards.push(card);
  return card;
}

function clearCards() {
  stop();
  state.cards = [];
  forget();
  refresh();
}

// What was answered belongs to pictures that are gone.
function forget() {
  [state.run, state.chosen] = [null, null];
  for (const id of ['ranking', 'steps']) $(id).replaceChildren();
  show($('problem'), '');
  showRun();
}

async function loadExample(example) {
  clearCards();
  setTask(example.task);
  $('candidates').value = (example.candidates ?? []).join('\n');
  $('set').value = '';
  const files = await Promise.all(example.cards.map(async card => {
    const answer = await fetch(`page/examples/${card.file}`);
    if (!answer.ok) throw new Error(`The picture ${card.file} of this example is not served. Load the page again.`);
    return new File([await answer.blob()], card.file, { type: 'image/png' });
  }));
  example.cards.forEach((card, index) =>
    addCard({ ...card, file: files[index], name: card.file, path: `models/shapes/examples/${card.file}` }));
  refresh();
}

// ---- What is asked ----

const asked = () => state.cards.filter((card, index) => !card.hidden || index === state.cards.length - 1);
const setting = (id, least, most, normal) => Math.min(most, Math.max(least, Number.isFinite($(id).valueAsNumber) ? $(id).valueAsNumber : normal));

function chosenSet() {
  const [name, selection] = [$('set').value, $('selection').value];
  if (!name) return null;
  const size = state.sets.find(set => set.name === name)?.exampleCount ?? 1;
  return { name, selection, ...(selection === 'SHOT_SELECTION_ALL' ? {} : { count: setting('count', 1, size, 1) }) };
}

function currentBody(cards) {
  const set = chosenSet();
  const segments = request.segmentsOf(state.model, state.task, cards, set !== null);
  const settings = { maxTokens: setting('max-tokens', 1, 2048, 32), temperature: setting('temperature', 0, 2, 0) };
  return { segments, body: request.generateBody(state.model, state.task, segments, settings, set) };
}

/** Sends pictures by id where the server holds them, and once more as files if it has lost them meanwhile. */
async function withPictures(segments, call) {
  const files = new Map();
  const fill = async () => {
    for (const { card } of segments) if (card && !card.id && !files.has(card)) files.set(card, await api.base64(card.file));
    return request.filled(segments, card => card.id ? { pictureId: card.id } : { picture: files.get(card) });
  };
  try {
    return await call(await fill());
  } catch (error) {
    if (!error.missing) throw error;
    for (const { card } of segments) if (card) card.id = null;
    return call(await fill());
  }
}

async function* generate(cards, signal) {
  const { segments, body } = currentBody(cards);
  const extras = { ...body, sampling: { ...body.sampling, logProbabilities: 5 }, attention: {} };
  const [stream, first] = await withPictures(segments, async filled => {
    const events = api.stream('generate', { ...extras, segments: filled }, signal);
    return [events, await events.next()]; // an unknown id is refused before the first event
  });
  learn(first.value?.pictures, segments);
  yield first.value;
  yield* stream;
}

/** What the server says of the pictures: ids, where they came from and what encoding them took. */
function learn(resolved, segments) {
  if (!resolved) return;
  const reports = resolved.pictures;
  const own = segments.filter(segment => segment.card).map(segment => segment.card);
  own.forEach((card, index) => {
    const report = reports[reports.length - own.length + index];
    [card.id, card.source, card.cost] = [report.id, report.source.replace('PICTURE_SOURCE_', '').toLowerCase(), report.costMs];
    state.known.set(card.id, card.url);
  });
}

async function ask() {
  await work(async signal => {
    forget();
    const cards = asked();
    state.run = { cards, answer: request.emptyAnswer(), resolved: null, finished: null };
    const { run } = state;
    for await (const event of generate(cards, signal)) {
      if (event.pictures) run.resolved = event.pictures;
      else if (event.tokens) request.addTokens(run.answer, event.tokens);
      else if (event.finished) run.finished = event.finished;
      showRun();
      refresh();
    }
  });
}

async function rank() {
  await work(async signal => {
    const { segments, body } = currentBody(asked());
    const candidates = request.candidatesOf($('candidates').value, segments);
    if (candidates.length === 0) throw new Error('Write at least one possible answer, one per line.');
    const ranking = await withPictures(segments, filled => api.post(
      'rank', { segments: filled, candidates, ...(body.supportSet ? { supportSet: body.supportSet } : {}) }, signal));
    learn(ranking, segments);
    bars($('ranking'), request.shares(ranking.candidates).map(one => ({ label: one.text.trim(), value: one.share, text: percent(one.share) })), 1);
  });
}

/** Asks again with fewer and fewer examples. The bar is the probability of the answer that all examples gave. */
async function ladder() {
  await work(async signal => {
    const cards = asked();
    const rows = [];
    let wanted = null;
    for (let shots = cards.length - 1; shots >= 0; shots--) {
      const kept = [...cards.slice(0, shots), cards[cards.length - 1]];
      state.cards.forEach(card => card.view.element.classList.toggle('hidden', !kept.includes(card)));
      const answer = request.emptyAnswer();
      for await (const event of generate(kept, signal)) if (event.tokens) request.addTokens(answer, event.tokens);
      const text = answer.words.map(word => word.text).join('');
      wanted ??= text;
      const { segments, body } = currentBody(kept);
      const chance = wanted === '' ? 0 : request.shares((await withPictures(segments, filled => api.post('rank', {
        segments: filled, candidates: [wanted], ...(body.supportSet ? { supportSet: body.supportSet } : {}),
      }, signal))).candidates)[0].chance;
      rows.push({ label: many(shots, 'example'), hint: `answers “${text.trim()}”`, value: chance, text: percent(chance) });
      bars($('steps'), rows, 1);
      $('progress').textContent = `${many(shots, 'example')} …`;
    }
  });
}

/** Runs one thing at a time, with its buttons, its progress and its errors. */
async function work(run) {
  if (running) return;
  if (!state.model) return problem(new Error('The model is not known yet. Load the page again once the server runs.'));
  if (state.cards.length === 0) return problem(new Error('Add at least one picture first.'));
  running = new AbortController();
  show($('problem'), '');
  state.cards.forEach(card => { card.fault = null; });
  busy(true);
  try {
    await run(running.signal);
    $('progress').textContent = '';
  } catch (error) {
    if (error.name !== 'AbortError') problem(error);
    $('progress').textContent = error.name === 'AbortError' ? 'Stopped.' : '';
  } finally {
    running = null;
    busy(false);
    refresh();
  }
}

const stop = () => running?.abort();

function busy(is) {
  for (const id of ['ask', 'rank-button', 'ladder-button']) $(id).disabled = is;
  $('stop').hidden = !is;
  $('answer').setAttribute('aria-busy', is);
  if (!is) return;
  $('progress').textContent = 'Working …';
  $('answer').scrollIntoView({ block: 'nearest' });
}

function problem(error) {
  show($('problem'), error.retryAfter ? `${error.message} (Try again in ${many(error.retryAfter, 'second')}.)` : error.message);
  // A wrong field such as segments[3].picture belongs to the card of that segment.
  if (error.fields?.length && state.cards.length) {
    const { segments } = currentBody(asked());
    for (const { field, description } of error.fields) {
      const place = Number(/^segments\[(\d+)\]/.exec(field)?.[1]);
      const card = segments[place]?.card ?? segments.slice(0, place + 1).findLast(segment => segment.card)?.card;
      if (card) card.fault = description.replaceAll('\n', ' ');
    }
  }
  if (error.status === 401) askForKey(api.key.get() ? 'The server does not accept this key.' : '');
}

// ---- What is shown ----

function refresh() {
  const { model, task, cards } = state;
  place($('cards'), cards.slice(0, -1));
  place($('query'), cards.slice(-1));
  cards.forEach((card, index) => card.view.update({
    place: index + 1, isQuery: index === cards.length - 1, task, state: stateOf(card), fault: card.fault,
  }));
  $('clear').hidden = cards.length === 0;
  for (const id of ['ask', 'rank-button']) $(id).disabled = running !== null || cards.length === 0;
  $('ladder-button').disabled = running !== null || asked().length < 2;
  $('save-set').querySelector('button').disabled = cards.length < 2;
  showLight();
  if (model) showCode();
}

// Elements that are in place stay there, because a moved one loses the focus.
function place(list, cards) {
  const elements = cards.map(card => card.view.element);
  if (elements.length !== list.children.length || elements.some((element, index) => element !== list.children[index]))
    list.replaceChildren(...elements);
}

function stateOf(card) {
  if (card.hidden) return 'Hidden from the model';
  if (card.source === 'encoded') return `New: encoded in ${milliseconds(card.cost)}`;
  return card.source ? `Known: from ${card.source === 'redis' ? 'Redis' : 'memory'}, saved ${milliseconds(card.cost)}` : '';
}

function showRun() {
  const { run } = state;
  if (!run) {
    $('answer').replaceChildren(h('span', { class: 'note' }, 'Add pictures and ask, or try one of the examples.'));
    for (const id of ['report', 'drawn']) $(id).hidden = true;
    show($('word'), '');
    return;
  }

  const { answer, resolved, finished } = run;
  if (answer.words.length > 0 || finished) wordButtons($('answer'), answer.words, state.chosen, choose);
  if (finished && answer.words.length === 0) $('answer').append(h('span', { class: 'note' }, 'The model ended without a word.'));
  if (resolved) showDrawn(resolved);
  if (finished) showReport(run);
  if (state.chosen === null && finished && answer.words.length > 0)
    show($('word'), `${percent(request.chanceOf(...answer.words, answer.open))} likely. Choose a word to see what it looked at.`);
}

function showReport({ resolved, finished }) {
  const { timings } = finished;
  const { memoryHits, redisHits, encoded, savedMs } = resolved.cache;
  const found = memoryHits + redisHits;
  $('report').hidden = false;
  $('cache').textContent = `${many(encoded, 'new picture')} encoded, ${found} known`
    + (found > 0 ? `, which saved ${milliseconds(savedMs)}.` : '.')
    + ` ${many(finished.promptTokens, 'token')} read, ${finished.cachedTokens} of them known; ${finished.generatedTokens} written.`;
  const known = timings.lookupMs + timings.visionMs + timings.resampleMs + timings.prefillMs;
  bars($('times'), [
    ['Finding known pictures', 'cache', timings.lookupMs],
    ['Looking at new pictures', 'vision encoder', timings.visionMs],
    ['Summing them up', 'resampler', timings.resampleMs],
    ['Reading the prompt', 'language model', timings.prefillMs],
    ['Waiting and passing on', 'gateway', Math.max(0, timings.firstTokenMs - known)],
    ['Writing the answer', 'language model', Math.max(0, timings.totalMs - timings.firstTokenMs)],
  ].map(([label, hint, value]) => ({ label, hint, value, text: milliseconds(value) })));
}

async function showDrawn(resolved) {
  $('drawn').hidden = !resolved.shots;
  if (!resolved.shots || state.run.drawn) return;
  state.run.drawn = resolved.shots;
  const set = await setNamed(resolved.shots.name).catch(() => null);
  state.run?.drawn && $('drawn-shots').replaceChildren(...resolved.shots.examples.map((place, index) =>
    thumb(resolved.pictures[index].id, set?.examples[place]?.text ?? `example ${place + 1}`)));
}

function thumb(id, text) {
  const url = state.known.get(id);
  return h('li', {}, h('div', { class: 'frame' },
    url ? h('img', { src: url, alt: '' }) : h('span', { class: 'unknown', title: id }, 'picture on the server'), h('canvas', { hidden: true })),
    h('span', {}, text));
}

function choose(index) {
  state.chosen = state.chosen === index ? null : index;
  showRun();
  const word = state.run.answer.words[state.chosen];
  if (word) {
    const others = (word.top ?? []).filter(one => !word.text.startsWith(one.text)).slice(0, 3)
      .map(one => `“${one.text.trim() || one.text}” ${percent(one.chance)}`).join(', ');
    show($('word'), `“${word.text.trim()}”: ${percent(request.chanceOf(word))}${others ? `; other beginnings: ${others}` : ''}. `
      + (word.maps.length ? 'The bright places are what the model looked at for this word; it read all other pictures through their words.'
        : 'The model looked at no picture for this word.'));
  }
  showLight();
}

/** Lays over every picture what the chosen word looked at. Reports and maps count the pictures that the server picked first. */
function showLight() {
  const word = state.run?.answer.words[state.chosen];
  const maps = word ? request.mapsOf(word) : [];
  const crops = state.model?.vision.resize === 'shortest_side_crop';
  const drawn = [...$('drawn-shots').querySelectorAll('.frame')].map(frame => [frame.querySelector('img'), frame.querySelector('canvas')]);
  const shown = state.run?.resolved?.shots ? drawn : [];
  const own = (state.run?.cards ?? []).map(card => [card.view.image, card.view.canvas]);
  for (const card of state.cards) card.view.canvas.hidden = true;
  [...shown, ...own].forEach(([image, canvas], index) => {
    if (!image) return;
    const map = maps.find(one => one.picture === index);
    if (map) light(image, canvas, map, crops);
    else if (word?.maps.length) darken(image, canvas);
    else canvas.hidden = true;
  });
}

function showCode() {
  const cards = asked();
  if (cards.length === 0) return void ($('snippet').textContent = 'Add a picture first.');
  const { segments, body } = currentBody(cards);
  $('snippet').textContent = snippets[state.language](address, segments, body, api.key.get());
}

// ---- Saved examples ----

const setNamed = name => api.get(`support-sets/${encodeURIComponent(name)}`);

async function loadSets(chosen = $('set').value) {
  state.sets = (await api.get('support-sets')).sets;
  $('set').replaceChildren(h('option', { value: '' }, 'none'),
    ...state.sets.map(set => h('option', { value: set.name }, `${set.name} (${many(set.exampleCount, 'example')})`)));
  $('set').value = state.sets.some(set => set.name === chosen) ? chosen : '';
  await showSet();
}

async function showSet() {
  const name = $('set').value;
  $('delete-set').disabled = !name;
  $('sets-state').textContent = name ? `(${name} is used)` : '';
  const set = name ? await setNamed(name) : { examples: [] };
  if (name !== $('set').value) return;
  $('set-examples').replaceChildren(...set.examples.map(one => thumb(one.pictureId, one.text)));
  refresh();
}

async function saveSet(name, cards) {
  const examples = [];
  for (const card of cards)
    examples.push({ picture: await api.base64(card.file), text: request.storedText(state.model, state.task, card) });
  const set = await api.put(`support-sets/${encodeURIComponent(name)}`, { examples, timeToLive: '86400s' });
  set.examples.forEach((one, index) => state.known.set(one.pictureId, cards[index].url));
  await loadSets(name);
  $('set-message').textContent = `${many(cards.length, 'example')} saved as ${name}. The server picks from them now.`;
}

// ---- The key, the model, and everything that is clicked ----

function askForKey(message) {
  show($('key-problem'), message);
  $('forget').hidden = !api.key.get();
  if (!$('key-dialog').open) $('key-dialog').showModal();
  $('key').value = '';
  $('key').focus();
}

async function start() {
  try {
    state.model = await api.get('model');
    $('model').textContent = `Model: ${state.model.language.modelId}`;
    for (const input of document.querySelectorAll('input[name=task]')) input.disabled = !request.templateOf(state.model, input.value);
    show($('gallery-note'), state.model.language.modelId === 'flamingo-shapes' ? ''
      : 'These pictures belong to the small model flamingo-shapes; this server has another model, which may answer otherwise.');
    document.documentElement.classList.toggle('as-stored', state.model.vision.orientation === 'ignore');
    await loadSets();
    show($('problem'), '');
  } catch (error) {
    $('model').textContent = error.status === 401 ? 'A key is needed.' : 'No model.';
    problem(error);
  }
  refresh();
}

const notes = {
  continue: 'Write what each picture is, and begin the last one alike, for example “This is a”. The model goes on.',
  describe: 'Write a description under each example. The model describes the last picture alike.',
  ask: 'Write a question and its answer for each example, and your question for the last picture.',
};

function setTask(task) {
  state.task = task;
  document.querySelector(`input[name=task][value=${task}]`).checked = true;
  $('task-note').textContent = notes[task];
  refresh();
}

// What an event starts, with its errors on the page.
const on = (target, name, run) => (typeof target === 'string' ? $(target) : target)
  .addEventListener(name, event => Promise.resolve(run(event)).catch(problem));

on('files', 'change', event => { addPictures(event.target.files); event.target.value = ''; });
on(document, 'paste', event => { if (event.clipboardData.files.length) { event.preventDefault(); addPictures(event.clipboardData.files); } });
on(document, 'dragover', event => { event.preventDefault(); document.body.classList.add('dropping'); });
on(document, 'dragleave', event => { if (!event.relatedTarget) document.body.classList.remove('dropping'); });
on(document, 'drop', event => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  addPictures(event.dataTransfer.files);
});
on(document, 'keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) return ask();
  if (event.key === 'Escape') stop();
});
document.querySelectorAll('input[name=task]').forEach(input => on(input, 'change', () => setTask(input.value)));
on('clear', 'click', () => { clearCards(); $('files').focus(); });
on('ask', 'click', ask);
on('stop', 'click', () => { stop(); $('ask').focus(); });
on('rank-button', 'click', rank);
on('ladder-button', 'click', ladder);
for (const id of ['selection', 'count', 'max-tokens', 'temperature']) on(id, 'change', refresh);
on('set', 'change', showSet);
on('delete-set', 'click', async () => {
  const name = $('set').value;
  await api.remove(`support-sets/${encodeURIComponent(name)}`);
  await loadSets('');
  $('set-message').textContent = `${name} is deleted.`;
});
on('save-set', 'submit', async event => {
  event.preventDefault();
  await saveSet($('set-name').value, state.cards.slice(0, -1).filter(card => !card.hidden));
});
on('key-button', 'click', () => askForKey(''));
on('key-form', 'submit', event => {
  if (event.submitter?.value === 'forget') api.key.set(null);
  else if (event.submitter?.value === 'cancel') return;
  else api.key.set($('key').value.trim());
  return start();
});

const tabs = [...document.querySelectorAll('[role=tab]')];
tabs.forEach((tab, index) => {
  const select = chosen => {
    state.language = chosen.id.slice('tab-'.length);
    for (const one of tabs) {
      one.setAttribute('aria-selected', one === chosen);
      one.tabIndex = one === chosen ? 0 : -1;
    }
    $('snippet').setAttribute('aria-labelledby', chosen.id);
    chosen.focus();
    if (state.model) showCode();
  };
  on(tab, 'click', () => select(tab));
  on(tab, 'keydown', event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) select(tabs[(index + step + tabs.length) % tabs.length]);
  });
});
on('copy', 'click', async () => {
  const text = $('snippet').textContent;
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else { // pages without https have no clipboard
    getSelection().selectAllChildren($('snippet'));
    document.execCommand('copy');
  }
  $('copied').textContent = 'Copied.';
});

$('gallery').append(...examples.map(example => h('li', {}, h('button', {
  type: 'button',
  onclick: async () => {
    try {
      await loadExample(example);
      if (example.set) {
        $('sets').open = true;
        await saveSet(example.set, state.cards.slice(0, -1));
        for (const card of state.cards.slice(0, -1)) state.cards.splice(state.cards.indexOf(card), 1);
        [$('selection').value, $('count').value] = ['SHOT_SELECTION_RICES', 4];
        refresh();
      }
      await ask();
    } catch (error) {
      problem(error);
    }
  },
},
h('span', { class: 'strip', 'aria-hidden': 'true' }, ...example.cards.slice(-4).map(card =>
  h('img', { src: `page/examples/${card.file}`, alt: '', loading: 'lazy', width: 44, height: 44 }))),
h('strong', {}, example.title), h('span', {}, example.what)))));
setTask('continue');
await start();
