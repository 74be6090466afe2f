// Puts an answer of /status on the page. Whatever comes from outside is set as text, never as HTML;
// what did not change is left alone, so that nothing flickers and a selection stays.
import {lanes, sum, sumOf, tables} from './rates.js';

const kMostLanes = 100; // shown of each pipeline
const kSparkSeconds = 120;

// --- Numbers as text ------------------------------------------------------------------------------

const kUnknown = '–';
const known = (value, format) => (value === null || value === undefined ? kUnknown : format(value));
const grouped = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumSignificantDigits: 3});
const shortened = v => short.format(v).replace('K', 'k').replace(/(?=[a-zA-Z])/, '\u202f'); // 65.6 k
const count = value => known(value, v => grouped.format(v));
const rate = value => known(value, v =>
  (v < 10 ? grouped.format(Math.round(v * 10) / 10) : v < 1000 ? count(Math.round(v)) : shortened(v)));

function bytes(value) {
  return known(value, v => {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    for (; v >= 1024 && unit < units.length - 1; ++unit) v /= 1024;
    return `${v < 10 && unit > 0 ? v.toFixed(1) : Math.round(v)} ${units[unit]}`;
  });
}

function duration(seconds) {
  return known(seconds, s => {
    if (s < 0.0005) return '0 ms';
    if (s < 1) return `${Math.round(s * 1000)} ms`;
    if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  });
}

const plural = (n, one) => `${count(n)} ${n === 1 ? one : `${one}s`}`;
const spoken = name => name.replaceAll('_', ' ');

// --- The page's parts -----------------------------------------------------------------------------

// Field name -> element of a part, without those of the parts inside it.
const fieldsOf = new WeakMap();
function note(part) {
  const found = [...part.querySelectorAll('[data-field]')];
  if (part.matches?.('[data-field]')) found.push(part);
  fieldsOf.set(part, new Map(found.map(element => [element.dataset.field, element])));
  return part;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function setState(element, state) {
  if (element.dataset.state !== state) element.dataset.state = state;
}
function fill(part, values) {
  const fields = fieldsOf.get(part);
  for (const [name, value] of Object.entries(values)) setText(fields.get(name), String(value));
}

// Names of settings and statements stand between backticks in what millrace says.
const proseOf = new WeakMap();
function fillProse(part, name, text) {
  const where = fieldsOf.get(part).get(name);
  if (proseOf.get(where) === text) return;
  proseOf.set(where, text);
  where.replaceChildren(...text.split('`').map((piece, i) => {
    if (i % 2 === 0) return piece;
    const code = document.createElement('code');
    code.textContent = piece;
    return code;
  }));
}

// Makes the children of `parent` those of `items`, in their order: copies of a template, kept as long as
// their key stays.
const copiesOf = new WeakMap();
function list(parent, template, items, key, update) {
  const before = copiesOf.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const name = key(item);
    const copy = before.get(name) ??
      note(document.getElementById(template).content.firstElementChild.cloneNode(true));
    before.delete(name);
    after.set(name, copy);
    update(copy, item);
  }
  for (const gone of before.values()) gone.remove();
  let at = 0;
  for (const copy of after.values()) {
    if (parent.children[at] !== copy) parent.insertBefore(copy, parent.children[at] ?? null);
    ++at;
  }
  copiesOf.set(parent, after);
}

const page = note(document.body);
const element = selector => document.querySelector(selector);
const placeOf = lane => `${lane.topic}/${lane.partition}`;

// --- What it says ---------------------------------------------------------------------------------

const kTitles = {alarm: '▲', care: '△', well: '●', unreachable: '✕'};

function showState(state, word, detail, title) {
  setState(page, state);
  fill(page, {state: word, state_detail: detail});
  document.title = `${kTitles[state]} ${title} – millrace`;
}

