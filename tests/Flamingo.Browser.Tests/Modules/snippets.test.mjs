// Tests of the page's module snippets.js, which writes a request as programs. Whether these run is a test in the browser.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, test } from 'node:test';

const { csharp, curl, python } = await import(pathToFileURL(`${process.env.PAGE_FOLDER}/snippets.js`));

const NASTY = `it's "quoted" $HOME \${HOME} $(id) \`id\` \\ \\n <|endofchunk|> ü 😀 \u2028 %s {0} # // '''`;
const file = { name: `-a's $b "c" é 😀.png` };
const segments = [{ text: NASTY }, { card: file }, { text: 'line\nline\ttab' }, { card: file }];
const body = {
  segments: [], sampling: { maxTokens: 5, temperature: 0.5, stopStrings: ['\n', '"$x"'] },
  supportSet: { name: 'my.set', selection: 'SHOT_SELECTION_RICES', count: 4 },
};
const address = 'http://localhost:8081/';

const inFolder = run => {
  const folder = mkdtempSync(join(tmpdir(), 'flamingo-snippets-'));
  writeFileSync(join(folder, file.name), 'picture');
  try {
    return run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const expected = {
  segments: [{ text: NASTY }, { picture: 'cGljdHVyZQ==' }, { text: 'line\nline\ttab' }, { picture: 'cGljdHVyZQ==' }],
  sampling: body.sampling, supportSet: body.supportSet,
};

describe('curl', () => {
  test('the shell hands over exactly what was written', () => inFolder(folder => {
    writeFileSync(join(folder, 'curl'), '#!/bin/bash\nprintf "%s\\n" "$@" >arguments\ncat >body\n', { mode: 0o755 });
    const program = curl(address, segments, body, null);
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, HOME: '/wrong' };
    execFileSync('bash', ['-euc', program], { cwd: folder, env });
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'body'), 'utf8')), expected);
    assert.match(readFileSync(join(folder, 'arguments'), 'utf8'), /^http:\/\/localhost:8081\/flamingo\/v1\/generate$/m);
  }));

  test('a key stays in the environment', () => {
    assert.doesNotMatch(curl(address, segments, body, null), /Authorization/);
    assert.match(curl(address, segments, body, 'flm_secret'), /Bearer \$FLAMINGO_KEY/);
    for (const language of [curl, python, csharp]) assert.doesNotMatch(language(address, segments, body, 'flm_secret'), /flm_secret/);
  });

  test('a picture that stands twice is read once', () => assert.equal(curl(address, segments, body, null).match(/base64 -w0/g).length, 1));
});

describe('Python', () => {
  test('the program has exactly what was written', () => inFolder(folder => {
    const program = python(address, segments, body, null).split('request = ')[0] + 'print(json.dumps(body))\n';
    writeFileSync(join(folder, 'ask.py'), program);
    assert.deepEqual(JSON.parse(execFileSync('python3', ['ask.py'], { cwd: folder, encoding: 'utf8' })), expected);
  }));

  test('a key comes from the environment', () => assert.match(python(address, segments, body, 'flm_x'), /os\.environ\["FLAMINGO_KEY"\]/));
});

describe('C#', () => {
  test('texts are escaped, and the address, the sampling and the set are those of the page', () => {
    const program = csharp('https://example.org/flamingo/', segments, body, null);
    assert.match(program, /new FlamingoClient\("https:\/\/example\.org\/flamingo"\)/);
    assert.match(program, /MaxTokens = 5, Temperature = 0\.5f, StopStrings = \["\\n", "\\"\$x\\""\]/);
    assert.match(program, /new SupportSetChoice\("my\.set", ShotSelection\.Rices, Count: 4\)/);
    assert.match(program, /\\ud83d\\ude00 \\u2028/);
    assert.doesNotMatch(program, /[^\x00-\x7f]/);
  });

  test('a key comes from the environment', () =>
    assert.match(csharp(address, segments, body, 'flm_x'), /Key = Environment\.GetEnvironmentVariable\("FLAMINGO_KEY"\)/));
});
