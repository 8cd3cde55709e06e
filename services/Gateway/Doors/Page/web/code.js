// The request as code to copy, one language a tab.
import { key } from './api.js';
import * as snippets from './snippets.js';
import { $ } from './view.js';

/** @param current gives the segments and the body of the request, or null if there is none yet. */
export function codePanel(current) {
  const address = new URL('.', location.href).href;
  const tabs = [...document.querySelectorAll('[role=tab]')];
  let language = 'curl';

  function show() {
    const request = current();
    $('snippet').textContent = request ? snippets[language](address, request.segments, request.body, key.get()) : 'Add a picture first.';
    $('copied').textContent = '';
  }

  function select(tab) {
    language = tab.id.slice('tab-'.length);
    for (const one of tabs) {
      one.setAttribute('aria-selected', one === tab);
      one.tabIndex = one === tab ? 0 : -1;
    }
    $('snippet').setAttribute('aria-labelledby', tab.id);
    tab.focus();
    show();
  }

  tabs.forEach((tab, index) => {
    tab.addEventListener('click', () => select(tab));
    tab.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) select(tabs[(index + step + tabs.length) % tabs.length]);
    });
  });
  $('copy').addEventListener('click', async () => {
    if (navigator.clipboard) await navigator.clipboard.writeText($('snippet').textContent);
    else { // a page without https has no clipboard of its own
      getSelection().selectAllChildren($('snippet'));
      document.execCommand('copy');
    }
    $('copied').textContent = 'Copied.';
  });
  return { show };
}
