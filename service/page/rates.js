// What /status counts, as rates: differences over the last seconds of millrace's own clock, so that a
// slow network or a sleeping browser changes nothing.

const kWindowSeconds = 5;
const kKeptSeconds = 120;
const kLeastSeconds = 0.5; // between two answers that make a rate

export class History {
  answers = [];

  // An answer of /status. A process that was started anew counts from zero: so do we.
  add(status) {
    const last = this.answers.at(-1);
    if (last && status.started !== last.started) this.answers = [];
    this.answers.push(status);
    const oldest = status.uptime_seconds - kKeptSeconds;
    while (this.answers[0].uptime_seconds < oldest) this.answers.shift();
  }

  // By how much what `get` finds in an answer grew, and in how many seconds; null: not known yet.
  // The last one is answer number `end`.
  growth(get, end = this.answers.length - 1) {
    const last = this.answers[end];
    let first = last;
    for (let i = end; i >= 0 && last.uptime_seconds - first.uptime_seconds < kWindowSeconds; --i) {
      first = this.answers[i];
    }
    const seconds = last.uptime_seconds - first.uptime_seconds;
    if (seconds < kLeastSeconds) return null;
    return {amount: Math.max(0, get(last) - get(first)), seconds};
  }

  rate(get) {
    const growth = this.growth(get);
    return growth && growth.amount / growth.seconds;
  }

  // The rate at each answer, as [uptime, rate].
  rates(get) {
    return this.answers.flatMap((answer, i) => {
      const growth = this.growth(get, i);
      return growth ? [[answer.uptime_seconds, growth.amount / growth.seconds]] : [];
    });
  }

  // What one of `per` took of `total`, lately; null while none was done.
  mean(total, per) {
    const done = this.growth(per);
    return done && done.amount > 0 ? this.growth(total).amount / done.amount : null;
  }
}

export const tables = status => status.pipelines.flatMap(pipeline => pipeline.tables);
export const lanes = status => status.pipelines.flatMap(pipeline => pipeline.lanes);
export const sum = (list, get) => list.reduce((total, each) => total + get(each), 0);
export const sumOf = counts => sum(Object.values(counts), count => count);