function summarize(status, rowsRate, lag) {
  const waiting = lanes(status).filter(lane => lane.waiting);
  const stuck = waiting.filter(lane => lane.waiting.disposition !== 'retry');
  if (!status.ready) return showState('alarm', 'Not ready', '', 'not ready');
  if (stuck.length > 0) {
    return showState('alarm', stuck.length === 1 ? 'A lane waits' : `${stuck.length} lanes wait`,
      'for somebody to act', 'waits');
  }
  if (waiting.length > 0) return showState('care', 'Trying again', 'after a failure that should pass', 'tries again');
  const paused = status.pipelines.filter(pipeline => pipeline.paused).map(pipeline => pipeline.name);
  if (paused.length > 0) {
    const all = paused.length === status.pipelines.length;
    return showState('care', all ? 'Paused' : `Paused: ${paused.join(', ')}`,
      'by an operator, nothing is read; millrace resume reads on', 'paused');
  }
  if (rowsRate > 0) return showState('well', 'Flowing', '', `${rate(rowsRate)} rows/s`);
  return lag > 0 ? showState('well', 'Starting to flow', '', 'starting') :
    showState('well', 'Idle', 'all that arrived is in ClickHouse', 'idle');
}

function showWaits(status) {
  const reasons = status.not_ready;
  element('#not-ready').hidden = reasons.length === 0;
  list(element('#not-ready ul'), 'reason', reasons, text => text, (item, reason) => fill(item, {reason}));

  const waiting = lanes(status).filter(lane => lane.waiting);
  element('#waiting').hidden = waiting.length === 0;
  list(element('#waiting ul'), 'wait', waiting.slice(0, kMostLanes), lane => `${lane.group} ${placeOf(lane)}`, (item, lane) => {
    const wait = lane.waiting;
    setState(item, wait.disposition === 'retry' ? 'care' : 'alarm');
    fill(item, {
      reason: wait.reason,
      where: `${placeOf(lane)} → ${lane.table}`,
      since: `for ${duration(wait.seconds)}, ${plural(wait.attempts, 'attempt')}`,
      message: wait.message,
    });
    fillProse(item, 'what_to_do', wait.what_to_do);
  });
}

function showHeadline(status, history, rowsRate, lag) {
  const held = sum(lanes(status).filter(lane => lane.waiting), lane => lane.lag ?? 0);
  const lagDetail = held > 0 ? `${count(held)} in lanes that wait` :
    rowsRate > 0 && lag > 0 ? `${duration(lag / rowsRate)} of work` : 'messages not in ClickHouse yet';
  fill(page, {
    rows_rate: rate(rowsRate),
    bytes_rate: bytes(history.rate(s => sum(tables(s), table => table.inserted_bytes))),
    lag: count(lag),
    lag_detail: lagDetail,
    oldest: duration(status.queue.oldest_block_seconds),
  });
  const rates = history.rates(s => sum(tables(s), table => table.inserted_rows));
  const most = Math.max(1, ...rates.map(([, value]) => value));
  const now = status.uptime_seconds;
  const points = rates.map(([time, value]) =>
    [240 - (now - time) / kSparkSeconds * 240, 46 - value / most * 44].map(v => v.toFixed(1)).join(','));
  element('#spark-line').setAttribute('points', points.join(' '));
  element('#spark-area').setAttribute('d', points.length < 2 ? '' :
    `M${points[0].split(',')[0]},48 L${points.join(' L')} L240,48 Z`);
  fill(page, {spark_max: rates.length > 1 ? `peak ${rate(most)}` : ''});
}

