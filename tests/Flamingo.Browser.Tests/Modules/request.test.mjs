// Tests of the page's module request.js, which makes requests of cards and words of events. PAGE_FOLDER is the folder of the page.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { describe, test } from 'node:test';
import { bare, idefics, shapes, tensor } from './model.mjs';

const {
  addTokens, candidatesOf, chanceOf, emptyAnswer, filled, generateBody, mapsOf, numbersOf, piecesOf, plain, segmentsOf, shares, storedText,
  templateOf,
} = await import(pathToFileURL(`${process.env.PAGE_FOLDER}/request.js`));

const card = (name, text = '', question = '') => ({ name, text, question });
const texts = segments => segments.map(segment => segment.card ? `[${segment.card.name}]` : segment.text);
const log = (logProbability, top = []) => ({ logProbability, top });
const top = (text, logProbability) => ({ text: Buffer.from(text).toString('base64'), logProbability });
const event = (text, logProbabilities = [], attention = []) => ({ text, logProbabilities, attention });
const near = (actual, expected) => assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`);

describe('templates', () => {
  test('a task that the checkpoint was not trained on has none, and going on works with every checkpoint', () => {
    assert.equal(templateOf(bare, 'describe'), null);
    assert.equal(templateOf(bare, 'ask'), null);
    assert.equal(templateOf(shapes, 'continue').text, '{picture}{answer}<|endofchunk|>');
    assert.equal(templateOf(idefics, 'continue').text, '{picture}{answer}</s>');
    assert.equal(templateOf(shapes, 'describe'), shapes.language.prompts.caption);
    assert.equal(templateOf({ language: { prompts: { caption: { text: '' } } } }, 'describe'), null);
  });

  test('words that look like a pattern of String.replace are taken literally', () => {
    const pieces = piecesOf({ text: '{picture}Q:{question} A:{answer};' }, card('a'), '$& $1 $$', "$' $`");
    assert.equal(pieces[1].text, "Q:$& $1 $$ A:$' $`;");
  });

  test('words that look like a part of the template are taken literally', () => {
    const [question, answer] = ['is {picture} an {answer}?', '{question} {picture}'];
    assert.deepEqual(texts(piecesOf(shapes.language.prompts.answer, card('a'), question, answer)), [
      '[a]', `Question:${question} Short answer:${answer}<|endofchunk|>`]);
    assert.deepEqual(texts(piecesOf(idefics.language.prompts.answer, card('a'), question, null)), [
      `Question: ${question} Image:`, '[a]', ' Answer: ']);
  });

  test('a question ends where its answer begins', () => {
    const template = templateOf(idefics, 'ask');
    assert.deepEqual(texts(piecesOf(template, card('a'), 'what?', null)), ['Question: what? Image:', '[a]', ' Answer: ']);
  });

  test('an example without a picture is one of words', () => {
    const pieces = piecesOf(templateOf(shapes, 'describe'), null, '', 'a dog');
    assert.deepEqual(texts(pieces), ['Output:a dog<|endofchunk|>']);
  });
});

describe('special tokens', () => {
  test('they are broken by a space, wherever a user writes them', () => {
    assert.equal(plain(shapes, 'a<|endofchunk|>b <image><image>'), 'a< |endofchunk|>b < image>< image>');
    assert.equal(plain(idefics, 'x</s>'), 'x< /s>');
    const segments = segmentsOf(shapes, 'ask', [card('a', '<image>', '<PAD>?'), card('b', '', 'is it <|endofchunk|>?')], false);
    const words = texts(segments).filter(text => !text.startsWith('['));
    assert.equal(words[0], 'Question:< PAD>? Short answer:< image><|endofchunk|>');
    assert.equal(words[1], 'Question:is it < |endofchunk|>? Short answer:');
  });

  test('the token of the template itself stays whole', () => {
    const segments = segmentsOf(shapes, 'continue', [card('a', 'This is a jano'), card('b', 'This is a')], false);
    assert.deepEqual(texts(segments), ['[a]', 'This is a jano<|endofchunk|>', '[b]', 'This is a']);
  });
});

