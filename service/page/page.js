// Asks /status once a second and hands the answer to the view.
import {History} from './rates.js';
import {show, showUnreachable} from './view.js';

const kPauseMs = 1000;
const kTimeoutMs = 5000;

const history = new History();
const button = document.getElementById('pause');
let paused = false;
let timer = null;

async function ask() {
  try {
    const response = await fetch('status', {cache: 'no-store', signal: AbortSignal.timeout(kTimeoutMs)});
    if (!response.ok) throw new Error(`/status answered ${response.status}`);
    const status = await response.json();
    history.add(status);
    if (!paused) show(status, history);
  } catch (error) {
    showUnreachable(error);
  }
}

// One question at a time, none while nobody looks.
async function run() {
  clearTimeout(timer);
  timer = null;
  if (paused || document.hidden) return;
  await ask();
  clearTimeout(timer);
  timer = setTimeout(run, kPauseMs);
}

button.addEventListener('click', () => {
  paused = !paused;
  button.setAttribute('aria-pressed', String(paused));
  button.textContent = paused ? 'Go on' : 'Pause';
  run();
});
document.addEventListener('visibilitychange', run);
run();
