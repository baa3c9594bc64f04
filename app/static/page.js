(() => {
  'use strict';
  const $ = (selector) => document.querySelector(selector);
  const press = (selector) => $(selector)?.click();
  const tabs = TABS; // title -> name, filled in by page.py

  // The open tab stands in the address; Back and Forward move between tabs and stay in the app.
  let moving = false;
  function tabButton(name) {
    return [...document.querySelectorAll('[role=tab], .overflow-dropdown button')]
      .find((one) => tabs[one.innerText.trim()] === name);
  }
  document.addEventListener('click', (event) => {
    const name = tabs[event.target.closest?.('button')?.innerText.trim()];
    if (!name || !event.target.closest('[role=tab], [role=tablist], .overflow-menu')) return;
    const query = new URLSearchParams(window.location.search);
    if (moving || (query.get('tab') ?? 'ask') === name) return;
    query.set('tab', name);
    window.history.pushState({tab: name}, '', '?' + query);
  }, true);
  window.addEventListener('popstate', () => {
    const name = new URLSearchParams(window.location.search).get('tab') ?? 'ask';
    moving = true;
    tabButton(name)?.click();
    moving = false;
  });

  // The settings beside the problem fold away; the choice is kept.
  function settings(open) {
    $('.panes')?.classList.toggle('settings-open', open);
    $('#settings-button')?.setAttribute('aria-expanded', String(open));
    try { localStorage.setItem('settings', open ? 'open' : ''); } catch { /* private window */ }
  }
  function dark(on) {
    document.body.classList.toggle('dark', on);
    try { localStorage.setItem('theme', on ? 'dark' : 'light'); } catch { /* private window */ }
  }
  function help() {
    const dialog = $('#shortcuts');
    if (dialog?.open) dialog.close(); else dialog?.showModal();
  }

  // A problem that somebody typed is never replaced by a key, only by a button.
  let typed = false;
  document.addEventListener('input', (event) => {
    if (event.target.closest?.('#question')) typed = event.isTrusted && event.target.value !== '';
  }, true);

  document.addEventListener('click', (event) => {
    const at = event.target.closest?.('button, [data-press]');
    if (!at) return;
    if (at.id === 'settings-button') settings(!$('.panes').classList.contains('settings-open'));
    if (at.id === 'theme-button') dark(!document.body.classList.contains('dark'));
    if (at.id === 'help-button' || at.id === 'help-close') help();
    if (['previous', 'dice', 'next'].includes(at.id)) typed = false;
    if (at.dataset.press) press(at.dataset.press);
    if (at.id === 'ask' || at.id === 'many') show('#answers');
    if (at.id === 'blind-start') show('#blind-round');
  }, true);

  // What a row opens lies beside its table, on a narrow screen below it.
  const opens = {'compare-table': '#compare-question', 'evolution-map': '#evolution-question', 'run-hits': '#run-hit'};
  document.addEventListener('opened', (event) => {
    const part = opens[event.target.closest('[id]')?.id];
    if (part) show(part);
  });

  // Whatever was asked for is brought into view.
  function show(selector) {
    for (const wait of [50, 600, 1500]) {
      setTimeout(() => {
        const box = $(selector)?.getBoundingClientRect();
        if (box && box.height && (box.bottom > innerHeight || box.top < 0)) {
          window.scrollBy({top: box.top - 8, behavior: 'instant'});
        }
      }, wait);
    }
  }

  document.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229) return; // an input method is at work
    const at = event.target;
    const other = event.ctrlKey || event.altKey || event.metaKey;
    if (event.key === 'Escape' && !$('dialog[open]')) { press('#stop'); press('#live-stop'); }
    if (event.key === 'Enter' && !event.shiftKey && !other && at.closest?.('#question')) {
      event.preventDefault();
      press('#ask');
      show('#answers');
    }
    const writing = at.matches?.('input, textarea, select, [contenteditable], [role=tab], [role=option]');
    if (other || writing) return;
    const here = $('#next')?.offsetParent; // the tab with the problem is open
    if (event.key === '?') help();
    else if ('123456'.includes(event.key)) tabButton(Object.values(tabs)[event.key - 1])?.click();
    else if (event.key === 't') dark(!document.body.classList.contains('dark'));
    else if (event.key === 's' && here) press('#settings-button');
    else if (event.key === '/' ) {
      const field = [...document.querySelectorAll('#question textarea, .search input, .search textarea')]
        .find((one) => one.offsetParent);
      if (field) { event.preventDefault(); field.focus(); }
    }
    else if (event.key === 'ArrowLeft' && here && !typed && !event.shiftKey) press('#previous');
    else if (event.key === 'ArrowRight' && here && !typed && !event.shiftKey) press('#next');
  }, true);

  // Dragging over a chart asks for a part of it; a double click brings all back.
  let drag = null;
  document.addEventListener('pointerdown', (event) => {
    const chart = event.target.closest?.('.chart[data-x0]');
    if (chart && chart.closest('.zoomable')) drag = {chart, from: event.clientX};
  });
  document.addEventListener('pointerup', (event) => {
    if (!drag) return;
    const {chart, from} = drag;
    drag = null;
    if (Math.abs(event.clientX - from) < 8) return;
    const box = chart.querySelector('svg').getBoundingClientRect();
    const {left, right, x0, x1} = chart.dataset;
    const value = (x) => {
      const share = ((x - box.left) / box.width - left) / (right - left);
      return Number(x0) + Math.min(Math.max(share, 0), 1) * (x1 - x0);
    };
    const ends = [value(from), value(event.clientX)].sort((a, b) => a - b);
    chart.dispatchEvent(new CustomEvent('zoom', {bubbles: true, detail: {from: ends[0], to: ends[1]}}));
  });
  document.addEventListener('dblclick', (event) => {
    const chart = event.target.closest?.('.zoomable .chart');
    chart?.dispatchEvent(new CustomEvent('zoom', {bubbles: true, detail: {}}));
  });

  // What Gradio leaves unfinished for keyboards and screen readers.
  function mend() {
    document.documentElement.lang = 'en';
    for (const header of document.querySelectorAll('.toast-header[role=button]')) {
      header.removeAttribute('role');
      header.removeAttribute('tabindex');
    }
    for (const one of document.querySelectorAll('.answer, .scroll')) {
      if (one.offsetParent && one.scrollHeight > one.clientHeight + 1) {
        if (one.tabIndex !== 0) one.tabIndex = 0;
        if (!one.getAttribute('role')) {
          one.setAttribute('role', 'region');
          one.setAttribute('aria-label', one.dataset.name ?? 'answer');
        }
      }
    }
  }
  let theme = '', open = '';
  try {
    theme = localStorage.getItem('theme') ?? '';
    open = localStorage.getItem('settings') ?? '';
  } catch { /* private window */ }
  const start = setInterval(() => {
    if (!$('.panes')) return;
    clearInterval(start);
    if (theme) dark(theme === 'dark');
    settings(open === 'open');
  }, 50);
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; mend(); }, 100);
  }).observe(document.documentElement, {childList: true, subtree: true});
})();