describe('segments', () => {
  test('without an example, the examples of the checkpoint go first, and with one they do not', () => {
    assert.deepEqual(texts(segmentsOf(shapes, 'describe', [card('q')], false)), [
      'Output:a small red circle<|endofchunk|>Output:two large blue squares<|endofchunk|>', '[q]', 'Output:']);
    assert.deepEqual(texts(segmentsOf(shapes, 'describe', [card('a', 'a dog'), card('q')], false)), [
      '[a]', 'Output:a dog<|endofchunk|>', '[q]', 'Output:']);
    assert.deepEqual(texts(segmentsOf(shapes, 'describe', [card('q')], true)), ['[q]', 'Output:']);
  });

  test('text before a picture and text after the picture before it are one segment', () => {
    const cards = [card('a', 'red', 'color?'), card('b', 'two', 'how many?'), card('q', '', 'shape?')];
    assert.deepEqual(texts(segmentsOf(idefics, 'ask', cards, false)), [
      'Question: color? Image:', '[a]', ' Answer: red\nQuestion: how many? Image:', '[b]', ' Answer: two\nQuestion: shape? Image:', '[q]',
      ' Answer: ']);
    assert.deepEqual(texts(segmentsOf(idefics, 'describe', [card('a', 'x'), card('q')], false)), [
      'User:', '[a]', 'Describe it.\nAssistant: x\nUser:', '[q]', 'Describe it.\nAssistant: ']);
  });

  test('a picture without words has no empty segment', () => {
    assert.deepEqual(texts(segmentsOf(shapes, 'continue', [card('q')], false)), ['[q]']);
  });

  test('what is sent for a card is decided later, also where a picture stands twice', () => {
    const [a, q] = [card('a', 'x'), card('q')];
    const sent = filled(segmentsOf(shapes, 'continue', [a, a, q], false), one => ({ pictureId: one.name }));
    assert.deepEqual(sent, [
      { pictureId: 'a' }, { text: 'x<|endofchunk|>' }, { pictureId: 'a' }, { text: 'x<|endofchunk|>' }, { pictureId: 'q' }]);
  });

  test('a support set stores the text after the picture, without the token that ends an example', () => {
    assert.equal(storedText(shapes, 'continue', card('a', 'This is a jano')), 'This is a jano');
    assert.equal(storedText(shapes, 'ask', card('a', 'no', 'is it?')), 'Question:is it? Short answer:no');
    assert.equal(storedText(shapes, 'continue', card('a', 'x<|endofchunk|>')), 'x< |endofchunk|>');
  });

  test('the body has only what was set', () => {
    assert.deepEqual(generateBody(shapes, 'continue', [], { maxTokens: 7, temperature: 0 }, null), {
      segments: [], sampling: { maxTokens: 7 } });
    assert.deepEqual(generateBody(shapes, 'ask', [], { maxTokens: 7, temperature: 0.5 }, { name: 's' }), {
      segments: [], sampling: { maxTokens: 7, temperature: 0.5, stopStrings: ['Question', 'Answer'] }, supportSet: { name: 's' } });
  });
});

describe('candidates', () => {
  test('a word has the space that separates it from the words before it, and only there', () => {
    const after = text => candidatesOf('jano\n\n  pilu  \njano', [{ card: card('a') }, { text }]);
    assert.deepEqual(after('This is a'), [' jano', ' pilu']);
    assert.deepEqual(after('This is a '), ['jano', 'pilu']);
    assert.deepEqual(after('Output:'), ['jano', 'pilu']);
    assert.deepEqual(candidatesOf('yes', [{ card: card('a') }]), ['yes']);
    assert.deepEqual(candidatesOf(' \n', [{ text: 'x' }]), []);
  });

  test('shares are of the candidates together, the likeliest first, also where all are very unlikely', () => {
    const ranked = shares([
      { text: 'a', tokenLogLikelihoods: [-1000, -1] }, { text: 'b', tokenLogLikelihoods: [-1000] },
      { text: 'c', tokenLogLikelihoods: [] },
    ]);
    assert.deepEqual(ranked.map(one => one.text), ['c', 'b', 'a']);
    const [likely, unlikely] = shares([{ text: 'a', tokenLogLikelihoods: [-800] }, { text: 'b', tokenLogLikelihoods: [-800, -Math.LN2] }]);
    near(likely.share, 2 / 3);
    near(unlikely.share, 1 / 3);
    assert.equal(unlikely.chance, 0);
    near(shares([{ text: 'a', tokenLogLikelihoods: [-Math.LN2, -Math.LN2] }])[0].chance, 1 / 4);
  });
});

