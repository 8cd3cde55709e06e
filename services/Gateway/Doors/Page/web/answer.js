// What is shown of an answer: its words, what each looked at, the examples that the server picked, and where the time went.
import * as request from './request.js';
import { $, bars, darken, h, light, many, milliseconds, percent, show, thumb, wordButtons } from './view.js';

/** @param state what app.js holds; @param sets the support sets, for the texts of the examples that were picked. */
export function answerPanel(state, sets) {
  let [shown, chosen] = [null, null]; // the run that is shown, and the place of the word in it that was clicked

  /** Shows as much of the last answer as there is. */
  function showRun() {
    const { run } = state;
    if (shown !== run) [shown, chosen] = [run, null];
    for (const id of ['report', 'drawn']) $(id).hidden = !run || $(id).hidden;
    if (!run) {
      $('answer').replaceChildren(h('span', { class: 'note' }, 'Add pictures and ask, or try one of the examples.'));
      show($('word'), '');
      return;
    }

    const { answer, resolved, finished } = run;
    if (answer.words.length > 0) wordButtons($('answer'), answer.words, chosen, choose);
    else $('answer').replaceChildren(h('span', { class: 'note' }, finished ? 'The model ended without a word.' : ''));
    if (resolved) showPicked(run);
    if (finished) showReport(run);
    if (chosen === null)
      show($('word'), finished && answer.words.length > 0
        ? `${percent(request.chanceOf(...answer.words, answer.open))} likely. Choose a word to see what it looked at.` : '');
  }

  function choose(index) {
    chosen = chosen === index ? null : index;
    showRun();
    const word = state.run.answer.words[chosen];
    if (word) {
      const others = (word.top ?? []).filter(one => !word.text.startsWith(one.text)).slice(0, 3)
        .map(one => `“${one.text.trim() || one.text}” ${percent(one.chance)}`).join(', ');
      show($('word'), `“${word.text.trim()}”: ${percent(request.chanceOf(word))}${others ? `; other beginnings: ${others}` : ''}. `
        + (word.maps.length ? 'The bright places are what the model looked at for this word; it read all other pictures through their '
          + 'words.' : 'The model looked at no picture for this word.'));
    }
    showLight();
  }

  /** Lays over every picture what the chosen word looked at. Reports and maps count the pictures that the server picked first. */
  function showLight() {
    const word = state.run?.answer.words[chosen];
    const maps = word ? request.mapsOf(word) : [];
    const crops = state.model?.vision.resize === 'shortest_side_crop';
    const picked = state.run?.resolved?.shots ? [...$('drawn-shots').querySelectorAll('.frame')] : [];
    for (const card of state.cards) card.view.canvas.hidden = true;
    [
      ...picked.map(frame => [frame.querySelector('img'), frame.querySelector('canvas')]),
      ...(state.run?.cards ?? []).map(card => [card.view.image, card.view.canvas]),
    ].forEach(([image, canvas], index) => {
      const map = maps.find(one => one.picture === index);
      if (!image || !word?.maps.length) canvas.hidden = true;
      else if (map) light(image, canvas, map, crops);
      else darken(image, canvas);
    });
  }

  async function showPicked(run) {
    const { shots, pictures } = run.resolved;
    $('drawn').hidden = !shots;
    if (!shots || run.picked) return;
    run.picked = true;
    const set = await sets.named(shots.name).catch(() => null); // without it, the examples have no texts
    if (run !== state.run) return;
    $('drawn-shots').replaceChildren(...shots.examples.map((place, index) =>
      thumb(state.known, pictures[index].id, set?.examples[place]?.text ?? `example ${place + 1}`)));
    showLight();
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

  return { show: showRun, light: showLight };
}
