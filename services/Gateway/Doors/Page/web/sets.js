// Saved examples: the support sets of the server, from which it picks the shots of a prompt.
import * as api from './api.js';
import { storedText } from './request.js';
import { $, h, many, setting, thumb } from './view.js';

/** @param state what app.js holds; @param changed is called when another set or selection counts; @param problem shows an error. */
export function setsPanel(state, changed, problem) {
  let sets = [];

  const named = name => api.get(`support-sets/${encodeURIComponent(name)}`);

  /** The choice as the API takes it; null if no set is used. */
  function chosen() {
    const [name, selection] = [$('set').value, $('selection').value];
    if (!name) return null;
    const size = sets.find(set => set.name === name)?.exampleCount ?? 1;
    return { name, selection, ...(selection === 'SHOT_SELECTION_ALL' ? {} : { count: setting('count', 1, size, 1) }) };
  }

  async function load(name = $('set').value) {
    sets = (await api.get('support-sets')).sets;
    $('set').replaceChildren(h('option', { value: '' }, 'none'),
      ...sets.map(set => h('option', { value: set.name }, `${set.name} (${many(set.exampleCount, 'example')})`)));
    await choose(sets.some(set => set.name === name) ? name : '');
  }

  async function choose(name) {
    $('set').value = name;
    $('delete-set').disabled = !name;
    $('sets-state').textContent = name ? `(${name} is used)` : '';
    const set = name ? await named(name) : { examples: [] };
    if (name !== $('set').value) return; // another one was chosen meanwhile
    $('set-examples').replaceChildren(...set.examples.map(one => thumb(state.known, one.pictureId, one.text)));
    changed();
  }

  /** Puts the cards on the server for a day. */
  async function save(name, cards) {
    const examples = [];
    for (const card of cards)
      examples.push({ picture: await api.base64(card.file), text: storedText(state.model, state.task, card) });
    const set = await api.put(`support-sets/${encodeURIComponent(name)}`, { examples, timeToLive: '86400s' });
    set.examples.forEach((one, index) => state.known.set(one.pictureId, cards[index].url));
    await load(name);
    $('set-message').textContent = `${many(cards.length, 'example')} saved as ${name}. The server picks from them now.`;
  }

  async function remove() {
    const name = $('set').value;
    await api.remove(`support-sets/${encodeURIComponent(name)}`);
    await load('');
    $('set-message').textContent = `${name} is deleted.`;
    $('set').focus();
  }

  $('set').addEventListener('change', () => choose($('set').value).catch(problem));
  for (const id of ['selection', 'count']) $(id).addEventListener('change', changed);
  $('delete-set').addEventListener('click', () => remove().catch(problem));
  $('save-set').addEventListener('submit', event => {
    event.preventDefault();
    save($('set-name').value, state.cards.slice(0, -1).filter(card => !card.hidden)).catch(problem);
  });

  return { named, chosen, choose, load, save, mayWrite: may => { $('save-set').querySelector('button').disabled = !may; } };
}
