// Calls of the native API as JSON. Every path is relative to the page, so that it works behind a proxy with a path prefix.

/** An answer that is an error, in words. `fields` are the wrong fields; `missing` says that pictures must be sent as files again. */
export class ApiError extends Error {
  constructor(status, message, body, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    const details = body?.details ?? [];
    this.fields = details.flatMap(detail => detail.fieldViolations ?? []);
    this.missing = details.some(detail => detail['@type']?.endsWith('MissingPictures'));
  }
}

const KEY = 'flamingo-key';
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: value => value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY),
};

async function send(method, path, body, signal) {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let answer;
  try {
    answer = await fetch(`flamingo/v1/${path}`, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: 'no-store', credentials: 'same-origin',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'The server cannot be reached. Check that it runs, and try again.');
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let failure = null;
  try { failure = JSON.parse(text); } catch { /* a proxy answered in its own words */ }
  const message = failure?.message ?? failure?.error?.message ?? `The server answered with status ${answer.status}.`;
  throw new ApiError(answer.status, message, failure, Number(answer.headers.get('Retry-After')) || null);
}

export const get = async path => (await send('GET', path)).json();
export const put = async (path, body) => (await send('PUT', path, body)).json();
export const post = async (path, body, signal) => (await send('POST', path, body, signal)).json();
export const remove = async path => (await send('DELETE', path)).json();

/** Reads a streamed answer: one JSON object per line. An error in the middle of a stream is its last line. */
export async function* stream(path, body, signal) {
  const answer = await send('POST', path, body, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let rest = ''; ;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? '')).split('\n');
      rest = done ? '' : lines.pop();
      for (const line of lines.filter(Boolean)) {
        const message = JSON.parse(line);
        if (message.code !== undefined) throw new ApiError(500, message.message, message);
        yield message;
      }
      if (done) return;
    }
  } catch (error) {
    if (error instanceof TypeError) throw new ApiError(0, 'The connection broke before the answer was complete. Ask again.');
    throw error;
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A file as base64. */
export const base64 = file => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
  reader.onerror = () => reject(new ApiError(0, `${file.name} cannot be read. Choose it again.`));
  reader.readAsDataURL(file);
});
