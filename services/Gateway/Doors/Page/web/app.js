// The page, from top to bottom: what it holds, how pictures come in, what is asked, and what is shown of the answer.
import { answerPanel } from './answer.js';
import * as api from './api.js';
import { codePanel } from './code.js';
import { examples } from './gallery.js';
import * as request from './request.js';
import { setsPanel } from './sets.js';
import { $, bars, cardView, h, many, milliseconds, percent, setting, show } from './view.js';

const state = {
  model: null, task: 'continue', cards: [], // a card: name, path, file, url, text, question, hidden; id, source and cost once known
  known: new Map(), // addresses of pictures by their ids, for the examples that the server picks
  run: null, // the last answer, with the cards that it was asked about
};
let running = null; // the AbortController of what runs
let coming = null; // the example of the gallery that is being loaded
const sets = setsPanel(state, refresh, problem);
const answers = answerPanel(state, sets);
const code = codePanel(() => state.cards.length > 0 ? currentBody(asked()) : null);

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
    last: () => {
      state.cards.push(...state.cards.splice(state.cards.indexOf(card), 1));
      refresh();
      card.view.element.focus(); // the button is gone
    },
    remove: () => {
      const place = state.cards.indexOf(card);
      state.cards.splice(place, 1);
      if (!card.id) URL.revokeObjectURL(card.url); // a known picture may also be shown among saved examples
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
  state.run = null;
  for (const id of ['ranking', 'steps']) $(id).replaceChildren();
  show($('problem'), '');
  answers.show();
}

/** Returns false if another example was chosen meanwhile. */
async function loadExample(example) {
  coming = example;
  clearCards();
  setTask(example.task);
  $('candidates').value = (example.candidates ?? []).join('\n');
  $('set').value = '';
  const files = await Promise.all(example.cards.map(async card => {
    const answer = await fetch(`page/examples/${card.file}`);
    if (!answer.ok) throw new Error(`The picture ${card.file} of this example is not served. Load the page again.`);
    return new File([await answer.blob()], card.file, { type: 'image/png' });
  }));
  if (coming !== example) return false;
  coming = null;
  example.cards.forEach((card, index) =>
    addCard({ ...card, file: files[index], name: card.file, path: `models/shapes/examples/${card.file}` }));
  refresh();
  return true;
}

// ---- What is asked ----

const asked = () => state.cards.filter((card, index) => !card.hidden || index === state.cards.length - 1);

function currentBody(cards) {
  const set = sets.chosen();
  const segments = request.segmentsOf(state.model, state.task, cards, set !== null);
  const settings = { maxTokens: setting('max-tokens', 1, 2048, 32), temperature: setting('temperature', 0, 2, 0) };
  return { segments, body: request.generateBody(state.model, state.task, segments, settings, set) };
}

/** Sends pictures by id where the server holds them, and once more as files if it has lost them meanwhile. */
async function withPictures(segments, call) {
  const files = new Map();
  // To compare a picture with the examples of a list, the server needs more than what it keeps of one that was only asked about.
  const compares = sets.chosen()?.selection === 'SHOT_SELECTION_RICES';
  const isKnown = card => card.id && (card.compared || !compares);
  const fill = async () => {
    for (const { card } of segments) if (card && !isKnown(card) && !files.has(card)) files.set(card, await api.base64(card.file));
    return request.filled(segments, card => isKnown(card) ? { pictureId: card.id } : { picture: files.get(card) });
  };
  const tell = async () => {
    const answer = await call(await fill());
    if (compares) for (const { card } of segments) if (card) card.compared = true;
    return answer;
  };
  try {
    return await tell();
  } catch (error) {
    if (!error.missing) throw error;
    for (const { card } of segments) if (card) [card.id, card.compared] = [null, false];
    return tell();
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
      answers.show();
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
    bars($('ranking'), request.shares(ranking.candidates).map(one =>
      ({ label: one.text.trim(), value: one.share, text: percent(one.share) })), 1);
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
  // A button that were disabled would lose the focus.
  for (const id of ['ask', 'rank-button', 'ladder-button']) $(id).setAttribute('aria-disabled', is);
  if (!is && document.activeElement === $('stop')) $('ask').focus();
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
  for (const id of ['ask', 'rank-button']) $(id).disabled = cards.length === 0;
  $('ladder-button').disabled = asked().length < 2;
  $('ladder-note').textContent = asked().length < 2 ? 'It needs an example of your own.' : '';
  // A stored text follows its picture, so a template that begins with words cannot be stored.
  sets.mayWrite(model !== null && cards.length > 1 && request.templateOf(model, task)?.text.startsWith('{picture}') === true);
  answers.light();
  if (model) code.show();
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
    await sets.load();
    show($('problem'), '');
  } catch (error) {
    $('model').textContent = error.status === 401 ? 'A key is needed.' : 'No model.';
    problem(error);
  }
  refresh();
}

const notes = {
  continue: 'Write what each picture is, and begin the last one in the same way, for example “This is a”. The model goes on.',
  describe: 'Write a description beside each example. The model describes the last picture in the same way.',
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
on(document, 'paste', event => {
  if (event.clipboardData.files.length === 0) return;
  event.preventDefault();
  addPictures(event.clipboardData.files);
});
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
on('stop', 'click', stop);
on('rank-button', 'click', rank);
on('ladder-button', 'click', ladder);
for (const id of ['max-tokens', 'temperature']) on(id, 'change', refresh);
on('key-button', 'click', () => askForKey(''));
on('key-form', 'submit', event => {
  if (event.submitter?.value === 'forget') api.key.set(null);
  else if (event.submitter?.value === 'cancel') return;
  else api.key.set($('key').value.trim());
  return start();
});

$('gallery').append(...examples.map(example => h('li', {}, h('button', {
  type: 'button',
  onclick: async () => {
    try {
      if (!await loadExample(example)) return;
      if (example.set) {
        $('sets').open = true;
        await sets.save(example.set, state.cards.slice(0, -1));
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