function showFlow(status, history) {
  const time = (stages, word) => {
    const mean = history.mean(s => sum(tables(s), t => sum(stages, stage => t.stage_seconds[stage])),
      s => sum(tables(s), table => table.inserted_blocks));
    return mean === null ? '' : `${duration(mean)} a block${word}`;
  };
  const all = lanes(status), held = all.filter(lane => lane.paused).length;
  const pool = status.http_sessions, budget = status.budget;
  fill(page, {
    messages_rate: rate(history.rate(s => sum(s.pipelines, p => p.source.messages))),
    lanes: plural(all.length, 'lane') + (held > 0 ? `, ${held} held back` : ''),
    consumed: time(['source'], ' to fill'),
    queued: count(status.queue.queued_blocks),
    parked: count(status.queue.parked_blocks),
    queue_time: time(['queue'], ''),
    busy: count(status.workers.filter(worker => worker.operation !== 'idle').length),
    of_workers: `of ${count(status.workers.length)}`,
    encode_time: time(['encode'], ' to encode'),
    leased: count(pool.leased),
    of_sessions: `of ${count(pool.open)} open`,
    sessions_waiting: pool.waiting === 1 ? '1 request waits' : `${count(pool.waiting)} requests wait`,
    send_time: time(['session_wait', 'send'], ' to send'),
    blocks_rate: rate(history.rate(s => sum(tables(s), table => table.inserted_blocks))),
    inserts: plural(status.operations_in_flight.insert, 'insert') + ' running',
    server_time: time(['server'], ''),
    budget_used: bytes(budget.used_bytes),
    budget_limit: bytes(budget.limit_bytes),
    limiting_stage: spoken(status.limiting_stage.stage),
  });
  fillProse(page, 'limiting_advice', status.limiting_stage.advice);
  const share = budget.limit_bytes > 0 ? budget.used_bytes / budget.limit_bytes * 100 : 0;
  const meter = element('.meter');
  meter.setAttribute('aria-valuenow', share.toFixed(0));
  meter.firstElementChild.style.width = `${Math.min(100, share).toFixed(1)}%`;
  setState(meter, share >= 90 ? 'care' : 'well');
  const stationOf = {source: '', paused: 'source', session_wait: 'send'}; // `source`: all that arrives is inserted at once
  const limits = stationOf[status.limiting_stage.stage] ?? status.limiting_stage.stage;
  for (const stage of document.querySelectorAll('.flow > li')) {
    setState(stage, stage.dataset.stage === limits ? 'limits' : '');
  }
}

const kGuarantees = {exactly_once: 'exactly once', at_least_once: 'at least once'};

function showTable(row, table, tableRate) {
  fill(row, {
    table: table.table,
    guarantee: kGuarantees[table.guarantee] ?? 'not known yet',
    why: (table.guarantee_because ?? '').replace(/^exactly_once: /, ''), // which stands above it
    rows_rate: rate(tableRate),
    rows: count(table.inserted_rows),
    block_rows: known(table.mean_block_rows, v => count(Math.round(v))),
    insert_time: duration(table.mean_insert_seconds),
    retries: count(sumOf(table.retries)),
    dead_letters: count(sumOf(table.dead_letters)),
  });
}

function showLane(row, lane, pipeline) {
  const state = lane.ledger.difference !== 0 ? 'unaccounted' : lane.waiting ? 'waits' :
    pipeline.paused ? 'paused' : lane.paused ? 'held back' : lane.lag > 0 ? 'flows' : 'idle';
  const alarming = state === 'unaccounted' ||
    (state === 'waits' && lane.waiting.disposition !== 'retry');
  setState(row, alarming ? 'alarm' : state === 'waits' ? 'care' : '');
  fill(row, {
    lane: placeOf(lane),
    position: count(lane.position),
    committed: count(lane.committed),
    lag: count(lane.lag),
    in_flight: count(lane.ledger.in_flight),
    state: lane.waiting ? `waits: ${lane.waiting.reason}` : state,
  });
}

