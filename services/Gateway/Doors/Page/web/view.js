// How things look: cards, words, bars and the light on pictures. Nothing here knows the server.

export const $ = id => document.getElementById(id);

/** Creates an element. Properties are set as such; `class` and names with a hyphen are attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class') element.className = value;
    else if (name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export function show(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

export const milliseconds = ms => ms >= 1000 ? `${(ms / 1000).toFixed(1)} s`
  : ms >= 10 ? `${Math.round(ms)} ms` : ms >= 0.05 ? `${ms.toFixed(1)} ms` : '< 0.1 ms';
export const percent = share => share > 0.9995 && share < 1 ? '>\u00a099.9\u00a0%' : share < 0.001 && share > 0 ? '<\u00a00.1\u00a0%'
  : `${(100 * share).toFixed(share < 0.0995 || share > 0.995 ? 1 : 0)}\u00a0%`;
export const many = (count, one, more = one + 's') => `${count} ${count === 1 ? one : more}`;

/** The number in a field, within its bounds. */
export function setting(id, least, most, normal) {
  const value = $(id).valueAsNumber;
  return Math.min(most, Math.max(least, Number.isFinite(value) ? value : normal));
}

/** One bar per row: `{ label, value, text }`. The longest bar fills the line unless `most` says what does. */
export function bars(list, rows, most = Math.max(...rows.map(row => row.value), 1e-9)) {
  list.replaceChildren(...rows.flatMap(row => {
    const bar = h('span', { class: 'bar' });
    bar.style.width = `${Math.max(0.5, 100 * row.value / most)}%`;
    return [
      h('dt', {}, row.label, ...(row.hint ? [h('small', {}, row.hint)] : [])),
      h('dd', {}, h('span', { class: 'track', 'aria-hidden': 'true' }, bar), h('span', { class: 'value' }, row.text)),
    ];
  }));
}

/** A picture with its words. `on` has what happens on input, hide, last and remove. */
export function cardView(card, on) {
  const element = $('card').content.firstElementChild.cloneNode(true);
  const part = selector => element.querySelector(selector);
  const [image, question, text] = [part('img'), part('.question input'), part('.text textarea')];
  image.src = card.url;
  question.value = card.question;
  text.value = card.text;
  question.addEventListener('input', () => { card.question = question.value; on.input(card); });
  text.addEventListener('input', () => { card.text = text.value; on.input(card); });
  for (const name of ['hide', 'last', 'remove']) part(`.${name}`).addEventListener('click', () => on[name](card));
  return {
    element, image, canvas: part('canvas'),
    update({ place, isQuery, task, state, fault }) {
      const role = isQuery ? 'Your picture' : `Example ${place}`;
      element.classList.toggle('query', isQuery);
      element.classList.toggle('hidden', card.hidden);
      element.setAttribute('aria-label', `${role}: ${card.name}`);
      image.alt = `${role}: ${card.name}`;
      part('.role').textContent = role;
      part('.question').hidden = task !== 'ask';
      part('.text').hidden = isQuery && task !== 'continue';
      part('.text span').textContent = task === 'ask' ? 'Answer' : isQuery ? 'Begin the answer' : 'What it is';
      show(part('.state'), state);
      part('.state').dataset.source = card.source ?? '';
      show(part('.fault'), fault ?? '');
      part('.hide').setAttribute('aria-pressed', card.hidden);
      for (const name of ['hide', 'last', 'remove'])
        part(`.${name}`).setAttribute('aria-label', `${part(`.${name}`).textContent}: ${role}`);
      for (const name of ['hide', 'last']) part(`.${name}`).hidden = isQuery;
    },
  };
}

/** A small picture with its text. `known` has the addresses of pictures by their ids; others are on the server alone. */
export function thumb(known, id, text) {
  const picture = known.has(id) ? h('img', { src: known.get(id), alt: '' }) : h('span', { class: 'unknown', title: id }, 'on the server');
  return h('li', {}, h('div', { class: 'frame' }, picture, h('canvas', { hidden: true })), h('span', {}, text));
}

/** The words of an answer as buttons, with the space before a word between them. Buttons that are there stay, and keep the focus. */
export function wordButtons(paragraph, words, chosen, onWord) {
  const there = paragraph.getElementsByClassName('word');
  if (there.length === 0 || there.length > words.length) paragraph.replaceChildren();
  words.forEach(({ text }, index) => {
    const word = text.trimStart();
    if (index === there.length) {
      const button = h('button', { type: 'button', class: 'word', onclick: () => onWord(index) });
      paragraph.append(text.slice(0, text.length - word.length), button);
    }
    if (there[index].textContent !== word) there[index].textContent = word;
    there[index].setAttribute('aria-pressed', index === chosen);
  });
}

/**
 * Lights the places of a picture that a word looked at, and darkens the rest. A map covers the part of the picture that the model saw:
 * its middle square if the model crops, else all of it.
 */
export function light(image, canvas, map, crops) {
  canvas.hidden = !map;
  if (!map) return;
  const [width, height] = [canvas.width, canvas.height] = [image.naturalWidth || 64, image.naturalHeight || 64].map(
    (size, _, sizes) => Math.round(size * 256 / Math.max(...sizes)));
  const small = new OffscreenCanvas(map.columns, map.rows);
  const pixels = new ImageData(map.columns, map.rows);
  map.values.forEach((value, index) => {
    const dark = 1 - Math.sqrt(value);
    pixels.data.set([35 + 220 * value, 10 + 60 * value, 30 + 80 * value, 255 * (0.7 * dark + 0.15 * value)], 4 * index);
  });
  small.getContext('2d').putImageData(pixels, 0, 0);
  const context = canvas.getContext('2d');
  context.clearRect(0, 0, width, height);
  const side = Math.min(width, height);
  const seen = crops ? [(width - side) / 2, (height - side) / 2, side, side] : [0, 0, width, height];
  context.fillStyle = 'rgba(35, 10, 30, 0.7)';
  context.fillRect(0, 0, width, height);
  context.clearRect(...seen);
  context.imageSmoothingQuality = 'high';
  context.drawImage(small, ...seen);
}

/** Darkens a picture that a word did not look at. */
export function darken(image, canvas) {
  light(image, canvas, { rows: 1, columns: 1, values: [0.15] }, false);
}
