// Asks /status once a second and hands the answer to the view.
import {History} from './rates.js';
import {show, showUnreachable} from './view.js';

const kPauseMs = 1000;
const kTimeoutMs = 5000;

const history = new History();
const button = document.getElementById('refresh');
let stopped = false; // by the one who looks; the pipelines go on
let timer = null;

async function ask() {
  try {
    const response = await fetch('status', {cache: 'no-store', signal: AbortSignal.timeout(kTimeoutMs)});
    if (!response.ok) throw new Error(`/status answered ${response.status}`);
    const status = await response.json();
    history.add(status);
    if (!stopped) show(status, history);
  } catch (error) {
    showUnreachable(error);
  }
}

// One question at a time, none while nobody looks.
async function run() {
  clearTimeout(timer);
  timer = null;
  if (stopped || document.hidden) return;
  await ask();
  clearTimeout(timer);
  timer = setTimeout(run, kPauseMs);
}

button.addEventListener('click', () => {
  stopped = !stopped;
  button.textContent = stopped ? 'Refresh again' : 'Stop refreshing';
  run();
});
document.addEventListener('visibilitychange', run);
run();