function showPipeline(part, pipeline, history) {
  const kDelivery = {auto: 'exactly once where the table allows it'};
  fill(part, {
    name: pipeline.name,
    delivery: kDelivery[pipeline.delivery] ?? spoken(pipeline.delivery),
    paused: pipeline.paused ? 'paused by an operator' : '',
  });
  list(part.querySelector('.tables'), 'table-row', pipeline.tables, table => table.table, (row, table) => {
    const rowsIn = s => s.pipelines.find(p => p.name === pipeline.name)
      ?.tables.find(t => t.table === table.table)?.inserted_rows ?? 0;
    showTable(row, table, history.rate(rowsIn));
  });
  // Those with most to do, in the order of their names, so that no row jumps.
  const chosen = new Set([...pipeline.lanes]
    .sort((a, b) => Boolean(b.waiting) - Boolean(a.waiting) || b.lag - a.lag).slice(0, kMostLanes));
  const shown = pipeline.lanes.filter(lane => chosen.has(lane));
  list(part.querySelector('.lanes'), 'lane-row', shown, placeOf, (row, lane) => showLane(row, lane, pipeline));
  const more = pipeline.lanes.length - shown.length;
  fill(part, {more_lanes: more > 0 ? `and ${plural(more, 'lane')} with less lag: see /status` : ''});
}

function showDeadLetters(status) {
  const counts = tables(status).flatMap(table => Object.entries(table.dead_letters)
    .map(([reason, n]) => ({table: table.table, reason, n})));
  element('#dead-letters').hidden = counts.length === 0;
  list(element('#dead-letters .counts'), 'count', counts, c => `${c.table} ${c.reason}`,
    (item, c) => fill(item, {count: count(c.n), what: `${c.reason}, ${c.table}`}));
  const newest = tables(status)
    .flatMap(table => table.newest_dead_letters.map(letter => ({...letter, table: table.table})))
    .sort((a, b) => b.time.localeCompare(a.time)).slice(0, 10);
  list(element('#dead-letters tbody'), 'letter-row', newest, l => `${l.table} ${placeOf(l)} ${l.offset}`,
    (row, letter) => fill(row, {
      time: letter.time.replace('T', ' ').replace('Z', ' UTC'),
      table: letter.table,
      lane: placeOf(letter),
      offset: count(letter.offset),
      reason: letter.reason,
      message: letter.message,
    }));
}

function showWorkers(status) {
  list(element('#workers'), 'worker-row', status.workers, worker => String(worker.id), (row, worker) => {
    const idle = worker.operation === 'idle';
    setState(row, idle ? 'idle' : 'busy');
    fill(row, {
      id: worker.id,
      operation: worker.operation,
      seconds: idle ? '' : duration(worker.seconds),
      lane: worker.lane,
      table: worker.table,
      session: worker.clickhouse_session,
    });
  });
}

function showRest(status) {
  const pool = status.http_sessions;
  fill(page, {
    leased_too: count(pool.leased),
    idle: count(pool.idle),
    hard_limit: count(pool.options.hard_limit),
    created: count(pool.created),
    reused: count(pool.reused),
    failed: count(pool.closed.failed),
    connect_failures: count(pool.connect_failures),
    acquire_timeouts: count(pool.acquire_timeouts),
    version: `millrace ${status.version}`,
    uptime: duration(status.uptime_seconds),
    memory: bytes(status.process.resident_bytes),
    config_file: status.config_file,
  });
}

// --- For page.js ----------------------------------------------------------------------------------

let lastAnswer = null;

export function show(status, history) {
  lastAnswer = new Date();
  const rowsRate = history.rate(s => sum(tables(s), table => table.inserted_rows));
  const lag = sum(lanes(status), lane => lane.lag ?? 0);
  summarize(status, rowsRate, lag);
  showWaits(status);
  showHeadline(status, history, rowsRate, lag);
  showFlow(status, history);
  list(element('#pipelines'), 'pipeline', status.pipelines, pipeline => pipeline.name,
    (part, pipeline) => showPipeline(part, pipeline, history));
  showDeadLetters(status);
  showWorkers(status);
  showRest(status);
}

export function showUnreachable(error) {
  const since = lastAnswer ? `Below is what it said at ${lastAnswer.toLocaleTimeString()}.` : '';
  showState('unreachable', 'Can’t be reached.', `${since} ${error.message}`.trim(), 'can’t be reached');
}
