// Tests of what the page's module view.js makes of numbers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const { many, milliseconds, percent } = await import(pathToFileURL(`${process.env.PAGE_FOLDER}/view.js`));
const plain = text => text.replaceAll('\u00a0', ' ');

test('shares are never shown as nothing or all unless they are', () => assert.deepEqual(
  [0, 0.0004, 0.004, 0.0994, 0.0996, 0.5, 0.994, 0.9952, 0.9994, 0.9996, 1].map(percent).map(plain),
  ['0.0 %', '< 0.1 %', '0.4 %', '9.9 %', '10 %', '50 %', '99 %', '99.5 %', '99.9 %', '> 99.9 %', '100.0 %']));

test('times have the digits that count', () => assert.deepEqual(
  [0, 0.04, 0.06, 9.94, 12.4, 999.4, 1234].map(milliseconds).map(plain),
  ['< 0.1 ms', '< 0.1 ms', '0.1 ms', '9.9 ms', '12 ms', '999 ms', '1.2 s']));

test('one is not many', () =>
  assert.deepEqual([many(1, 'token'), many(0, 'token'), many(2, 'token')], ['1 token', '0 tokens', '2 tokens']));
