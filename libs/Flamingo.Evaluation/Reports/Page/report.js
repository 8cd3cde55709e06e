// Shows the answers of the run: filters, pages, and one card for each answer. It makes every element itself and gives it texts as texts, so
// that nothing in a benchmark's file can become markup.
'use strict';
(() => {
  const { pictures, items, samples } = JSON.parse(document.getElementById('data').textContent);
  const [form, count, cards, pages] = ['filters', 'count', 'cards', 'pages'].map(id => document.getElementById(id));
  const perPage = 10, fewShots = 4;
  let page = 0, matching = samples;

  /** An element with attributes and children; texts become text nodes. */
  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter(child => child !== null && child !== ''));
    return element;
  }

  /** A text of a file or of a model, whose direction must not change that of its surroundings. */
  const words = text => make('bdi', {}, text);

  // ---- cards

  function picture(place, name) {
    const found = typeof pictures[place] === 'number' ? pictures[pictures[place]] : pictures[place];
    if (found) return make('img', { src: found, alt: `Picture of ${name}` });
    return make('div', { class: 'nothing' }, found === '' ? 'Left out to keep this file small.' : 'This picture cannot be shown.');
  }

  function parts(item, name, isBlank) {
    return item.parts.map(part => {
      if (part.text != null) return part.text.trim() === '' ? null : make('p', {}, words(part.text.trim()));
      return isBlank ? make('div', { class: 'nothing' }, 'blank') : picture(part.picture, name);
    });
  }

  function pair(title, content, kind = '') {
    return make('div', {}, make('dt', {}, title), make('dd', kind ? { class: kind } : {}, content));
  }

  /** The references, those that several people gave once with their number. */
  function references(item) {
    const counted = new Map();
    for (const one of item.references) counted.set(one, (counted.get(one) ?? 0) + 1);
    if (counted.size === 1) return words(item.references[0]);
    return make('ul', {}, ...[...counted].sort((one, other) => other[1] - one[1])
      .map(([text, times]) => make('li', {}, words(text), times > 1 ? ` (${times} times)` : '')));
  }

  function shot(drawn, sample) {
    if (drawn.item === undefined) return make('li', {}, 'example ', words(drawn.id));
    const item = items[drawn.item];
    return make('li', {}, ...parts(item, `example ${item.id}`, sample.isBlank),
      item.question === '' ? null : make('div', { class: 'quiet' }, words(item.question)), words(item.answer.trim()));
  }

  function shots(sample) {
    if (sample.drawn.length === 0) return null;
    const list = make('ol', {}, ...sample.drawn.map(one => shot(one, sample)));
    const details = make('details', {}, make('summary', {}, `Examples that came first (${sample.drawn.length})`),
      sample.note === '' ? null : make('p', { class: 'quiet' }, sample.note), list);
    details.open = sample.drawn.length <= fewShots;
    return details;
  }

  const shotCount = number => number === 0 ? 'no examples' : number === 1 ? '1 example' : `${number} examples`;

  function card(sample, index) {
    const item = sample.item === undefined ? null : items[sample.item];
    const answer = sample.answer.trim();
    const title = [sample.benchmark, sample.group, shotCount(sample.shots)].filter(text => text !== '').join(' · ');
    return make('article', { class: 'card', 'aria-labelledby': `card${index}` },
      make('h3', { id: `card${index}` }, make('span', {}, `${title} · item `, words(sample.id)),
        make('span', { class: `verdict ${sample.verdict}` }, `${sample.verdict}: ${sample.score}`)),
      make('p', { class: 'quiet' }, `${sample.choice}${sample.choice === '' ? '' : ' · '}trial ${sample.trial}, seed ${sample.seed}`),
      make('div', { class: 'row' },
        item === null ? make('div', { class: 'nothing' }, 'The benchmark has no such item.')
          : make('div', { class: 'asked' }, ...parts(item, `item ${item.id}`, false),
            item.question === '' ? null : make('p', {}, words(item.question))),
        make('dl', {},
          pair('The model answered', answer === '' ? make('span', { class: 'quiet' }, '(nothing)') : words(answer), 'answer'),
          item === null || item.references.length === 0 ? null : pair('Right would be', references(item)),
          sample.labels === undefined ? null : pair('Likeliest labels (log-likelihood)', words(sample.labels.join(', '))))),
      shots(sample));
  }

  // ---- filters

  const distinct = get => [...new Set(samples.map(get))];
  const choices = [
    ['benchmark', 'Benchmark', sample => sample.benchmark],
    ['group', 'Task', sample => sample.group],
    ['shots', 'Number of examples', sample => String(sample.shots)],
    ['selection', 'Choice of examples', sample => sample.selection],
    ['ablation', 'Changes to examples', sample => sample.ablation],
    ['verdict', 'Verdict', sample => sample.verdict],
  ].map(([id, title, get]) => {
    const values = distinct(get);
    if (id === 'shots') values.sort((one, other) => one - other);
    else if (id !== 'benchmark') values.sort();
    const select = make('select', { id: `filter-${id}` }, make('option', { value: '-1' }, 'all'),
      ...values.map((value, index) => make('option', { value: index }, value === '' ? '(none)' : value)));
    if (values.length > 1) form.append(make('div', {}, make('label', { for: select.id }, title), select));
    return sample => select.value === '-1' || get(sample) === values[select.value];
  });

  const order = make('select', { id: 'order' },
    make('option', { value: 'worst' }, 'the worst first'), make('option', { value: 'best' }, 'the best first'));
  const search = make('input', { id: 'search', type: 'search', autocomplete: 'off' });
  form.append(
    make('div', {}, make('label', { for: 'order' }, 'Order'), order),
    make('div', {}, make('label', { for: 'search' }, 'Search for a text'), search));

  /** Everything that can be searched: ids, questions, answers and references of an answer and of its shots. */
  function searched(sample) {
    const all = [sample.item, ...sample.drawn.map(one => one.item)].filter(place => place !== undefined).map(place => items[place]);
    return [sample.id, sample.answer, ...all.flatMap(item =>
      [item.id, item.question, item.answer, ...item.references, ...item.parts.map(part => part.text ?? '')])].join('\n').toLowerCase();
  }

  const texts = samples.map(searched);

  function filter() {
    const wanted = search.value.trim().toLowerCase();
    matching = samples.filter((sample, index) => choices.every(fits => fits(sample)) && texts[index].includes(wanted));
    if (order.value === 'best') matching.reverse();
    page = 0;
    show();
  }

  // ---- pages

  const back = make('button', { type: 'button' }, 'Previous'), next = make('button', { type: 'button' }, 'Next');
  const place = make('span');
  pages.append(back, place, next);

  function show() {
    const last = Math.max(0, Math.ceil(matching.length / perPage) - 1);
    cards.replaceChildren(...matching.slice(page * perPage, (page + 1) * perPage).map(card));
    count.textContent = matching.length === 0 ? 'No answer fits.' : `${matching.length} ${matching.length === 1 ? 'answer' : 'answers'}`;
    place.textContent = `Page ${page + 1} of ${last + 1}`;
    back.disabled = page === 0;
    next.disabled = page === last;
    pages.hidden = last === 0;
  }

  function turn(step) {
    page += step;
    show();
    count.scrollIntoView();
    const button = step > 0 ? next : back;
    (button.disabled ? (step > 0 ? back : next) : button).focus({ preventScroll: true });
  }

  back.addEventListener('click', () => turn(-1));
  next.addEventListener('click', () => turn(1));
  form.addEventListener('submit', event => event.preventDefault());
  form.addEventListener('input', filter);
  form.hidden = samples.length === 0;
  show();
})();