describe('words of an answer', () => {
  const words = answer => answer.words.map(word => word.text);

  test('a word begins at a space, and tokens without one go on with it', () => {
    const answer = emptyAnswer();
    for (const text of [' pi', 'lu', ' is', ' it', '!']) addTokens(answer, event(text, [log(-1)]));
    assert.deepEqual(words(answer), [' pilu', ' is', ' it!']);
    assert.deepEqual(answer.words.map(word => word.logs), [[-1, -1], [-1], [-1, -1]]);
    near(chanceOf(...answer.words), Math.exp(-5));
  });

  test('a part of a character waits for the rest, with its probability, alternatives and maps', () => {
    const answer = emptyAnswer();
    const map = { picture: 0, map: tensor([1, 2], 1, 2) };
    addTokens(answer, event('', [log(-0.5, [top('é', -0.5), top('x', -2)])], [map]));
    assert.deepEqual(words(answer), []);
    addTokens(answer, event('é', [log(-0.25, [top('y', -3)])], [map]));
    assert.deepEqual(words(answer), ['é']);
    assert.deepEqual(answer.words[0].logs, [-0.5, -0.25]);
    assert.deepEqual(answer.words[0].top.map(one => one.text), ['é', 'x']); // of the first of its tokens
    near(answer.words[0].top[1].chance, Math.exp(-2));
    assert.equal(answer.words[0].maps.length, 2);
  });

  test('the token that ends the answer counts for the answer and for no word', () => {
    const answer = addTokens(addTokens(emptyAnswer(), event(' pilu', [log(-1)])), event('', [log(-2)]));
    assert.deepEqual(words(answer), [' pilu']);
    near(chanceOf(...answer.words), Math.exp(-1));
    near(chanceOf(...answer.words, answer.open), Math.exp(-3));
  });

  test('several words in one event are several words, and each has the maps of its event', () => {
    const map = { picture: 0, map: tensor([1], 1, 1) };
    const answer = addTokens(emptyAnswer(), event('two large', [log(-1), log(-2)], [map, null]));
    assert.deepEqual(words(answer), ['two', ' large']);
    assert.deepEqual(answer.words.map(word => word.maps.length), [1, 1]);
    near(chanceOf(...answer.words), Math.exp(-3)); // no probability is lost and none is counted twice
  });

  test('lines are separate words, and events without anything else are read', () => {
    const answer = addTokens(addTokens(emptyAnswer(), { text: 'a\nb' }), { text: '' });
    assert.deepEqual(words(answer), ['a', '\nb']);
    assert.deepEqual(mapsOf(answer.words[0]), []);
  });
});

describe('maps', () => {
  test('numbers are little-endian floats', () => assert.deepEqual([...numbersOf(tensor([0.5, -1, 3], 3))], [0.5, -1, 3]));

  test('the maps of a word are added for each picture and stretched from 0 to 1', () => {
    const maps = mapsOf({ maps: [
      { picture: 2, map: tensor([0, 1, 2, 3], 2, 2) }, { picture: 0, map: tensor([5, 5], 1, 2) },
      { picture: 2, map: tensor([0, 1, 0, 1], 2, 2) }] });
    assert.deepEqual(maps.map(one => [one.picture, one.rows, one.columns]), [[2, 2, 2], [0, 1, 2]]);
    assert.deepEqual([...maps[0].values], [0, 0.5, 0.5, 1]);
    assert.deepEqual([...maps[1].values], [0, 0]); // a picture that was looked at evenly has no bright place
  });
});
